#include "store_sqlite/life_cycle.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>

namespace spool::sqlite {
namespace {

constexpr Duration kPriorityStep = std::chrono::minutes(5);

// Every join goes by primary key; outcome by outcome_of_job.
#define SPOOL_NODE_COLUMNS                                                                               \
  "SELECT j.seq, j.parent, j.lane, j.priority, j.optional, j.unique_key IS NOT NULL, j.deadline_asked,"  \
  " coalesce(l.deadline, j.deadline), r.seq IS NOT NULL, p.state, p.open, p.due, o.state,"               \
  " coalesce(l.ready, j.created + j.delay), coalesce(r.attempt, l.attempts, 0), l.has_children, "        \
  "l.fail_fast,"                                                                                         \
  " l.stop, coalesce(l.arrived, j.arrived, j.created + j.delay) FROM job j LEFT JOIN life l ON l.seq = " \
  "j.seq LEFT "                                                                                          \
  "JOIN running r ON r.seq = j.seq"                                                                      \
  " LEFT JOIN parked p ON p.seq = j.seq LEFT JOIN outcome o ON o.seq = j.seq AND o.superseded = 0 "
constexpr const char* kNodeBySeq = SPOOL_NODE_COLUMNS "WHERE j.seq = ?1";
constexpr const char* kNodeById =
    SPOOL_NODE_COLUMNS "WHERE j.id = ?1 AND NOT EXISTS (SELECT 1 FROM hidden h WHERE h.seq = j.seq)";

constexpr const char* kAddReady = "INSERT INTO ready (lane, rank, seq) VALUES (?1, ?2, ?3)";
constexpr const char* kRememberReady =
    "INSERT INTO life (seq, ready) VALUES (?1, ?2) ON CONFLICT (seq) DO UPDATE SET ready = excluded.ready";
constexpr const char* kGoBehind =
    "INSERT INTO life (seq, arrived) VALUES (?1, ?2) ON CONFLICT (seq) DO UPDATE SET arrived = "
    "excluded.arrived";
constexpr const char* kPark = "INSERT INTO parked (seq, state, open, due) VALUES (?1, ?2, ?3, ?4)";
constexpr const char* kDeleteReady = "DELETE FROM ready WHERE lane = ?1 AND rank = ?2 AND seq = ?3";
constexpr const char* kDeleteParked = "DELETE FROM parked WHERE seq = ?1";
constexpr const char* kDeleteRunning = "DELETE FROM running WHERE seq = ?1";

// Several rows a statement: starting one, with its AUTOINCREMENT, costs more than a row of it.
#define SPOOL_ADD_OUTCOME                                                                                 \
  "INSERT INTO outcome (seq, state, at, superseded, cause, attempt, claimed, token, result, cpu, memory," \
  " bytes_read, bytes_written) VALUES "
#define SPOOL_OUTCOME "(?, ?, ?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
#define SPOOL_FOUR_OUTCOMES SPOOL_OUTCOME ", " SPOOL_OUTCOME ", " SPOOL_OUTCOME ", " SPOOL_OUTCOME
constexpr std::size_t kMany = 16;
constexpr const char* kAddOutcome = SPOOL_ADD_OUTCOME SPOOL_OUTCOME;
constexpr const char* kAddOutcomes = SPOOL_ADD_OUTCOME SPOOL_FOUR_OUTCOMES
    ", " SPOOL_FOUR_OUTCOMES ", " SPOOL_FOUR_OUTCOMES ", " SPOOL_FOUR_OUTCOMES;
constexpr const char* kDeleteManyRunning =
    "DELETE FROM running WHERE seq IN (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
constexpr const char* kAddFailure =
    "INSERT INTO failure (seq, attempt, code, message, native, worker, began, ended, log, cpu, memory, "
    "bytes_read,"
    " bytes_written) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
constexpr const char* kReleaseKey =
    "DELETE FROM unique_key WHERE (owner, kind, key) = (SELECT owner, kind, unique_key FROM job WHERE seq = "
    "?1)";
constexpr const char* kDeleteDeadline = "DELETE FROM deadline WHERE at = ?1 AND seq = ?2";

constexpr const char* kExpectChildren =
    "UPDATE parked SET open = open + ?2, state = ?3, gate = NULL, rank = NULL WHERE seq = ?1";
constexpr const char* kHasChildren =
    "INSERT INTO life (seq, has_children) VALUES (?1, 1) ON CONFLICT (seq) DO UPDATE SET has_children = 1";

constexpr const char* kSetStop =
    "INSERT INTO life (seq, stop, stop_reason) VALUES (?1, ?2, ?3)"
    " ON CONFLICT (seq) DO UPDATE SET stop = excluded.stop, stop_reason = excluded.stop_reason";
constexpr const char* kStopReason = "SELECT stop_reason FROM life WHERE seq = ?1";
// job_of_parent; deepest first.
constexpr const char* kSubtree =
    "WITH RECURSIVE below (seq, depth) AS (VALUES (?1, 0) UNION ALL"
    " SELECT j.seq, b.depth + 1 FROM below b JOIN job j ON j.parent = b.seq)"
    " SELECT seq FROM below ORDER BY depth DESC, seq";
constexpr const char* kChildren = "SELECT seq FROM job WHERE parent = ?1";  // job_of_parent

constexpr const char* kHasLiveChildren =  // job_of_parent, outcome_of_job
    "SELECT 1 FROM job c WHERE c.parent = ?1"
    " AND NOT EXISTS (SELECT 1 FROM outcome o WHERE o.seq = c.seq AND o.superseded = 0) LIMIT 1";

constexpr const char* kAnybodyNeeds =  // primary key
    "SELECT 1 FROM need WHERE needed BETWEEN ?1 AND ?2 LIMIT 1";
constexpr const char* kOpenDependents =
    "SELECT job, ignore_failure FROM need WHERE needed = ?1 AND open = 1 ORDER BY job";  // primary key
constexpr const char* kCloseEdges = "UPDATE need SET open = 0 WHERE needed = ?1 AND open = 1";
constexpr const char* kCloseNeed = "UPDATE parked SET open = open - ?2 WHERE seq = ?1 RETURNING open, state";
constexpr const char* kLabelOf =
    "SELECT CASE name WHEN '' THEN kind ELSE name END, id FROM job WHERE seq = ?1";

// job_of_parent, outcome_of_job. Failures of their own come first: what only waited for them says less.
constexpr const char* kBadChildren =
    "SELECT CASE c.name WHEN '' THEN c.kind ELSE c.name END, c.id, o.state,"
    " (SELECT f.message FROM failure f WHERE f.seq = c.seq ORDER BY f.n DESC LIMIT 1),"
    " (SELECT f.code FROM failure f WHERE f.seq = c.seq ORDER BY f.n DESC LIMIT 1), o.cause"
    " FROM job c JOIN outcome o ON o.seq = c.seq AND o.superseded = 0"
    " WHERE c.parent = ?1 AND c.optional = 0 AND o.state IN (6, 7)"
    " AND NOT EXISTS (SELECT 1 FROM hidden h WHERE h.seq = c.seq) ORDER BY o.cause, c.seq";

std::int64_t rank_of(const Node& node) {
  return node.arrived.time_since_epoch().count() - node.priority * kPriorityStep.count();
}

template <class T>
std::optional<T> unless_zero(T value) {
  return value == T{} ? std::nullopt : std::optional<T>(value);
}

Node node_of(const Rows& row) {
  Node node;
  node.seq = row.i64(0);
  node.parent = row.i64(1);
  node.lane = row.i64(2);
  node.priority = row.i32(3);
  node.optional = row.i32(4) != 0;
  node.has_key = row.i32(5) != 0;
  node.deadline_asked = row.maybe_duration(6);
  node.deadline = row.maybe_time(7);
  if (row.i32(8) != 0)
    node.state = State::kRunning;
  else if (!row.null(9))
    node.state = static_cast<State>(row.i32(9));
  else if (!row.null(12))
    node.state = static_cast<State>(row.i32(12));
  node.open = row.i64(10);
  node.due = row.time(11);
  node.ready = row.time(13);
  node.attempts = row.i32(14);
  node.has_children = row.i32(15) != 0;
  node.fail_fast = row.i32(16) != 0;
  node.stop = static_cast<Stop>(row.i32(17));
  node.arrived = row.time(18);
  return node;
}

}  // namespace

std::optional<Node> LifeCycle::find(const Uuid& job) {
  flush();
  Rows row = db_.query(kNodeById, job);
  if (!row.next()) return std::nullopt;
  return node_of(row);
}

Node LifeCycle::load(Seq seq) {
  flush();
  Rows row = db_.query(kNodeBySeq, seq);
  if (!row.next()) refuse(Code::kInternal, fmt::format("database: job {} is missing", seq));
  return node_of(row);
}

void LifeCycle::make_ready(const Node& node, Time ready, bool remember) {
  changed_ = true;
  if (remember) db_.run(kRememberReady, node.seq, ready);
  const std::int64_t rank = rank_of(node);
  if (gates_.keeps_back(node.seq, rank, ready)) return;
  db_.run(kAddReady, node.lane, rank, node.seq);
  woke_ = true;
}

void LifeCycle::go_behind(Node& node, Time due) {
  db_.run(kGoBehind, node.seq, due);
  node.arrived = due;
}

void LifeCycle::park(Seq seq, State state, std::int64_t open, Time due) {
  changed_ = true;
  db_.run(kPark, seq, static_cast<int>(state), open, due);
}

void LifeCycle::take_out(const Node& node) {
  changed_ = true;
  switch (node.state) {
    case State::kAvailable:
      db_.run(kDeleteReady, node.lane, rank_of(node), node.seq);
      gates_.gave_back(node.seq, Held::kAvailable);
      return;
    case State::kRunning:
      db_.run(kDeleteRunning, node.seq);
      gates_.gave_back(node.seq, Held::kRunning);
      return;
    case State::kCreated:
    case State::kWaiting:
    case State::kScheduled:
      db_.run(kDeleteParked, node.seq);
      return;
    case State::kSucceeded:
    case State::kFailed:
    case State::kCancelled:
      return;
  }
}

void LifeCycle::flush() {
  const auto in_groups = [](std::size_t count, auto&& write) {
    std::size_t i = 0;
    for (; i + kMany <= count; i += kMany) write(i, kMany);
    for (; i < count; ++i) write(i, std::size_t{1});
  };
  in_groups(left_.size(), [&](std::size_t from, std::size_t count) { delete_left(from, count); });
  left_.clear();
  in_groups(outcomes_.size(), [&](std::size_t from, std::size_t count) { write_outcomes(from, count); });
  outcomes_.clear();
}

void LifeCycle::delete_left(std::size_t from, std::size_t count) {
  db_.run_with(count == kMany ? kDeleteManyRunning : kDeleteRunning, [&](Statement& statement) {
    int at = 0;
    for (std::size_t i = from; i < from + count; ++i) statement.bind(++at, left_[i]);
  });
}

void LifeCycle::write_outcomes(std::size_t from, std::size_t count) {
  db_.run_with(count == kMany ? kAddOutcomes : kAddOutcome, [&](Statement& statement) {
    int at = 0;
    for (std::size_t i = from; i < from + count; ++i) {
      const Outcome& outcome = outcomes_[i];
      const AttemptTrace& trace = outcome.trace;
      statement.bind(++at, outcome.seq);
      statement.bind(++at, static_cast<int>(outcome.state));
      statement.bind(++at, now_);
      statement.bind(++at, static_cast<int>(outcome.cause));
      statement.bind(++at, trace.attempt);
      statement.bind(++at, trace.claimed);
      statement.bind(++at, trace.token);
      statement.bind(++at, trace.result ? std::optional<std::string_view>(*trace.result) : std::nullopt);
      statement.bind(++at, unless_zero(trace.usage.cpu_seconds));
      statement.bind(++at, unless_zero(trace.usage.peak_memory_bytes));
      statement.bind(++at, unless_zero(trace.usage.bytes_read));
      statement.bind(++at, unless_zero(trace.usage.bytes_written));
    }
  });
}

void LifeCycle::end(const Node& node, State state, AttemptTrace trace, Cause cause) {
  outcomes_.push_back({node.seq, state, cause, std::move(trace)});
  if (node.has_key) db_.run(kReleaseKey, node.seq);
  if (node.deadline_asked && node.deadline) db_.run(kDeleteDeadline, *node.deadline, node.seq);
  ended_.push_back({node.seq, node.parent, state, node.optional});
  ++moved_;
}

void LifeCycle::add_failure(Seq seq, const FailureTrace& f) {
  constexpr std::size_t kMostMessageBytes = 4096;  // it may come from a hostile child
  const auto message = std::string_view(f.error.message).substr(0, kMostMessageBytes);
  db_.run(kAddFailure, seq, f.attempt, name(f.error.code), message, f.error.native, f.worker, f.began,
          f.ended, f.log_tail, f.usage.cpu_seconds, f.usage.peak_memory_bytes, f.usage.bytes_read,
          f.usage.bytes_written);
}

void LifeCycle::end_stopped(const Node& node, const AttemptTrace& trace) {
  if (node.stop == Stop::kCancel) {
    end(node, State::kCancelled, trace, Cause::kOther);
    return;
  }
  std::string reason;
  {
    Rows row = db_.query(kStopReason, node.seq);
    if (row.next()) reason = row.text(0);
  }
  const bool late = node.stop == Stop::kDeadline;
  const Error error{late ? Code::kTimeout : Code::kCancelled, std::move(reason), 0};
  add_failure(node.seq, {trace.attempt, error, "", trace.claimed.value_or(now_), now_, "", {}});
  end(node, State::kFailed, trace, late ? Cause::kOwn : Cause::kOther);
}

std::optional<Error> LifeCycle::failed_children(Seq parent) {
  flush();
  constexpr int kNamed = 5;
  int bad = 0;
  std::optional<Error> error;
  std::string names;
  {
    Rows rows = db_.query(kBadChildren, parent);
    while (rows.next()) {
      if (++bad > kNamed) continue;
      const bool failed = static_cast<State>(rows.i32(2)) == State::kFailed;
      if (!error) error = Error{failed ? code_from_name(rows.view(4)) : Code::kCancelled, "", 0};
      names += fmt::format("{}{} ({}): {}", bad > 1 ? "; " : "", rows.view(0), rows.uuid(1).text(),
                           failed ? rows.view(3) : "cancelled");
    }
  }
  if (!error) return std::nullopt;
  if (bad > kNamed) names += fmt::format("; and {} more", bad - kNamed);
  error->message = fmt::format("{} of its parts did not succeed: {}", bad, names);
  return error;
}

void LifeCycle::resume(const Node& node) {
  take_out(node);
  if (node.has_children) {
    if (const auto error = failed_children(node.seq)) {
      add_failure(node.seq, {node.attempts, *error, "", now_, now_, "", {}});
      end(node, State::kFailed, {node.attempts, {}, {}, {}, {}});
      return;
    }
  }
  ++moved_;
  if (node.due > now_)
    park(node.seq, State::kScheduled, 0, node.due);
  else
    make_ready(node, now_);
}

void LifeCycle::admit() {
  const int admitted = gates_.admit();
  moved_ += admitted;
  woke_ |= admitted > 0;
}

std::optional<Error> LifeCycle::why_no_children(const Node& parent) {
  if (ended(parent.state)) return Error{Code::kConflict, "its parent has ended", 0};
  if (parent.state == State::kRunning)
    return Error{Code::kConflict,
                 "its parent runs: only the attempt itself can give it children, by a fan-out", 0};
  if (parent.stop != Stop::kNone) return Error{Code::kConflict, "its parent is being cancelled", 0};
  return std::nullopt;
}

void LifeCycle::expect_children(Seq parent, std::int64_t count) {
  const Node node = load(parent);
  if (auto error = why_no_children(node)) throw StoreError{std::move(*error)};
  if (node.state == State::kAvailable) {
    take_out(node);
    park(parent, State::kWaiting, count, node.ready);
  } else {
    const State state = node.state == State::kScheduled ? State::kWaiting : node.state;
    changed_ = true;
    db_.run(kExpectChildren, parent, count, static_cast<int>(state));
  }
  if (!node.has_children) db_.run(kHasChildren, parent);
}

void LifeCycle::stop_tree(Seq top, Stop why, const std::string& reason) {
  std::vector<Seq> seqs;
  if (!load(top).has_children) {
    seqs.push_back(top);
  } else {
    Rows rows = db_.query(kSubtree, top);
    while (rows.next()) seqs.push_back(rows.i64(0));
  }
  const Stop below = why == Stop::kDeadline ? Stop::kDeadline : Stop::kCancel;
  std::unordered_set<Seq> has_live_children;
  for (const Seq seq : seqs) {
    Node node = load(seq);
    if (ended(node.state)) continue;
    if (node.stop == Stop::kNone) {
      node.stop = seq == top ? why : below;
      db_.run(kSetStop, seq, static_cast<int>(node.stop), std::string_view(reason));
      ++moved_;
    }
    if (node.state == State::kRunning || has_live_children.contains(seq)) {
      has_live_children.insert(node.parent);  // the parent ends last
      continue;
    }
    take_out(node);
    end_stopped(node, {node.attempts, {}, {}, {}, {}});
  }
}

void LifeCycle::wake_dependents(const Ended& ended) {
  std::vector<std::pair<Seq, bool>> dependents;
  {
    Rows rows = db_.query(kOpenDependents, ended.seq);
    while (rows.next()) dependents.emplace_back(rows.i64(0), rows.i32(1) != 0);
  }
  if (dependents.empty()) return;
  db_.run(kCloseEdges, ended.seq);
  for (const auto& [job, ignore] : dependents) {
    const bool fine = ended.state == State::kSucceeded || ignore;
    std::int64_t open = -1;
    State state{};
    {
      Rows row = db_.query(kCloseNeed, job, 1);
      if (row.next()) {
        open = row.i64(0);
        state = static_cast<State>(row.i32(1));
      }
      while (row.next()) {
      }
    }
    if (open < 0) continue;  // it has ended meanwhile
    if (!fine && ended.state == State::kCancelled) {
      stop_tree(job, Stop::kCancel, "what it needs was cancelled");
    } else if (!fine) {
      Rows label = db_.query(kLabelOf, ended.seq);
      const std::string needed =
          label.next() ? fmt::format("{} ({})", label.view(0), label.uuid(1).text()) : "";
      stop_tree(job, Stop::kNeedFailed, fmt::format("was not run: it needs {}, which failed", needed));
    } else if (open == 0 && state == State::kWaiting) {
      resume(load(job));
    }
  }
}

// One question for the many jobs that nobody waits for.
bool LifeCycle::anybody_needs(const std::vector<Ended>& ended) {
  const auto [first, last] = std::minmax_element(
      ended.begin(), ended.end(), [](const Ended& a, const Ended& b) { return a.seq < b.seq; });
  Rows row = db_.query(kAnybodyNeeds, first->seq, last->seq);
  return row.next();
}

bool LifeCycle::has_live_children(Seq parent) {
  flush();
  Rows row = db_.query(kHasLiveChildren, parent);
  return row.next();
}

void LifeCycle::wake_parent(Seq parent, std::int64_t ended_children, bool badly) {
  std::int64_t open = -1;
  {
    Rows row = db_.query(kCloseNeed, parent, ended_children);
    if (row.next()) open = row.i64(0);
    while (row.next()) {
    }
  }
  if (open < 0) return;  // it ended with them
  const Node node = load(parent);
  if (node.stop != Stop::kNone) {
    // It may have open needs still: what is asked to stop waits only for its children.
    if (open > 0 && has_live_children(parent)) return;
    take_out(node);
    end_stopped(node, {node.attempts, {}, {}, {}, {}});
  } else if (open == 0 && node.state == State::kWaiting) {
    resume(node);
  } else if (open > 0 && badly && node.fail_fast) {
    std::vector<Seq> children;
    {
      Rows rows = db_.query(kChildren, parent);
      while (rows.next()) children.push_back(rows.i64(0));
    }
    for (const Seq child : children) stop_tree(child, Stop::kCancel, "a sibling failed");
  }
}

void LifeCycle::propagate() {
  flush();
  while (!ended_.empty()) {
    const std::vector<Ended> batch = std::exchange(ended_, {});
    const bool needed = anybody_needs(batch);
    struct Children {
      std::int64_t ended = 0;
      bool badly = false;
    };
    std::map<Seq, Children> parents;  // in the order of their insertion, one step each
    for (const Ended& job : batch) {
      if (needed) wake_dependents(job);
      if (job.parent == 0) continue;
      Children& children = parents[job.parent];
      ++children.ended;
      children.badly |= job.state == State::kFailed && !job.optional;
    }
    for (const auto& [parent, children] : parents) wake_parent(parent, children.ended, children.badly);
    flush();
  }
}

}  // namespace spool::sqlite
