// Whether a worker has come to the end of what it could do (`spool worker --until-idle`).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "queue/worker.h"

namespace spool {

struct LeftJobs {
  // Wait for a worker, and not for this one: they are in other queues, ask for other tags or more slots, or
  // are of kinds that it does not run.
  std::int64_t for_others = 0;
  std::int64_t for_later = 0;  // it could run them, but they were asked for at a later time
};

// nullopt: there is something that it could run, or could again (a retry's wait, a snooze), something runs
// that may lead to that, or the store did not answer. What is held waits for its owner, what a paused queue
// or a limit of none has for its operator, what waits for other jobs for those.
[[nodiscard]] std::optional<LeftJobs> left_when_idle(Store& store, const Worker& worker,
                                                     const std::vector<std::string>& queues);
// "1 job is left for other workers"; empty: none is left.
[[nodiscard]] std::string in_words(const LeftJobs& left);

}  // namespace spool
