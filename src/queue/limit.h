// Limits: how many jobs of a queue, or of a key (NewJob::limit_key), run at once, and how many start in a
// period. Set by an operator, across all workers of a store. Plain values; no thread-safety of their own.
//
// A job that becomes available takes a place of each limit that applies to it (at most two: its queue's and
// its key's), and gives it back when it leaves available and running in whatever way. While one of them has
// no place, the job is `waiting` (Job::limited) and holds none. Rules for a store, which the reference model
// says in code:
//   - Places are given out last before a claim (of slots), last in rescue, and last in every commit that
//   changed
//     a job's state or a limit: all limited jobs are looked at in the order of rank (then insertion), and
//     each whose limits all have a place becomes available at its rank.
//   - A limit has a place when fewer than `concurrency` jobs hold one, and when its rate lets one more start.
//   - The rate is GCRA on starts, which are claims: `next` is when one may start if nothing was saved up. A
//     start moves it to max(next, now) + period / count (rounded up). With n jobs available, and not started,
//     one more place is there when max(next, now) + n * period / count <= now + (burst - 1) * period / count.
//     Who is given back unstarted has cost nothing; who is rescued, released or tried again starts again. A
//     later phase of a job waits for its place as a start does, but moves nothing.
//   - When a limit is set, changed or removed, what holds to it is counted anew: what runs keeps its place,
//     what is available goes back into the line. `next` is kept while a rate stays.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace spool {

enum class LimitScope { kQueue = 0, kKey = 1 };

// `count` starts in `period`, evenly spread; `burst` of them at once when nothing started for a while.
struct Rate {
  int count = 1;                              // 1..1,000,000
  Duration period = std::chrono::seconds(1);  // 1 us .. 1 year
  int burst = 1;                              // 1..1,000,000, and in less than 100 years

  bool operator==(const Rate&) const = default;
};

// One at least of concurrency and rate. `name` is a queue or key; with a * at its end, each queue or key that
// begins so has such a limit of its own. Of several that fit the longest counts, and one without * before
// them all.
struct Limit {
  LimitScope scope = LimitScope::kKey;
  std::string name;
  std::optional<int> concurrency;  // 0: none at all
  std::optional<Rate> rate;

  bool operator==(const Limit&) const = default;
};

// How it stands; over all its queues or keys.
struct LimitUse {
  Limit limit;
  std::int64_t taken = 0;    // jobs that hold a place: available and running
  std::int64_t waiting = 0;  // limited jobs that it applies to
};

// What is wrong with a limit, in words; empty: nothing.
[[nodiscard]] std::string complaint(const Limit& limit);

// GCRA, as above. `next`: of the rate's clock.
[[nodiscard]] Duration spacing(const Rate& rate);  // between two starts
[[nodiscard]] Time after_start(const Rate& rate, Time next, Time now);
// When there is a place for one more, beside `available` that have one and did not start; Time::max(): not
// before one of them starts or gives up.
[[nodiscard]] Time opens(const Rate& rate, Time next, std::int64_t available);

// All limits of a store, to be asked for the one that applies.
class LimitBook {
 public:
  LimitBook() = default;
  explicit LimitBook(std::vector<Limit> limits);

  [[nodiscard]] bool empty() const { return empty_; }
  // nullptr: none. Valid as long as the book.
  [[nodiscard]] const Limit* find(LimitScope scope, std::string_view name) const;

 private:
  bool empty_ = true;
  std::array<std::map<std::string, Limit, std::less<>>, 2> exact_;  // of each scope
  std::vector<Limit> beginnings_;                                   // the longest first
};

}  // namespace spool
