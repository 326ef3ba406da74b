#include "objects/s3_clock.h"

#include <spdlog/spdlog.h>

namespace spool {
namespace {

constexpr Duration kTheSame = std::chrono::minutes(1);  // services tell whole seconds, answers take some

}  // namespace

void S3Clock::learn(Time theirs) {
  const std::lock_guard lock(mutex_);
  if (std::chrono::abs(theirs - now()) < kTheSame) return;  // another request has learned it meanwhile
  const Duration ahead = theirs - machine_();
  ahead_ = ahead;
  if (std::chrono::abs(ahead) < kTheSame) {
    spdlog::info("this machine's clock agrees with that of the S3 service again");
    return;
  }
  const auto minutes = std::chrono::round<std::chrono::minutes>(std::chrono::abs(ahead)).count();
  spdlog::warn(
      "this machine's clock is {} minutes {} that of the S3 service: set it (NTP); requests are signed with "
      "the service's time until then",
      minutes, ahead < Duration(0) ? "ahead of" : "behind");
}

}  // namespace spool
