// The wall around a handler, and what its ending means. Pure but for the call itself; any thread.
#pragma once

#include <chrono>

#include "queue/executor.h"

namespace spool {

// An error as the ending it deserves: another attempt where the table of codes says that one may help,
// otherwise the job has failed.
[[nodiscard]] Ending ending_of(Error error);

// Runs the handler. An exception that escapes it is a failed attempt that names the kind.
[[nodiscard]] Ending call_handler(const Kind& kind, Attempt& attempt);

// What counts of an attempt that was asked to stop: work that was finished all the same is taken; anything
// else says why it was stopped, whatever the handler made of it.
[[nodiscard]] Ending ending_after_stop(Ending ending, StopReason reason);

[[nodiscard]] std::string_view name(StopReason reason);

}  // namespace spool
