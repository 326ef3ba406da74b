#include "objects/s3_client.h"

#include <algorithm>
#include <condition_variable>
#include <random>

#include "objects/s3_failure.h"

namespace spool {
namespace {

// What services allow for. docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html, RequestTimeTooSkewed
constexpr Duration kMostApart = std::chrono::minutes(15);

// Whether a request was refused for the time that it was signed with. An answer to HEAD has no body that says
// so.
bool is_about_time(const S3Failure& failure, const S3Response& response, const S3Request& request,
                   Time ours) {
  if (failure.code == "RequestTimeTooSkewed") return true;
  return request.method == "HEAD" && response.status == 403 && response.date() &&
         std::chrono::abs(*response.date() - ours) > kMostApart;
}

// Whether it was refused for keys that are not good any more: temporary ones, or such as were replaced. An
// answer to HEAD has no body that says so.
bool is_about_keys(const S3Failure& failure, const S3Response& response, const S3Request& request) {
  for (const char* code : {"ExpiredToken", "InvalidToken", "InvalidAccessKeyId", "SignatureDoesNotMatch"})
    if (failure.code == code) return true;
  return request.method == "HEAD" && (response.status == 400 || response.status == 403);
}

void wait_for(std::chrono::milliseconds most, const std::stop_token& interrupted) {
  std::mutex mutex;
  std::condition_variable_any ended;
  std::unique_lock lock(mutex);
  ended.wait_for(lock, interrupted, most, [] { return false; });
}

}  // namespace

bool S3Retries::again(const S3Failure& failure) {
  const S3Patience& patience = client_.config().patience;
  if (!failure.again || tries_ >= patience.tries) return false;
  thread_local std::minstd_rand random{std::random_device{}()};
  const auto most = std::min(patience.longest_wait, patience.first_wait * (1 << std::min(tries_ - 1, 16)));
  std::chrono::milliseconds wait(std::uniform_int_distribution<std::int64_t>(0, most.count())(random));
  wait = std::max(wait, std::min<std::chrono::milliseconds>(failure.after, patience.longest_wait));
  wait_for(wait, client_.interrupted());
  ++tries_;
  return true;
}

S3Result S3Client::once(const S3Request& request, int earlier_tries) {
  const S3Credentials keys = connections_.keys().now();
  S3Result result = signed_once(request, earlier_tries);
  if (result) return result;
  if (result.error().right_time)
    connections_.clock().learn(*result.error().right_time);
  else if (!result.error().keys_are_over || !connections_.keys().renew(keys))
    return result;
  return signed_once(request, earlier_tries);
}

S3Result S3Client::signed_once(const S3Request& request, int earlier_tries) {
  const Time ours = now();
  Result<S3Response> response = connections_.send(request, earlier_tries);
  if (!response) {
    const Code code = response.error().code;
    return tl::unexpected(
        S3Failure{std::move(response).error(), "", code == Code::kUnavailable || code == Code::kTimeout});
  }
  if (response->status / 100 != 2 || (request.long_work && is_s3_error(response->body))) {
    S3Failure failure = s3_failure(*response, request, config());
    if (is_about_time(failure, *response, request, ours)) failure.right_time = response->date();
    failure.keys_are_over = is_about_keys(failure, *response, request);
    return tl::unexpected(std::move(failure));
  }
  return S3Answer{*std::move(response)};
}

S3Result S3Client::send(const S3Request& request) {
  for (S3Retries retries(*this);;) {
    S3Result result = once(request, retries.tries() - 1);
    if (result) {
      result->tries = retries.tries();
      return result;
    }
    result.error().tries = retries.tries();
    if (!retries.again(result.error())) return result;
  }
}

}  // namespace spool
