// Executor: where attempts run. The worker gives it claims and takes endings; it knows no store.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "queue/attempt.h"
#include "queue/kind.h"
#include "queue/store.h"

namespace spool {

enum class StopReason { kCancelled, kTimedOut, kStalled, kDraining, kLeaseLost };

// What an executor tells the worker. Called from any thread; must not block.
struct AttemptEvents {
  std::function<void(const Claim&, ProgressReport)> report;
  // Exactly once for every start(), also after a crash, a kill or a refusal.
  std::function<void(const Claim&, Settlement)> ended;
};

class Executor {
 public:
  virtual ~Executor() = default;
  // Returns at once. `kind` outlives the attempt.
  virtual void start(std::shared_ptr<const Claim> claim, const Kind& kind) = 0;
  // Follows one or more start(): until then what was started may wait, so that many wake a thread once.
  virtual void flush() {}
  // Asks the attempt to end, and kills it when `grace` has passed. Unknown jobs are ignored.
  virtual void stop(Uuid job, StopReason reason, Duration grace) = 0;
  // Of an attempt that has ended and can never win: removes what it wrote, once nothing of it is written any
  // more.
  virtual void discard(std::shared_ptr<const Claim> claim) = 0;
};

// An input as a local file, or, of an object that is none, as bytes that are fetched when they are read.
using OpenedInput = std::variant<UniqueFd, ByteSource>;

// How an executor reaches inputs and outputs on behalf of an attempt (the object store behind it is wired in
// apps/). All of it may block. Thread-safe.
class AttemptFiles {
 public:
  virtual ~AttemptFiles() = default;
  virtual Result<OpenedInput> open_input(const Claim& claim, std::string_view reference) = 0;
  // A local file to write. commit_output makes an object of it.
  virtual Result<UniqueFd> create_output(const Claim& claim, std::string_view name) = 0;
  virtual Result<void> commit_output(const Claim& claim, std::string_view name, int fd) = 0;
  // Removes what the attempt wrote; nothing of it is written afterwards.
  virtual void discard(const Claim& claim) = 0;
};

}  // namespace spool
