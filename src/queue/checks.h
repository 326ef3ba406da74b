// What a store refuses before it touches its database, whatever database that is. Jobs and reports: draft.h.
//
// Plain functions; thread-safe. Errors: kInvalidArgument; check_schedule() also has those of draft().
#pragma once

#include <string_view>

#include "queue/store.h"

namespace spool {

[[nodiscard]] Result<void> check_worker(const WorkerInfo& worker);
[[nodiscard]] Result<void> check_queue(std::string_view name);
[[nodiscard]] Result<void> check_limit(const Limit& limit);
[[nodiscard]] Result<void> check_schedule(const Schedule& schedule);
[[nodiscard]] Result<void> check_rules(const PruneRules& rules);

}  // namespace spool
