// AttemptRun: one attempt in one child, as the manager keeps it: what it asked for, what it used, when it
// last showed a sign of life, and what its end means. No descriptor of a process in here, and time is an
// argument.
//
// Belongs to the event loop's thread.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/file.h"
#include "executors/process/limits.h"
#include "executors/process/process_stats.h"
#include "queue/executor.h"

namespace spool::process {

using Clock = BootClock;

// An input that is read by the manager. What was asked for is left in memory that the child can read.
struct RemoteInput {
  ByteSource source;  // by one thread at a time: one question is open
  UniqueFd memory;
};

class AttemptRun {
 public:
  AttemptRun(std::shared_ptr<const Claim> claim, const Kind& kind, Clock::time_point now);

  [[nodiscard]] const std::shared_ptr<const Claim>& claim() const { return claim_; }
  [[nodiscard]] const Kind& kind() const { return *kind_; }

  // --- what it says
  void on_progress(double fraction, Json detail);
  void on_checkpoint(Json value);
  // What is to be told to the worker now, if anything is; reports are merged, the latest wins.
  [[nodiscard]] std::optional<ProgressReport> report_due(Clock::time_point now, bool at_once = false);
  // Its one question that is not answered yet: file work in another thread.
  enum class Question { kNone, kRead, kOther };
  Question question = Question::kNone;
  std::map<std::string, UniqueFd, std::less<>> outputs;      // created, not committed
  std::map<int, std::shared_ptr<const RemoteInput>> inputs;  // that are no local files, by number
  int last_input = 0;

  // --- what the watchdog knows
  void begin(const std::optional<ProcessStats>& stats, Clock::time_point now);  // its child was ready
  void message(Clock::time_point now) { last_sign_ = last_message_ = now; }     // it spoke, or was answered
  void sign(Clock::time_point now) { last_sign_ = now; }                        // it reads
  void look(const std::optional<ProcessStats>& stats, Clock::time_point now);
  // What is wrong with it now: past its timeout, stalled, busy without progress, or too much CPU time. Once.
  [[nodiscard]] std::optional<StopReason> overdue(const Limits& limits, Clock::time_point now);
  // When look() and overdue() should be called again.
  [[nodiscard]] Clock::time_point next_look(Clock::time_point now) const;

  // --- its end
  void ask_to_stop(StopReason reason, Clock::time_point kill_at);
  [[nodiscard]] const std::optional<StopReason>& asked_to_stop() const { return asked_; }
  [[nodiscard]] bool grace_is_over(Clock::time_point now) const { return asked_ && now >= kill_at_; }
  [[nodiscard]] std::optional<Clock::time_point> kill_at() const;
  // Its end by force; the first reason stays.
  void condemn(Error error);
  [[nodiscard]] const std::optional<Error>& condemned() const { return condemned_; }

  // What is settled when the child says `ending`, or when its process ended as `words` tell.
  [[nodiscard]] Ending ending_said(Ending ending) const;
  [[nodiscard]] Ending ending_of_process(const std::string& words) const;
  [[nodiscard]] Usage usage(const Usage& said) const;

 private:
  [[nodiscard]] Error error_of(StopReason reason) const;
  [[nodiscard]] Duration timeout() const { return time_limit(*claim_, *kind_); }

  std::shared_ptr<const Claim> claim_;
  const Kind* kind_;
  Clock::time_point began_, last_sign_, last_message_;
  std::optional<ProcessStats> first_, latest_;
  std::int64_t peak_ = 0;

  std::optional<ProgressReport> report_;
  std::optional<Clock::time_point> last_report_;

  std::optional<StopReason> asked_;
  bool too_much_cpu_ = false, no_progress_ = false;
  Clock::time_point kill_at_{};
  std::optional<Error> condemned_;
};

}  // namespace spool::process
