// The states of a job and the one table of their transitions. docs/state_machine.md is checked against it.
#pragma once

#include <optional>
#include <span>
#include <string_view>

namespace spool {

enum class State {
  kCreated,    // accepted, held until its owner starts it
  kWaiting,    // has unfinished needs (earlier steps, or its own children), or a limit has no place for it
  kScheduled,  // its time has not come
  kAvailable,  // may be claimed
  kRunning,    // one attempt runs, under a token
  kSucceeded,
  kFailed,
  kCancelled,
};
inline constexpr int kStateCount = 8;

enum class Event {
  kStart,       // the owner starts a held job
  kNeedsEnded,  // the last need ended well, or all children ended
  kNeedFailed,  // a need with on_failure: fail ended badly
  kTimeCame,
  kLimit,  // a limit was set that has no place for it
  kAdmit,  // its limits have a place for it
  kClaim,
  kSucceed,
  kFanOut,
  kRetryLater,  // an attempt failed and another will follow
  kSnooze,
  kRelease,  // given back unharmed: draining
  kRescue,   // its worker's lease is gone
  kFail,     // an attempt failed for good; limits or deadline exceeded
  kCancel,
  kReopen,  // retry of an ended job
};

struct Transition {
  State from;
  Event event;
  State to;
  // Where the target depends on the job (a delay or open needs), the row names the usual one and this says
  // so.
  std::string_view note;
};

[[nodiscard]] std::span<const Transition> transitions();
// nullopt: not allowed from there.
[[nodiscard]] std::optional<State> next(State from, Event event);
[[nodiscard]] std::string_view name(State state);
[[nodiscard]] std::string_view name(Event event);
[[nodiscard]] std::optional<State> state_from_name(std::string_view name);
[[nodiscard]] constexpr bool ended(State state) {
  return state >= State::kSucceeded;
}

}  // namespace spool
