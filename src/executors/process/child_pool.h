// ChildPool: which child an attempt gets. A child begins as a spare, is bound to the owner and the tree of
// its first attempt, serves that tree only, and is ended after a number of attempts, when it has grown, or
// when it was idle too long: no process ever sees two owners' media.
//
// Belongs to the event loop's thread. It holds children; starting, killing and talking are for others.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "executors/process/attempt_run.h"
#include "executors/process/child.h"
#include "executors/process/process_executor.h"

namespace spool::process {

// Whose media a process may see.
struct Tree {
  std::string owner;
  Uuid root;
  auto operator<=>(const Tree&) const = default;
};

struct Slot {
  std::unique_ptr<Child> child;
  std::optional<Tree> tree;         // nullopt: a spare
  std::unique_ptr<AttemptRun> run;  // nullptr: idle
  std::uint64_t serial = 0;         // of the attempt: a late answer for another one is dropped
  bool ready = false;               // it has spoken
  bool retired = false;             // on its way out
  int attempts = 0;
  Clock::time_point since{};  // started, or idle
  Clock::time_point look_at{};
  std::optional<Clock::time_point> closed_at;  // its socket

  [[nodiscard]] bool spare() const { return !tree && !retired; }
  [[nodiscard]] bool idle() const { return tree && !run && !retired; }
};

class ChildPool {
 public:
  explicit ChildPool(const ProcessOptions& options) : options_(options) {}

  Slot& add(std::unique_ptr<Child> child, Clock::time_point now);
  // Destroys it.
  void remove(const Child& child);
  [[nodiscard]] Slot* find(const Child& child);
  [[nodiscard]] Slot* find_attempt(std::uint64_t serial);
  // An idle child of this tree, or a spare (a ready one if there is one); nullptr: start one.
  [[nodiscard]] Slot* choose(const Tree& tree);
  // How many spares are missing.
  [[nodiscard]] int missing_spares() const;
  // The children that are of no more use now.
  [[nodiscard]] std::vector<Slot*> spent(Clock::time_point now);
  // When spent() may have more.
  [[nodiscard]] std::optional<Clock::time_point> next_spent() const;
  [[nodiscard]] bool worn(const Slot& slot, const std::optional<ProcessStats>& stats) const;

  [[nodiscard]] auto begin() { return slots_.begin(); }
  [[nodiscard]] auto end() { return slots_.end(); }
  void clear() { slots_.clear(); }

 private:
  const ProcessOptions& options_;
  std::map<const Child*, Slot> slots_;
};

}  // namespace spool::process
