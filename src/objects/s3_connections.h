// S3Connections: one signed request to an S3 service and its answer, whatever that is (libcurl).
//
// Connections are kept and used again; each request has limits of time (S3Patience); TLS certificates are
// checked; no redirect is followed. Nothing is tried a second time: s3_client.h does that. interrupt() ends
// what is under way. Thread-safe.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "base/file.h"
#include "objects/s3_clock.h"
#include "objects/s3_config.h"
#include "objects/s3_keys.h"
#include "objects/s3_url.h"

namespace spool {

struct S3Response {
  int status = 0;
  std::map<std::string, std::string> headers{};  // names in lower case
  std::string body{};                            // unless a sink took it

  [[nodiscard]] std::string header(const std::string& name) const;  // empty: there is none
  [[nodiscard]] std::uint64_t length() const;                       // Content-Length
  [[nodiscard]] std::optional<Time> date() const;                   // when the service gave it
};

struct S3Request {
  std::string method = "GET";
  std::string key{};  // in the bucket; empty: of the bucket itself
  S3Query query{};
  std::vector<std::string> headers{};  // "Name: value"; all are signed
  const ByteSource* body = nullptr;
  // Takes the body of an answer with a status of 200 to 299; a failure ends the request with that error.
  std::function<Result<void>(const S3Response& head, std::span<const std::byte> bytes)> sink{};
  // The service has more to do than to answer (a copy): it may be silent for longer, with each try twice as
  // long.
  bool long_work = false;
  // libcurl 7.88 signs wrongly where the name of one header begins that of another.
  bool curl_cannot_sign = false;
};

class S3Connections {
 public:
  explicit S3Connections(S3Config config)
      : config_(std::move(config)), clock_(config_.clock), keys_(config_) {}

  // Errors: kUnavailable (unreachable, broken off), kTimeout, kInvalidArgument (an endpoint that is none, a
  // certificate that is not trusted), kCancelled (interrupt()), and what the sink or the body's source say.
  [[nodiscard]] Result<S3Response> send(const S3Request& request, int earlier_tries = 0);
  // Requests under way end within a second, and later ones at once.
  void interrupt() { interrupted_.request_stop(); }
  [[nodiscard]] std::stop_token interrupted() const { return interrupted_.get_token(); }

  [[nodiscard]] const S3Config& config() const { return config_; }
  [[nodiscard]] S3Clock& clock() { return clock_; }  // what requests are signed with
  [[nodiscard]] S3Keys& keys() { return keys_; }     // likewise
  [[nodiscard]] S3Config config_now() const;         // with the keys of now

 private:
  using Handle = std::unique_ptr<void, void (*)(void*)>;  // CURL*
  Handle take();
  void give_back(Handle handle);

  const S3Config config_;
  S3Clock clock_;
  S3Keys keys_;
  std::stop_source interrupted_;
  std::mutex mutex_;
  std::vector<Handle> idle_;
};

}  // namespace spool
