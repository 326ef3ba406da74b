// Trees of small jobs that carry what will happen to them in their args: what an attempt does depends on
// nothing else, so the state in which each tree ends is known beforehand, whoever runs it and however often
// it is interrupted.
//
// A tree has two lives: in its first some jobs fail, and some never end but by being cancelled; in its
// second, after a retry of its root, those that are `cured` end well. Plain functions; any thread.
#pragma once

#include <vector>

#include "queue/job.h"

namespace spool::trees {

inline constexpr char kKind[] = "scripted";

enum class Life { kFirst, kSecond };

// Roots, until they make `jobs` jobs together; the same for the same seed.
[[nodiscard]] std::vector<NewJob> make_trees(unsigned seed, int jobs);

// How long an attempt takes.
[[nodiscard]] Duration time_of(const Json& script);
// It ends by being asked to stop alone.
[[nodiscard]] bool stays(const Json& script, Life life);
[[nodiscard]] Ending ending_of(const Claim& claim, Life life);

// A job that is to be cancelled in the first life, when all below it are there and those that end by
// themselves have: what is left then never would. A child of a job that has ended without it never comes.
struct Victim {
  struct Below {
    Uuid job, parent;
    bool ends;
  };
  Uuid job;
  std::vector<Below> below;
};
[[nodiscard]] std::vector<Victim> victims_of(const NewJob& root);

}  // namespace spool::trees
