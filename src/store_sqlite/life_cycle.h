// LifeCycle: how jobs move between their states, and whom an end wakes. Lives as long as one write
// transaction; every change goes through it, so that the counters of open needs and children stay true.
//
// Ends are collected, and what they wake is worked off by propagate(); what limits keep back goes on by
// admit(): both at the latest before the commit.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "queue/job.h"
#include "store_sqlite/database.h"
#include "store_sqlite/gates.h"

namespace spool::sqlite {

// Why a job was asked to end. Stored: never renumber.
enum class Stop { kNone = 0, kCancel = 1, kDeadline = 2, kNeedFailed = 3 };

// What an end goes back to: its parent names own failures first. Stored: never renumber.
enum class Cause { kOwn = 0, kOther = 1 };

// A job as the life cycle sees it.
struct Node {
  Seq seq = 0;
  Seq parent = 0;  // 0: a root
  std::int64_t lane = 0;
  int priority = 0;
  bool optional = false;
  bool has_key = false;
  std::optional<Duration> deadline_asked;
  std::optional<Time> deadline;
  State state = State::kAvailable;
  std::int64_t open = 0;  // parked only
  Time due{};             // parked only
  Time ready{};
  Time arrived{};  // the place in line: when the job at its root was due
  int attempts = 0;
  bool has_children = false;
  bool fail_fast = false;
  Stop stop = Stop::kNone;
};

// What an ending attempt leaves in the outcome.
struct AttemptTrace {
  int attempt = 0;
  std::optional<Time> claimed;
  std::optional<Token> token;
  std::optional<std::string> result;
  Usage usage;
};

// What goes into the list of a job's errors. Views: lives as long as the call.
struct FailureTrace {
  int attempt = 0;
  const Error& error;
  std::string_view worker;
  Time began{}, ended{};
  std::string_view log_tail;
  Usage usage;
};

class LifeCycle {
 public:
  LifeCycle(Database& db, Time now, KnownLimits& limits) : db_(db), now_(now), gates_(db, now, limits) {}

  [[nodiscard]] Time now() const { return now_; }
  [[nodiscard]] Database& db() { return db_; }
  // Whether anything became available.
  [[nodiscard]] bool woke() const { return woke_; }
  // How many jobs were ended or moved.
  [[nodiscard]] int moved() const { return moved_; }

  [[nodiscard]] std::optional<Node> find(const Uuid& job);  // not what is hidden
  [[nodiscard]] Node load(Seq seq);

  // Into a state. The caller has taken the job out of where it was. What is made ready waits while a limit
  // keeps it back.
  void make_ready(const Node& node, Time ready, bool remember = true);
  // To the end of the line, as it will be then. It is in no line now.
  void go_behind(Node& node, Time due);
  void park(Seq seq, State state, std::int64_t open, Time due);
  void end(const Node& node, State state, AttemptTrace trace, Cause cause = Cause::kOwn);
  // Out of running, when the next question is asked or the work is done (flush()).
  void leave_running(Seq seq) {
    left_.push_back(seq);
    gates_.gave_back(seq, Held::kRunning);
    changed_ = true;
  }
  // What was claimed has its place in running.
  void started(std::span<const Seq> jobs) {
    gates_.started(jobs);
    changed_ = true;
  }
  void add_failure(Seq seq, const FailureTrace& failure);
  // Ends as the stop asks for: cancelled, or failed with the reason.
  void end_stopped(const Node& node, const AttemptTrace& trace);
  // Out of ready, parked or running.
  void take_out(const Node& node);

  // A live job that waits for nothing any more: failed if a child failed, else scheduled or available.
  void resume(const Node& node);
  // nullopt: children may come below it.
  [[nodiscard]] static std::optional<Error> why_no_children(const Node& parent);
  // So many more children end before `parent` goes on. Throws kConflict when why_no_children().
  void expect_children(Seq parent, std::int64_t count);

  // Asks `top` to end for `why`, and all below it to be cancelled (below a deadline: by the deadline).
  void stop_tree(Seq top, Stop why, const std::string& reason);

  // Lets everything know that waited for what ended.
  void propagate();

  // Gives out the places of limits: after propagate(), before a claim and before a commit that changed
  // states.
  void admit();
  [[nodiscard]] bool changed_states() const { return changed_; }
  [[nodiscard]] Gates& gates() { return gates_; }

  // Writes what was collected; whoever reads outcome or running by SQL of their own calls it first.
  void flush();

  // For a savepoint: ends since `mark` did not happen.
  [[nodiscard]] std::size_t mark() {
    flush();
    return ended_.size();
  }
  void back_to(std::size_t mark) {
    ended_.resize(mark);
    outcomes_.clear();
    left_.clear();
  }

 private:
  struct Ended {
    Seq seq, parent;
    State state;
    bool optional;
  };
  struct Outcome {
    Seq seq;
    State state;
    Cause cause;
    AttemptTrace trace;
  };
  void write_outcomes(std::size_t from, std::size_t count);
  void delete_left(std::size_t from, std::size_t count);
  [[nodiscard]] bool anybody_needs(const std::vector<Ended>& ended);
  void wake_dependents(const Ended& ended);
  void wake_parent(Seq parent, std::int64_t ended, bool badly);
  [[nodiscard]] bool has_live_children(Seq parent);
  [[nodiscard]] std::optional<Error> failed_children(Seq parent);

  Database& db_;
  Time now_;
  Gates gates_;
  std::vector<Ended> ended_;
  std::vector<Outcome> outcomes_;  // to be written
  std::vector<Seq> left_;          // to be deleted from running
  bool woke_ = false;
  bool changed_ = false;
  int moved_ = 0;
};

}  // namespace spool::sqlite
