// InlineExecutor: runs handlers in the manager itself, on a bounded pool of threads. For what is trusted and
// tiny, and for handlers that mostly wait (a command, later a network call).
//
// The pool starts with a few threads and grows, one at a time, while nobody comes for what is waiting: a
// handler that blocks does not hold up others until `most_threads` block. An attempt that is asked to stop
// sees its stop token; it cannot be killed. Thread-safe. The destructor asks everything to stop and waits for
// it; who cannot wait looks at running() first.
#pragma once

#include <memory>

#include "queue/executor.h"

namespace spool {

class InlineExecutor : public Executor {
 public:
  // `files` may be null: then handlers have no inputs and outputs. Both outlive the executor.
  InlineExecutor(AttemptEvents events, AttemptFiles* files, int most_threads = 64);
  ~InlineExecutor() override;

  void start(std::shared_ptr<const Claim> claim, const Kind& kind) override;
  void flush() override;
  void stop(Uuid job, StopReason reason, Duration grace) override;
  void discard(std::shared_ptr<const Claim> claim) override;
  // How many attempts have not ended, waiting ones too.
  [[nodiscard]] std::size_t running() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace spool
