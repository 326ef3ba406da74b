// S3Client: requests to one bucket, tried again while that can help, and what went wrong in words.
//
// What the service could not take (500, 503 SlowDown, 429 ...) and what broke on its way is tried again,
// later and later, with jitter and a bounded number of times. What it refuses because this machine's clock is
// off is signed anew with its own time, and with new keys where those it had are not good any more.
// Thread-safe.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "objects/s3_connections.h"

namespace spool {

struct S3Failure {
  Error error;       // native: the HTTP status, 0 when there was no answer
  std::string code;  // the service's own: "NoSuchKey"
  bool again = false;
  std::chrono::seconds after{0};  // what the service asks to wait
  int tries = 1;
  std::optional<Time> right_time{};  // the service's, when it refused ours
  bool keys_are_over = false;        // perhaps: what an answer to HEAD is about is not known
};
struct S3Answer : S3Response {
  int tries = 1;  // more than one: an earlier one may have been done as well
};
using S3Result = tl::expected<S3Answer, S3Failure>;

class S3Client {
 public:
  explicit S3Client(S3Config config) : connections_(std::move(config)) {}

  // Ends what is under way, and waits between tries; all later requests fail with kCancelled.
  void interrupt() { connections_.interrupt(); }
  [[nodiscard]] std::stop_token interrupted() const { return connections_.interrupted(); }

  // Once. Any status but 200 to 299 is a failure, and so is an error in the body of a 200.
  S3Result once(const S3Request& request, int earlier_tries = 0);
  // With retries.
  S3Result send(const S3Request& request);

  [[nodiscard]] const S3Config& config() const { return connections_.config(); }
  [[nodiscard]] S3Config config_now() const { return connections_.config_now(); }  // with the keys of now
  [[nodiscard]] S3Clock& clock() { return connections_.clock(); }
  [[nodiscard]] Time now() { return connections_.clock().now(); }  // as the service takes it

 private:
  S3Result signed_once(const S3Request& request, int earlier_tries);

  S3Connections connections_;
};

// Counts the tries of one request and waits between them.
class S3Retries {
 public:
  explicit S3Retries(const S3Client& client) : client_(client) {}
  // Waits if this failure is worth another try. False: it is not, or there were enough.
  bool again(const S3Failure& failure);
  [[nodiscard]] int tries() const { return tries_; }

 private:
  const S3Client& client_;
  int tries_ = 1;
};

}  // namespace spool
