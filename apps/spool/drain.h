// Asking workers to drain, wherever they run: `spool worker --drain`.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "queue/store.h"

namespace spool {

// Those that a name means: "HOST:PID" as `spool workers` shows it, "HOST" for all that run there, or an id or
// the beginning of one. Errors: kNotFound; kInvalidArgument for a beginning that several ids have.
[[nodiscard]] Result<std::vector<SessionInfo>> workers_named(std::span<const SessionInfo> all,
                                                             const std::string& name);

// Asks them, and waits until the last of them has ended; says so of each on stdout.
[[nodiscard]] Result<void> drain_workers(Store& store, std::span<const std::string> names);

}  // namespace spool
