// Time. The store owns the wall clock: nothing outside a store reads one to decide anything.
// A process measures its own waits (lease, watchdog) on CLOCK_BOOTTIME, which counts suspended time too.
#pragma once

#include <chrono>
#include <ctime>

namespace spool {

using Duration = std::chrono::microseconds;
using Time = std::chrono::sys_time<std::chrono::microseconds>;  // by the store's clock

// A std::chrono clock over CLOCK_BOOTTIME.
struct BootClock {
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<BootClock>;
  static constexpr bool is_steady = true;
  [[nodiscard]] static time_point now() noexcept {
    timespec t{};
    clock_gettime(CLOCK_BOOTTIME, &t);
    return time_point(std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec));
  }
};

}  // namespace spool
