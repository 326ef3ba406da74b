#include "queue/handler_call.h"

#include <fmt/format.h>

#include <exception>
#include <new>

namespace spool {

Ending ending_of(Error error) {
  if (disposition(error.code) == Disposition::kRetry) return RetryLater{std::move(error), std::nullopt};
  return Failed{std::move(error)};
}

Ending call_handler(const Kind& kind, Attempt& attempt) {
  try {
    return kind.run(attempt);
  } catch (const std::bad_alloc&) {
    return ending_of({Code::kUnavailable, fmt::format("'{}': out of memory", kind.name)});
  } catch (const std::exception& e) {
    return ending_of({Code::kInternal, fmt::format("'{}' threw an exception: {}", kind.name, e.what())});
  } catch (...) {
    return ending_of({Code::kInternal, fmt::format("'{}' threw something that is no exception", kind.name)});
  }
}

Ending ending_after_stop(Ending ending, StopReason reason) {
  if (std::holds_alternative<Succeeded>(ending) || std::holds_alternative<FanOut>(ending)) return ending;
  switch (reason) {
    case StopReason::kCancelled:
      return Failed{{Code::kCancelled, "cancelled"}};
    case StopReason::kTimedOut:
      return RetryLater{{Code::kTimeout, "ran longer than its timeout"}, std::nullopt};
    case StopReason::kStalled:
      return RetryLater{{Code::kTimeout, "gave no sign of life for too long"}, std::nullopt};
    case StopReason::kDraining:
    case StopReason::kLeaseLost:
      return Released{};
  }
  return ending;
}

std::string_view name(StopReason reason) {
  switch (reason) {
    case StopReason::kCancelled:
      return "cancelled";
    case StopReason::kTimedOut:
      return "timed out";
    case StopReason::kStalled:
      return "stalled";
    case StopReason::kDraining:
      return "draining";
    case StopReason::kLeaseLost:
      return "lease lost";
  }
  return "?";
}

}  // namespace spool
