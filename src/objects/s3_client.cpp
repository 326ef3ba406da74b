#include "objects/s3_client.h"

#include <algorithm>
#include <random>
#include <thread>

#include "objects/s3_failure.h"

namespace spool {

bool S3Retries::again(const S3Failure& failure) {
  if (!failure.again || tries_ >= patience_.tries) return false;
  thread_local std::minstd_rand random{std::random_device{}()};
  const auto most = std::min(patience_.longest_wait, patience_.first_wait * (1 << std::min(tries_ - 1, 16)));
  std::chrono::milliseconds wait(std::uniform_int_distribution<std::int64_t>(0, most.count())(random));
  wait = std::max(wait, std::min<std::chrono::milliseconds>(failure.after, patience_.longest_wait));
  std::this_thread::sleep_for(wait);
  ++tries_;
  return true;
}

S3Result S3Client::once(const S3Request& request) {
  Result<S3Response> response = connections_.send(request);
  if (!response) {
    const Code code = response.error().code;
    return tl::unexpected(
        S3Failure{std::move(response).error(), "", code == Code::kUnavailable || code == Code::kTimeout});
  }
  if (response->status / 100 != 2 || (request.long_work && is_s3_error(response->body)))
    return tl::unexpected(s3_failure(*response, request, config()));
  return S3Answer{*std::move(response)};
}

S3Result S3Client::send(const S3Request& request) {
  for (S3Retries retries(config().patience);;) {
    S3Result result = once(request);
    if (result) {
      result->tries = retries.tries();
      return result;
    }
    result.error().tries = retries.tries();
    if (!retries.again(result.error())) return result;
  }
}

}  // namespace spool
