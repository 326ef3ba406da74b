// Progress of a tree of jobs, and the time it has left. Pure: computed on read from what list() gives.
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <span>

#include "queue/job.h"

namespace spool {

// How a kind that fans out divides its work: what it does before its children exist, the children, what it
// does after them. The three are relative to each other.
struct PhaseWeights {
  double before = 2;
  double children = 96;
  double after = 2;
};
// nullopt: the kind has no children of its own; its progress is what its attempt reports.
using WeighKind = std::function<std::optional<PhaseWeights>(const Job&)>;

// 0..1. `jobs` holds `top` and all below it, in any order; a child counts in its parent by its weight. What
// has succeeded counts in full. Never less than `previous` (a fan-out found more to do, an attempt starts
// again), and 1 only when `top` has succeeded. Without `weigh`, jobs that have children are weighed by
// PhaseWeights{}.
[[nodiscard]] double tree_progress(std::span<const Job> jobs, Uuid top, double previous = 0,
                                   const WeighKind& weigh = {});

// The time left, from the progress of the last while; nothing until it can be trusted: five seconds and one
// percent of progress seen, and the last three estimates within a quarter of each other. Not thread-safe.
class TimeLeft {
 public:
  // `elapsed` must not fall from call to call.
  std::optional<Duration> add(Duration elapsed, double progress);

 private:
  struct Sample {
    Duration elapsed{};
    double progress = 0;
  };
  std::deque<Sample> samples_;    // of the last thirty seconds
  std::deque<double> estimates_;  // end times in seconds
};

}  // namespace spool
