#include "queue/state.h"

#include <algorithm>
#include <array>

namespace spool {
namespace {

using enum State;

constexpr std::array kNames = {std::string_view("created"),   std::string_view("waiting"),
                               std::string_view("scheduled"), std::string_view("available"),
                               std::string_view("running"),   std::string_view("succeeded"),
                               std::string_view("failed"),    std::string_view("cancelled")};
static_assert(kNames.size() == kStateCount);

constexpr std::array kTable = {
    Transition{kCreated, Event::kStart, kAvailable,
               "waiting while a need is open, scheduled while its time has not come"},
    Transition{kCreated, Event::kNeedFailed, kFailed, ""},
    Transition{kCreated, Event::kFail, kFailed, "its deadline passed, or a child failed"},
    Transition{kCreated, Event::kCancel, kCancelled, ""},

    Transition{kWaiting, Event::kNeedsEnded, kAvailable, "scheduled while its time has not come"},
    Transition{kWaiting, Event::kAdmit, kAvailable, "it waited for nothing but a limit"},
    Transition{kWaiting, Event::kNeedFailed, kFailed, ""},
    Transition{kWaiting, Event::kFail, kFailed, "a child failed, or its deadline passed"},
    Transition{kWaiting, Event::kCancel, kCancelled, "after the last of its children has ended"},

    Transition{kScheduled, Event::kTimeCame, kAvailable, ""},
    Transition{kScheduled, Event::kFanOut, kWaiting, "children were inserted below it"},
    Transition{kScheduled, Event::kFail, kFailed, "its deadline passed"},
    Transition{kScheduled, Event::kCancel, kCancelled, ""},

    Transition{kAvailable, Event::kClaim, kRunning, ""},
    Transition{kAvailable, Event::kLimit, kWaiting, "a limit was set that has no place for it"},
    Transition{kAvailable, Event::kFanOut, kWaiting, "children were inserted below it"},
    Transition{kAvailable, Event::kFail, kFailed, "its deadline passed"},
    Transition{kAvailable, Event::kCancel, kCancelled, ""},

    Transition{kRunning, Event::kSucceed, kSucceeded, "also after it was asked to stop"},
    Transition{kRunning, Event::kFanOut, kWaiting, "available in its next phase if no child is open"},
    Transition{kRunning, Event::kRetryLater, kScheduled, "available if the back-off is zero"},
    Transition{kRunning, Event::kSnooze, kScheduled, "available if the duration is zero"},
    Transition{kRunning, Event::kRelease, kAvailable, ""},
    Transition{kRunning, Event::kRescue, kAvailable, ""},
    Transition{kRunning, Event::kFail, kFailed,
               "also when its attempts, its rescues or its time are used up"},
    Transition{kRunning, Event::kCancel, kCancelled, "it was asked to stop, and ended otherwise than well"},

    Transition{kFailed, Event::kReopen, kAvailable, "waiting while a need or a child is open again"},
    Transition{kCancelled, Event::kReopen, kAvailable, "waiting while a need or a child is open again"},
};

}  // namespace

std::span<const Transition> transitions() {
  return kTable;
}

std::optional<State> next(State from, Event event) {
  for (const Transition& t : kTable)
    if (t.from == from && t.event == event) return t.to;
  return std::nullopt;
}

std::string_view name(State state) {
  return kNames.at(static_cast<std::size_t>(state));
}

std::string_view name(Event event) {
  switch (event) {
    case Event::kStart:
      return "start";
    case Event::kNeedsEnded:
      return "needs_ended";
    case Event::kNeedFailed:
      return "need_failed";
    case Event::kTimeCame:
      return "time_came";
    case Event::kLimit:
      return "limit";
    case Event::kAdmit:
      return "admit";
    case Event::kClaim:
      return "claim";
    case Event::kSucceed:
      return "succeed";
    case Event::kFanOut:
      return "fan_out";
    case Event::kRetryLater:
      return "retry_later";
    case Event::kSnooze:
      return "snooze";
    case Event::kRelease:
      return "release";
    case Event::kRescue:
      return "rescue";
    case Event::kFail:
      return "fail";
    case Event::kCancel:
      return "cancel";
    case Event::kReopen:
      return "reopen";
  }
  return "";
}

std::optional<State> state_from_name(std::string_view text) {
  const auto found = std::find(kNames.begin(), kNames.end(), text);
  if (found == kNames.end()) return std::nullopt;
  return static_cast<State>(found - kNames.begin());
}

}  // namespace spool
