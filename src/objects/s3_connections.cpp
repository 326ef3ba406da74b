#include "objects/s3_connections.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <optional>

#include "objects/s3_signature.h"

namespace spool {
namespace {

constexpr std::size_t kMostBody =
    32u << 20;  // of an answer that is kept whole: a listing of 1000 long keys is less
constexpr std::size_t kMostIdle = 16;
constexpr long kBuffer = 256 << 10;

// A request under way, for libcurl's callbacks.
struct Transfer {
  const S3Request& request;
  const std::stop_token interrupted;
  S3Response response{};
  std::uint64_t sent = 0;
  std::optional<Error> stopped{};  // by the sink, by the body's source or by us
};

std::size_t on_header(char* data, std::size_t, std::size_t size, void* user) {
  S3Response& response = static_cast<Transfer*>(user)->response;
  std::string_view line(data, size);
  while (line.ends_with('\n') || line.ends_with('\r')) line.remove_suffix(1);
  if (line.starts_with("HTTP/")) {  // also of a second head, behind "100 Continue"
    response = {};
    const std::string_view status = line.substr(std::min(line.find(' ') + 1, line.size()));
    std::from_chars(status.data(), status.data() + status.size(), response.status);
    return size;
  }
  const auto colon = line.find(':');
  if (colon == std::string_view::npos) return size;
  std::string name(line.substr(0, colon));
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
  const auto value = line.find_first_not_of(" \t", colon + 1);
  response.headers[name] = value == std::string_view::npos ? "" : line.substr(value);
  return size;
}

std::size_t on_body(char* data, std::size_t, std::size_t size, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  S3Response& response = transfer.response;
  if (transfer.request.sink && response.status / 100 == 2) {
    if (auto taken = transfer.request.sink(response, std::as_bytes(std::span(data, size))); !taken) {
      transfer.stopped = std::move(taken).error();
      return CURL_WRITEFUNC_ERROR;
    }
    return size;
  }
  if (response.body.size() + size > kMostBody) {
    transfer.stopped =
        Error{Code::kLimitExceeded, fmt::format("the answer has more than {} bytes", kMostBody)};
    return CURL_WRITEFUNC_ERROR;
  }
  response.body.append(data, size);
  return size;
}

std::size_t on_read(char* into, std::size_t, std::size_t size, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  const ByteSource& body = *transfer.request.body;
  const std::size_t wanted = std::min<std::uint64_t>(size, body.size - transfer.sent);
  if (wanted == 0) return 0;
  auto read = body.read_at(transfer.sent, std::as_writable_bytes(std::span(into, wanted)));
  if (read && *read == 0)
    read = fail(Code::kInternal, fmt::format("{} became shorter while it was sent", body.name));
  if (!read) {
    transfer.stopped = std::move(read).error();
    return CURL_READFUNC_ABORT;
  }
  transfer.sent += *read;
  return *read;
}

// Asked when a kept connection turns out to be dead, and the request goes over another.
int on_seek(void* user, curl_off_t offset, int) {
  static_cast<Transfer*>(user)->sent = static_cast<std::uint64_t>(offset);
  return CURL_SEEKFUNC_OK;
}

// Asked once a second at least, also while nothing comes.
int on_progress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return static_cast<Transfer*>(user)->interrupted.stop_requested() ? 1 : 0;
}

class HeaderList {
 public:
  HeaderList() = default;
  HeaderList(const HeaderList&) = delete;
  HeaderList& operator=(const HeaderList&) = delete;
  ~HeaderList() { curl_slist_free_all(list_); }
  void add(const std::string& header) {
    if (curl_slist* longer = curl_slist_append(list_, header.c_str())) list_ = longer;
  }
  [[nodiscard]] curl_slist* get() const { return list_; }

 private:
  curl_slist* list_ = nullptr;
};

void set_connection(CURL* curl, const S3Config& config) {
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
  curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, kBuffer);
  curl_easy_setopt(curl, CURLOPT_UPLOAD_BUFFERSIZE, kBuffer);
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "spool");
  if (!config.ca_bundle.empty()) curl_easy_setopt(curl, CURLOPT_CAINFO, config.ca_bundle.c_str());
}

void set_signature(CURL* curl, const S3Config& config) {
  curl_easy_setopt(curl, CURLOPT_AWS_SIGV4, fmt::format("aws:amz:{}:s3", config.region).c_str());
  curl_easy_setopt(curl, CURLOPT_USERNAME, config.credentials.access_key.c_str());
  curl_easy_setopt(curl, CURLOPT_PASSWORD, config.credentials.secret_key.c_str());
}

// libcurl signs with this machine's time alone: 7.88 sends an x-amz-date of ours twice.
bool curl_signs(const S3Request& request, Time now) {
  constexpr Duration kTheSame = std::chrono::minutes(1);
  const auto machine = std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
  return !request.curl_cannot_sign && std::chrono::abs(now - machine) < kTheSame;
}

// With their signature, if it is told what time it is.
std::vector<std::string> headers_of(const S3Request& request, const S3Config& config,
                                    std::optional<Time> now) {
  std::vector<std::string> headers = request.headers;
  headers.push_back("x-amz-content-sha256: UNSIGNED-PAYLOAD");
  if (!config.credentials.session_token.empty())
    headers.push_back("x-amz-security-token: " + config.credentials.session_token);
  if (!now) return headers;
  for (std::string& header :
       signed_headers(config, request.method, request.key, request.query, headers, *now))
    headers.push_back(std::move(header));
  return headers;
}

void set_limits(CURL* curl, const S3Patience& patience, const S3Request& request, int earlier_tries) {
  constexpr std::uint64_t kSlowest = 100'000;  // bytes a second
  const std::uint64_t more = request.body != nullptr ? request.body->size / kSlowest : 0;
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(patience.connect.count()));
  curl_easy_setopt(curl, CURLOPT_TIMEOUT, static_cast<long>(patience.request.count() + more));
  // Who is silent over long work looks like a kept connection that is dead: that is found out by the next
  // try.
  const long longer = request.long_work ? 1L << std::min(earlier_tries, 10) : 1;
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, static_cast<long>(patience.silence.count()) * longer);
}

void set_request(CURL* curl, Transfer& transfer, const std::string& url, const HeaderList& headers) {
  const S3Request& request = transfer.request;
  curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, &on_header);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &on_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, &on_progress);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &transfer);
  if (request.method == "HEAD") curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
  if (request.method == "PUT" || request.method == "POST") {
    curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(curl, CURLOPT_READFUNCTION, &on_read);
    curl_easy_setopt(curl, CURLOPT_READDATA, &transfer);
    curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, &on_seek);
    curl_easy_setopt(curl, CURLOPT_SEEKDATA, &transfer);
    curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE,
                     static_cast<curl_off_t>(request.body != nullptr ? request.body->size : 0));
  }
  if (request.method != "HEAD") curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request.method.c_str());
}

Error error_of(CURLcode code, const char* detail, const std::string& endpoint) {
  const std::string_view what = *detail != '\0' ? detail : curl_easy_strerror(code);
  switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
      return {Code::kTimeout, fmt::format("{} does not answer in time: {}", endpoint, what)};
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
      return {Code::kUnavailable,
              fmt::format("{} cannot be reached: {}; is the endpoint right, and does the service run?",
                          endpoint, what)};
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
      return {
          Code::kInvalidArgument,
          fmt::format(
              "{} shows a certificate that is not trusted here: {}; let AWS_CA_BUNDLE name the file of its "
              "authority",
              endpoint, what)};
    case CURLE_SSL_CONNECT_ERROR:
      return {
          Code::kUnavailable,
          fmt::format("the connection to {} broke: {}; a service without TLS has an endpoint with http://",
                      endpoint, what)};
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
      return {Code::kInvalidArgument, fmt::format("{} is no endpoint: {}", endpoint, what)};
    case CURLE_ABORTED_BY_CALLBACK:
      return {Code::kCancelled, fmt::format("{}: not waited for any more", endpoint)};
    case CURLE_OUT_OF_MEMORY:
      return {Code::kInternal, fmt::format("{}: {}", endpoint, what)};
    default:
      return {Code::kUnavailable, fmt::format("the connection to {} broke: {}", endpoint, what)};
  }
}

}  // namespace

std::string S3Response::header(const std::string& name) const {
  const auto it = headers.find(name);
  return it == headers.end() ? std::string() : it->second;
}

std::uint64_t S3Response::length() const {
  const std::string text = header("content-length");
  std::uint64_t length = 0;
  std::from_chars(text.data(), text.data() + text.size(), length);
  return length;
}

std::optional<Time> S3Response::date() const {
  const std::time_t seconds = curl_getdate(header("date").c_str(), nullptr);
  if (seconds < 0) return std::nullopt;
  return Time(std::chrono::seconds(seconds));
}

S3Config S3Connections::config_now() const {
  S3Config config = config_;
  config.credentials = keys_.now();
  return config;
}

S3Connections::Handle S3Connections::take() {
  static const CURLcode started = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (started != CURLE_OK) return {nullptr, &curl_easy_cleanup};
  const std::lock_guard lock(mutex_);
  if (idle_.empty()) return {curl_easy_init(), &curl_easy_cleanup};
  Handle handle = std::move(idle_.back());
  idle_.pop_back();
  return handle;
}

void S3Connections::give_back(Handle handle) {
  curl_easy_reset(handle.get());  // keeps the connection
  const std::lock_guard lock(mutex_);
  if (idle_.size() < kMostIdle) idle_.push_back(std::move(handle));
}

Result<S3Response> S3Connections::send(const S3Request& request, int earlier_tries) {
  if (interrupted_.stop_requested()) return fail(error_of(CURLE_ABORTED_BY_CALLBACK, "", config_.endpoint));
  Handle handle = take();
  if (!handle) return fail(Code::kInternal, "libcurl does not start");
  const Time now = clock_.now();
  const S3Config config = config_now();
  const bool by_curl = curl_signs(request, now);
  HeaderList headers;
  for (const std::string& header : headers_of(request, config, by_curl ? std::nullopt : std::optional(now)))
    headers.add(header);

  Transfer transfer{request, interrupted()};
  char detail[CURL_ERROR_SIZE] = "";
  curl_easy_setopt(handle.get(), CURLOPT_ERRORBUFFER, detail);
  set_connection(handle.get(), config_);
  if (by_curl) set_signature(handle.get(), config);
  set_limits(handle.get(), config_.patience, request, earlier_tries);
  set_request(handle.get(), transfer, s3_place(config_, request.key).url(request.query), headers);
  const CURLcode code = curl_easy_perform(handle.get());
  give_back(std::move(handle));
  if (transfer.stopped) return fail(*std::move(transfer.stopped));
  // A service that refuses an upload may answer and close before it has read all of it.
  const bool refused =
      transfer.response.status >= 300 && (code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR);
  if (code != CURLE_OK && !refused) return fail(error_of(code, detail, config_.endpoint));
  return std::move(transfer.response);
}

}  // namespace spool
