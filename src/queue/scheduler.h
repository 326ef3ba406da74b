// Scheduler: inserts the jobs of schedules when their time has come. Any number of them may work on one
// store: each tick is one's, who moves the schedule on and inserts in one commit (Store::tick). One thread.
#pragma once

#include <map>
#include <string>

#include "queue/store.h"

namespace spool {

class Scheduler {
 public:
  explicit Scheduler(Store& store) : store_(store) {}

  // Does what is due, and returns how long nothing is. Errors: the store's; a schedule that is wrong is told
  // about once, and keeps no other from its turn.
  Result<Duration> turn();

 private:
  Result<void> tick(const Schedule& schedule, Time now);
  void tell(const Schedule& schedule, const Error& error);

  Store& store_;
  std::map<std::string, std::string> told_;  // by schedule
};

// What a tick inserts: the schedule's job, with the labels "schedule" (its name) and "tick" (RFC 3339, UTC).
[[nodiscard]] NewJob job_of_tick(const Schedule& schedule, Time tick);

}  // namespace spool
