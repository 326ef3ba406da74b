#include "executors/process/attempt_run.h"

#include <fmt/format.h>

#include <algorithm>

namespace spool::process {
namespace {

constexpr auto kReportEvery = std::chrono::milliseconds(100);
constexpr auto kCheckpointEvery = std::chrono::milliseconds(20);
constexpr auto kLookEvery = std::chrono::milliseconds(500);
constexpr auto kLookLeast = std::chrono::milliseconds(20);

double seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

// A code that may pass is worth another attempt.
Ending ended_with(Error error) {
  if (disposition(error.code) == Disposition::kRetry) return RetryLater{std::move(error), std::nullopt};
  return Failed{std::move(error)};
}

bool finished(const Ending& ending) {
  return std::holds_alternative<Succeeded>(ending) || std::holds_alternative<FanOut>(ending) ||
         std::holds_alternative<Snooze>(ending);
}

}  // namespace

AttemptRun::AttemptRun(std::shared_ptr<const Claim> claim, const Kind& kind, Clock::time_point now)
    : claim_(std::move(claim)), kind_(&kind), began_(now), last_sign_(now), last_message_(now) {}

void AttemptRun::on_progress(double fraction, Json detail) {
  if (!report_) report_ = ProgressReport{claim_->job, claim_->token, std::nullopt, nullptr, std::nullopt};
  report_->fraction = std::max(fraction, report_->fraction.value_or(0));
  if (!detail.is_null()) report_->detail = std::move(detail);
}

void AttemptRun::on_checkpoint(Json value) {
  if (!report_) report_ = ProgressReport{claim_->job, claim_->token, std::nullopt, nullptr, std::nullopt};
  report_->checkpoint = std::move(value);
}

std::optional<ProgressReport> AttemptRun::report_due(Clock::time_point now, bool at_once) {
  if (!report_) return std::nullopt;
  const Clock::duration pause = report_->checkpoint ? kCheckpointEvery : kReportEvery;
  if (!at_once && last_report_ && now - *last_report_ < pause) return std::nullopt;
  last_report_ = now;
  return std::exchange(report_, std::nullopt);
}

void AttemptRun::begin(const std::optional<ProcessStats>& stats, Clock::time_point now) {
  began_ = last_sign_ = last_message_ = now;
  first_ = latest_ = stats;
}

void AttemptRun::look(const std::optional<ProcessStats>& stats, Clock::time_point now) {
  // While its manager owes it an answer it can do nothing. But reading alone is no progress.
  if (question == Question::kOther) message(now);
  if (question == Question::kRead) sign(now);
  if (!stats) return;
  const bool moved = !latest_ || stats->cpu_seconds > latest_->cpu_seconds ||
                     stats->bytes_read.value_or(0) > latest_->bytes_read.value_or(0) ||
                     stats->bytes_written.value_or(0) > latest_->bytes_written.value_or(0);
  if (moved) last_sign_ = now;
  if (!first_) first_ = stats;
  peak_ = std::max(peak_, stats->peak_bytes);
  latest_ = stats;
}

std::optional<StopReason> AttemptRun::overdue(const Limits& limits, Clock::time_point now) {
  if (asked_) return std::nullopt;
  if (now - began_ >= timeout()) return StopReason::kTimedOut;
  if (limits.cpu_seconds > 0 && first_ && latest_->cpu_seconds - first_->cpu_seconds >= limits.cpu_seconds) {
    too_much_cpu_ = true;
    return StopReason::kTimedOut;
  }
  if (now - last_sign_ >= kind_->stall_timeout) return StopReason::kStalled;
  if (now - last_message_ >= kind_->progress_timeout) {
    no_progress_ = true;
    return StopReason::kStalled;
  }
  return std::nullopt;
}

Clock::time_point AttemptRun::next_look(Clock::time_point now) const {
  const auto stall = std::chrono::duration_cast<Clock::duration>(kind_->stall_timeout) / 4;
  auto next = now + std::clamp<Clock::duration>(stall, kLookLeast, kLookEvery);
  if (!asked_) next = std::min(next, began_ + std::chrono::duration_cast<Clock::duration>(timeout()));
  if (report_) next = std::min(next, now + std::chrono::duration_cast<Clock::duration>(kLookLeast));
  return std::max(next, now + std::chrono::milliseconds(1));
}

void AttemptRun::ask_to_stop(StopReason reason, Clock::time_point kill_at) {
  // A worker's own reason outweighs the watchdog's: a job whose lease is lost must not be charged.
  if (!asked_ || reason == StopReason::kLeaseLost || reason == StopReason::kCancelled) asked_ = reason;
  kill_at_ = kill_at_ == Clock::time_point{} ? kill_at : std::min(kill_at_, kill_at);
}

std::optional<Clock::time_point> AttemptRun::kill_at() const {
  return asked_ ? std::optional(kill_at_) : std::nullopt;
}

void AttemptRun::condemn(Error error) {
  if (!condemned_) condemned_ = std::move(error);
}

Error AttemptRun::error_of(StopReason reason) const {
  switch (reason) {
    case StopReason::kTimedOut:
      if (too_much_cpu_)
        return {Code::kTimeout, fmt::format("{}: used more CPU time than it may", kind_->name), 0};
      return {Code::kTimeout, fmt::format("{}: not done after {:.6g} s", kind_->name, seconds(timeout())), 0};
    case StopReason::kStalled:
      if (no_progress_)
        return {Code::kTimeout,
                fmt::format("{}: busy, but no progress for {:.6g} s", kind_->name,
                            seconds(kind_->progress_timeout)),
                0};
      return {Code::kTimeout,
              fmt::format("{}: no sign of life for {:.6g} s", kind_->name, seconds(kind_->stall_timeout)), 0};
    default:
      return {Code::kCancelled, fmt::format("{}: cancelled", kind_->name), 0};
  }
}

Ending AttemptRun::ending_said(Ending ending) const {
  if (!asked_ || finished(ending)) return ending;
  if (*asked_ == StopReason::kDraining || *asked_ == StopReason::kLeaseLost) return Released{};
  return ended_with(error_of(*asked_));
}

Ending AttemptRun::ending_of_process(const std::string& words) const {
  if (asked_ && (*asked_ == StopReason::kDraining || *asked_ == StopReason::kLeaseLost)) return Released{};
  if (condemned_) return ended_with(*condemned_);
  if (asked_) return ended_with(error_of(*asked_));
  return ended_with({Code::kCrashed, fmt::format("{}: its process {}", kind_->name, words), 0});
}

Usage AttemptRun::usage(const Usage& said) const {
  Usage usage = said;
  if (!first_ || !latest_) return usage;
  // What the kernel tells outweighs what the child tells.
  usage.cpu_seconds = latest_->cpu_seconds - first_->cpu_seconds;
  usage.peak_memory_bytes = std::max(peak_, latest_->peak_bytes);
  if (latest_->bytes_read && first_->bytes_read)
    usage.bytes_read = *latest_->bytes_read - *first_->bytes_read;
  if (latest_->bytes_written && first_->bytes_written)
    usage.bytes_written = *latest_->bytes_written - *first_->bytes_written;
  return usage;
}

}  // namespace spool::process
