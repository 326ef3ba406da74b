// Cron expressions and the times that they mean in a time zone. Pure functions, but for the system's time
// zone database (the package tzdata), which is read once. Thread-safe.
//
// Five fields: minute (0-59), hour (0-23), day of the month (1-31), month (1-12 or jan-dec), day of the week
// (0-7 or sun-sat; 0 and 7 are Sunday). A field is a list of *, N, A-B, each with an optional step: */15,
// 8-18/2; N/S is from N to the end. Or @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly.
// When both days are given (neither begins with *), a date that fits either one is meant; else both must fit.
//
// A local time that does not exist, because clocks go forward, means the moment at which they did; times that
// mean the same moment tick once together. One that exists twice, because they go back, means the first, so
// that each local time ticks once; but where every hour is meant (*), it means both: an interval goes on.
#pragma once

#include <bitset>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "queue/schedule.h"

namespace spool {

struct Cron {
  std::bitset<60> minutes;
  std::bitset<24> hours;
  std::bitset<32> days;     // 1..31
  std::bitset<13> months;   // 1..12
  std::bitset<7> weekdays;  // 0: Sunday
  bool either_day = false;  // days and weekdays are both given
};

// Errors: kInvalidArgument, naming the field; also for a date that never comes (30 February).
[[nodiscard]] Result<Cron> parse_cron(std::string_view text);

// Errors: kInvalidArgument when there is no such zone here.
[[nodiscard]] Result<void> check_zone(const std::string& zone);
// The first tick after `after`. Errors: as parse_cron() and check_zone().
[[nodiscard]] Result<Time> next_tick(const Cron& cron, const std::string& zone, Time after);

// What is to be done for a schedule whose time has come.
struct DueTicks {
  std::vector<Time> run;  // one job for each
  Time next{};            // the tick after them
};
// A tick that no worker saw within this time is missed.
inline constexpr Duration kMissedAfter = std::chrono::minutes(1);
inline constexpr std::size_t kMostTicksAtOnce = 100;  // the others follow

// `now` is not before schedule.next. Errors: as next_tick().
[[nodiscard]] Result<DueTicks> due_ticks(const Schedule& schedule, Time now);

}  // namespace spool
