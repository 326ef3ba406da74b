// RunningAttempts: what a worker has in hand. Thread-safe.
//
// start() and stop() reach the executor under the table's lock: a stop can neither overtake the start of its
// attempt nor hit a later attempt of the same job. An executor that calls AttemptEvents from inside start()
// or stop() is fine: those take other locks.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "queue/executor.h"

namespace spool {

struct RunningAttempt {
  std::shared_ptr<const Claim> claim;
  const Kind* kind = nullptr;
  Executor* executor = nullptr;
  BootClock::time_point timeout_at{};
  std::optional<StopReason> stopping;
  bool lost = false;      // its lease is gone: its ending counts for nothing
  bool in_doubt = false;  // its settlement may have been made: where it is refused, it was
};

class RunningAttempts {
 public:
  explicit RunningAttempts(Duration grace) : grace_(grace) {}

  enum class Start { kStarted, kLeaseLost, kStillEnding, kClosed };
  // kLeaseLost: lose_all() came first; kStillEnding: a lost attempt of the same job has not ended yet;
  // kClosed: close() came first.
  [[nodiscard]] Start start(RunningAttempt attempt);
  // Takes out what has ended; nullopt: no such attempt.
  [[nodiscard]] std::optional<RunningAttempt> take(Uuid job, Token token);
  [[nodiscard]] std::optional<RunningAttempt> find(Uuid job) const;

  [[nodiscard]] std::vector<Token> tokens() const;
  [[nodiscard]] int slots() const;
  [[nodiscard]] std::size_t size() const;

  // Each is asked at most once, but for a lost lease, which kills at once.
  void stop(std::span<const Uuid> jobs, StopReason reason);
  void stop_all(StopReason reason);
  // Stops all, and nothing starts any more.
  void close();
  // Stops what is past its timeout; returns when the next one will be.
  BootClock::time_point stop_timed_out(BootClock::time_point now);
  // The lease is gone: everything `but` those is stopped and lost, and nothing starts until accept().
  void lose_all(std::span<const Token> but = {});
  void accept();

 private:
  void stop(RunningAttempt& attempt, StopReason reason);

  const Duration grace_;
  mutable std::mutex mutex_;
  std::unordered_map<Uuid, RunningAttempt> attempts_;
  int slots_ = 0;
  bool accepting_ = false, closed_ = false;
};

}  // namespace spool
