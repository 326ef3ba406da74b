#include "queue/running_attempts.h"

#include <algorithm>

namespace spool {

RunningAttempts::Start RunningAttempts::start(RunningAttempt attempt) {
  const std::lock_guard lock(mutex_);
  if (!accepting_) return Start::kLeaseLost;
  if (closed_) return Start::kClosed;
  const auto [it, added] = attempts_.try_emplace(attempt.claim->job, std::move(attempt));
  if (!added) return Start::kStillEnding;
  const RunningAttempt& running = it->second;
  slots_ += running.claim->slots;
  running.executor->start(running.claim, *running.kind);
  return Start::kStarted;
}

std::optional<RunningAttempt> RunningAttempts::take(Uuid job, Token token) {
  const std::lock_guard lock(mutex_);
  const auto it = attempts_.find(job);
  if (it == attempts_.end() || it->second.claim->token != token) return std::nullopt;
  RunningAttempt attempt = std::move(it->second);
  attempts_.erase(it);
  slots_ -= attempt.claim->slots;
  return attempt;
}

std::optional<RunningAttempt> RunningAttempts::find(Uuid job) const {
  const std::lock_guard lock(mutex_);
  const auto it = attempts_.find(job);
  return it == attempts_.end() ? std::nullopt : std::optional(it->second);
}

std::vector<Token> RunningAttempts::tokens() const {
  const std::lock_guard lock(mutex_);
  std::vector<Token> tokens;
  tokens.reserve(attempts_.size());
  for (const auto& [job, attempt] : attempts_) tokens.push_back(attempt.claim->token);
  return tokens;
}

int RunningAttempts::slots() const {
  const std::lock_guard lock(mutex_);
  return slots_;
}

std::size_t RunningAttempts::size() const {
  const std::lock_guard lock(mutex_);
  return attempts_.size();
}

void RunningAttempts::stop(RunningAttempt& attempt, StopReason reason) {
  const bool at_once = reason == StopReason::kLeaseLost;
  if (attempt.stopping && !at_once) return;
  attempt.stopping = reason;
  attempt.executor->stop(attempt.claim->job, reason, at_once ? Duration(0) : grace_);
}

void RunningAttempts::stop(std::span<const Uuid> jobs, StopReason reason) {
  const std::lock_guard lock(mutex_);
  for (const Uuid& job : jobs)
    if (const auto it = attempts_.find(job); it != attempts_.end()) stop(it->second, reason);
}

void RunningAttempts::stop_all(StopReason reason) {
  const std::lock_guard lock(mutex_);
  for (auto& [job, attempt] : attempts_) stop(attempt, reason);
}

void RunningAttempts::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  for (auto& [job, attempt] : attempts_) stop(attempt, StopReason::kDraining);
}

BootClock::time_point RunningAttempts::stop_timed_out(BootClock::time_point now) {
  const std::lock_guard lock(mutex_);
  auto next = BootClock::time_point::max();
  for (auto& [job, attempt] : attempts_) {
    if (attempt.stopping) continue;
    if (attempt.timeout_at <= now) {
      stop(attempt, StopReason::kTimedOut);
    } else {
      next = std::min(next, attempt.timeout_at);
    }
  }
  return next;
}

void RunningAttempts::lose_all(std::span<const Token> but) {
  const std::lock_guard lock(mutex_);
  accepting_ = false;
  for (auto& [job, attempt] : attempts_) {
    if (attempt.lost || std::ranges::find(but, attempt.claim->token) != but.end()) continue;
    attempt.lost = true;
    stop(attempt, StopReason::kLeaseLost);
  }
}

void RunningAttempts::accept() {
  const std::lock_guard lock(mutex_);
  accepting_ = true;
}

}  // namespace spool
