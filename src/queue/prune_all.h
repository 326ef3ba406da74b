// Pruning as a whole: Store::prune() in pieces, so that leases are renewed beside it. Thread-safe.
#pragma once

#include <functional>

#include "queue/store.h"

namespace spool {

// Until nothing is left that goes by these rules, or `stop` (asked before each piece; may be empty) says so.
// Returns how many jobs went. Errors: those of prune().
[[nodiscard]] Result<std::int64_t> prune_all(Store& store, const PruneRules& rules,
                                             const std::function<bool()>& stop = {});

}  // namespace spool
