#include "queue/scheduler.h"

#include <fmt/chrono.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "queue/cron.h"

namespace spool {
namespace {

constexpr Duration kLookAgain = std::chrono::seconds(10);  // for schedules that were added meanwhile

}  // namespace

NewJob job_of_tick(const Schedule& schedule, Time tick) {
  NewJob job = schedule.job;
  job.labels["schedule"] = schedule.name;
  const std::time_t seconds = std::chrono::floor<std::chrono::seconds>(tick).time_since_epoch().count();
  job.labels["tick"] = fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(seconds));
  return job;
}

Result<Duration> Scheduler::turn() {
  SPOOL_ASSIGN(const std::vector<Schedule> schedules, store_.schedules());
  if (schedules.empty()) return kLookAgain;
  SPOOL_ASSIGN(const Time now, store_.now());
  Duration rest = kLookAgain;
  for (const Schedule& schedule : schedules) {
    if (schedule.next > now) {
      rest = std::min(rest, schedule.next - now);
      continue;
    }
    SPOOL_TRY(tick(schedule, now));
  }
  return rest;
}

Result<void> Scheduler::tick(const Schedule& schedule, Time now) {
  const auto due = due_ticks(schedule, now);
  if (!due) {
    tell(schedule, due.error());
    return {};
  }
  std::vector<NewJob> jobs;
  for (const Time time : due->run) jobs.push_back(job_of_tick(schedule, time));
  const auto moved = store_.tick(schedule.name, schedule.next, due->next, jobs);
  if (moved) {
    told_.erase(schedule.name);
    return {};
  }
  if (disposition(moved.error().code) != Disposition::kGiveUp) return fail(moved.error());
  tell(schedule, moved.error());
  return {};
}

void Scheduler::tell(const Schedule& schedule, const Error& error) {
  std::string& last = told_[schedule.name];
  if (last != error.message) spdlog::warn("the schedule {} does not tick: {}", schedule.name, error.message);
  last = error.message;
}

}  // namespace spool
