// Whether a worker has come to the end of what it could do (`spool worker --until-idle`).
#pragma once

#include <cstdint>
#include <optional>

#include "queue/worker.h"

namespace spool {

// How many jobs are left that wait for a worker, and not for this one: they are in other queues, ask for
// other tags or more slots, or are of kinds that it does not run. nullopt: there is something that it could
// run, something runs that may lead to that, or the store did not answer. What is held waits for its owner,
// what a paused queue or a limit of none has for its operator, what waits for other jobs for those.
[[nodiscard]] std::optional<std::int64_t> left_for_others(Store& store, const Worker& worker,
                                                          const std::vector<std::string>& queues);

}  // namespace spool
