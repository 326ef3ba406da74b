#include "store_sqlite/sweep.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <unordered_map>
#include <unordered_set>

namespace spool::sqlite {
namespace {

constexpr const char* kDue =
    "SELECT seq FROM parked WHERE state = 2 AND due <= ?1 ORDER BY due LIMIT ?2";  // parked_due
constexpr const char* kLate =
    "SELECT seq FROM deadline WHERE at <= ?1 ORDER BY at, seq LIMIT ?2";  // primary key
constexpr const char* kDropDeadline =
    "DELETE FROM deadline WHERE seq = ?1 AND at <= ?2";  // the few that are late
constexpr const char* kSubtree =                         // job_of_parent; a parent stands before its children
    "WITH RECURSIVE below (seq) AS (VALUES (?1) UNION ALL SELECT j.seq FROM below b JOIN job j ON j.parent = "
    "b.seq)"
    " SELECT seq FROM below ORDER BY seq";
// job_of_parent, need_of_job. What was removed is neither opened again nor waited for.
constexpr const char* kChildren =
    "SELECT seq FROM job j WHERE parent = ?1 AND NOT EXISTS (SELECT 1 FROM hidden h WHERE h.seq = j.seq) "
    "ORDER BY seq";
constexpr const char* kNeedsOf =
    "SELECT needed, ignore_failure OR EXISTS (SELECT 1 FROM hidden h WHERE h.seq = needed) FROM need WHERE "
    "job = ?1";
constexpr const char* kSetEdge = "UPDATE need SET open = ?3 WHERE needed = ?1 AND job = ?2";
constexpr const char* kKeepUsage =
    "INSERT INTO life (seq, cpu, memory, bytes_read, bytes_written)"
    " SELECT seq, coalesce(cpu, 0), coalesce(memory, 0), coalesce(bytes_read, 0), coalesce(bytes_written, 0)"
    " FROM outcome WHERE seq = ?1 AND superseded = 0"
    " ON CONFLICT (seq) DO UPDATE SET cpu = cpu + excluded.cpu, memory = max(memory, excluded.memory),"
    " bytes_read = bytes_read + excluded.bytes_read, bytes_written = bytes_written + excluded.bytes_written";
constexpr const char* kSupersede = "UPDATE outcome SET superseded = 1 WHERE seq = ?1 AND superseded = 0";
constexpr const char* kFresh =
    "UPDATE life SET attempts = 0, rescues = 0, stop = 0, stop_reason = NULL, deadline = coalesce(?2, "
    "deadline)"
    " WHERE seq = ?1";
constexpr const char* kNoteReopened =
    "INSERT INTO outcome (seq, state, at, superseded, cause, attempt) VALUES (?1, ?2, ?3, 1, 0, 0)";
constexpr const char* kAddDeadline = "INSERT OR IGNORE INTO deadline (at, seq) VALUES (?1, ?2)";
constexpr const char* kTakeKey =
    "INSERT INTO unique_key (owner, kind, key, seq) SELECT owner, kind, unique_key, seq FROM job WHERE seq = "
    "?1"
    " ON CONFLICT DO NOTHING";
constexpr const char* kHide =  // job_of_parent
    "WITH RECURSIVE below (seq) AS (VALUES (?1) UNION ALL SELECT j.seq FROM below b JOIN job j ON j.parent = "
    "b.seq)"
    " INSERT OR IGNORE INTO hidden (seq, top, outputs) SELECT seq, ?1, ?2 FROM below";
// A top that has an outcome has ended, and its tree with it. CROSS keeps the few as the outer loop.
constexpr const char* kPurgeable =
    "SELECT h.top FROM hidden h CROSS JOIN outcome o ON o.seq = h.top AND o.superseded = 0 WHERE h.seq = "
    "h.top "
    "LIMIT 100";
#define SPOOL_ENDED_ROOTS                                                                             \
  " FROM outcome o JOIN job j ON j.seq = o.seq JOIN lane a ON a.lane = j.lane WHERE o.superseded = 0" \
  " AND j.parent IS NULL AND NOT EXISTS (SELECT 1 FROM hidden h WHERE h.seq = o.seq)"
constexpr const char* kEndedRoots =  // in the order of their ends: read as far as they may go
    "SELECT o.seq, o.at, o.n, a.queue" SPOOL_ENDED_ROOTS " ORDER BY o.n";
constexpr const char* kNewestOver =  // from the last end on
    "SELECT o.n" SPOOL_ENDED_ROOTS " AND a.queue = ?1 ORDER BY o.n DESC LIMIT 1 OFFSET ?2";
constexpr const char* kQueues = "SELECT DISTINCT queue FROM lane";
constexpr const char* kLastBelow =  // job_of_parent; children stand before their parent
    "WITH RECURSIVE below (seq) AS (VALUES (?1) UNION ALL SELECT j.seq FROM below b JOIN job j ON j.parent = "
    "b.seq)"
    " SELECT seq FROM below ORDER BY seq DESC LIMIT ?2";
constexpr const char* kNotePurged =  // primary keys
    "INSERT INTO purged (id, root, name, outputs)"
    " SELECT j.id, coalesce((SELECT r.id FROM job r WHERE r.seq = j.root), j.id), j.name, h.outputs"
    " FROM job j JOIN hidden h ON h.seq = j.seq WHERE j.seq = ?1";
constexpr const char* kForgetPurged = "DELETE FROM purged WHERE id = ?1";
constexpr const char* kForget[] = {
    // primary keys, and failure_of_job, need_of_job
    "DELETE FROM checkpoint WHERE seq = ?1",
    "DELETE FROM failure WHERE seq = ?1",
    "DELETE FROM need WHERE needed = ?1",
    "DELETE FROM need WHERE job = ?1",
    "DELETE FROM hidden WHERE seq = ?1",
    "DELETE FROM life WHERE seq = ?1",
    // Two, for each index of outcome is a partial one: outcome_of_job, superseded_of_job.
    "DELETE FROM outcome WHERE seq = ?1 AND superseded = 0",
    "DELETE FROM outcome WHERE seq = ?1 AND superseded = 1",
    "DELETE FROM job WHERE seq = ?1",
};

std::vector<Seq> seqs(Rows rows) {
  std::vector<Seq> list;
  while (rows.next()) list.push_back(rows.i64(0));
  return list;
}

// Below a hidden job, and at last itself.
int forget_below(Database& db, Seq top, int most) {
  const std::vector<Seq> last = seqs(db.query(kLastBelow, top, most));
  for (const Seq seq : last) {
    db.run(kNotePurged, seq);
    for (const char* sql : kForget) db.run(sql, seq);
  }
  return static_cast<int>(last.size());
}

bool is_of(const PruneRules& rules, std::string_view queue) {
  if (std::find(rules.except.begin(), rules.except.end(), queue) != rules.except.end()) return false;
  return rules.queue.empty() || queue == rules.queue;
}

// Of each queue the last end (outcome.n) that goes because so many that are kept came after it.
std::map<std::string, std::int64_t> last_over(Database& db, const PruneRules& rules) {
  std::map<std::string, std::int64_t> last;
  {
    Rows rows = db.query(kQueues);
    while (rows.next())
      if (is_of(rules, rows.view(0))) last[rows.text(0)] = 0;
  }
  if (!rules.keep) return last;
  for (auto& [queue, n] : last)
    if (Rows row = db.query(kNewestOver, std::string_view(queue), *rules.keep); row.next()) n = row.i64(0);
  return last;
}

std::vector<Seq> roots_to_prune(Database& db, const PruneRules& rules, Time now, int most) {
  const auto over = last_over(db, rules);
  std::int64_t last = 0;
  for (const auto& [queue, n] : over) last = std::max(last, n);
  std::vector<Seq> roots;
  Rows rows = db.query(kEndedRoots);
  while (static_cast<int>(roots.size()) < most && rows.next()) {
    const bool old = rules.age && rows.time(1) < now - *rules.age;
    const std::int64_t n = rows.i64(2);
    if (!old && n > last) break;  // and so are all that ended later
    const auto queue = over.find(rows.text(3));
    if (queue != over.end() && (old || n <= queue->second)) roots.push_back(rows.i64(0));
  }
  return roots;
}

// Top, and all that did not succeed below it; parents first. What has succeeded keeps its own.
std::vector<Node> to_reopen(LifeCycle& life, const Node& top) {
  std::vector<Node> nodes = {top};
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    if (!nodes[i].has_children) continue;
    for (const Seq child : seqs(life.db().query(kChildren, nodes[i].seq))) {
      Node node = life.load(child);
      if (node.state == State::kFailed || node.state == State::kCancelled) nodes.push_back(node);
    }
  }
  return nodes;
}

}  // namespace

int move_due(LifeCycle& life, int most) {
  const std::vector<Seq> due = seqs(life.db().query(kDue, life.now(), std::max(most, 0)));
  for (const Seq seq : due) {
    const Node node = life.load(seq);
    life.take_out(node);
    life.make_ready(node, node.due);
  }
  return static_cast<int>(due.size());
}

void stop_late(LifeCycle& life, int most) {
  const int before = life.moved();
  for (const Seq seq : seqs(life.db().query(kLate, life.now(), std::max(most, 0)))) {
    if (life.moved() - before >= most) return;
    life.stop_tree(seq, Stop::kDeadline, "its deadline passed");
    life.db().run(kDropDeadline, seq, life.now());
  }
}

void start(LifeCycle& life, const Node& top) {
  if (ended(top.state)) refuse(Code::kConflict, fmt::format("it has {} already", name(top.state)));
  for (const Seq seq : seqs(life.db().query(kSubtree, top.seq))) {
    Node node = life.load(seq);
    if (node.state != State::kCreated || node.stop != Stop::kNone) continue;
    life.go_behind(node, std::max(node.due, life.now()));
    if (node.open > 0) {
      life.take_out(node);
      life.park(seq, State::kWaiting, node.open, node.due);
    } else {
      life.resume(node);
    }
  }
}

void reopen(LifeCycle& life, const Node& top) {
  Database& db = life.db();
  if (top.state != State::kFailed && top.state != State::kCancelled)
    refuse(Code::kConflict,
           fmt::format("only failed and cancelled jobs can be retried: it is {}", name(top.state)));
  const std::vector<Node> nodes = to_reopen(life, top);
  std::unordered_map<Seq, std::int64_t> open;
  std::unordered_set<Seq> again;
  for (const Node& node : nodes) again.insert(node.seq);
  for (const Node& node : nodes)
    if (node.seq != top.seq) ++open[node.parent];

  if (top.parent != 0) life.expect_children(top.parent, 1);
  for (const Node& node : nodes) {
    std::vector<std::pair<Seq, bool>> needs;
    {
      Rows rows = db.query(kNeedsOf, node.seq);
      while (rows.next()) needs.emplace_back(rows.i64(0), rows.i32(1) != 0);
    }
    for (const auto& [needed, ignore] : needs) {
      const State state = again.contains(needed) ? State::kWaiting : life.load(needed).state;
      if (ended(state) && state != State::kSucceeded && !ignore)
        refuse(Code::kConflict, "what it needs did not succeed: retry that, or their parent");
      db.run(kSetEdge, needed, node.seq, !ended(state));
      open[node.seq] += !ended(state);
    }
  }
  std::unordered_map<Seq, std::optional<Time>>
      deadlines;  // fresh ones, for what asked for one and all below it
  if (top.parent != 0) deadlines[top.parent] = life.load(top.parent).deadline;
  for (const Node& node : nodes) {
    if (node.has_key) {
      db.run(kTakeKey, node.seq);
      if (db.changes() == 0) refuse(Code::kConflict, "its unique key is held by another job now");
    }
    db.run(kKeepUsage, node.seq);
    db.run(kSupersede, node.seq);
    std::optional<Time> deadline = deadlines[node.parent];
    if (node.deadline_asked) {
      const Time own = life.now() + *node.deadline_asked;
      deadline = std::min(deadline.value_or(own), own);
      db.run(kAddDeadline, *deadline, node.seq);
    }
    deadlines[node.seq] = deadline;
    db.run(kFresh, node.seq, deadline);
    const bool waits = open[node.seq] > 0;
    db.run(kNoteReopened, node.seq, static_cast<int>(waits ? State::kWaiting : State::kAvailable),
           life.now());
    if (waits)
      life.park(node.seq, State::kWaiting, open[node.seq], life.now());
    else
      life.make_ready(node, life.now());
  }
}

void hide(LifeCycle& life, Seq top, bool with_outputs) {
  life.db().run(kHide, top, with_outputs);
}

int purge(LifeCycle& life, int most) {
  int gone = 0;
  for (const Seq top : seqs(life.db().query(kPurgeable))) {
    if (gone >= most) break;
    gone += forget_below(life.db(), top, most - gone);
  }
  return gone;
}

int prune(LifeCycle& life, const PruneRules& rules, int most) {
  int hidden = 0;
  for (const Seq root : roots_to_prune(life.db(), rules, life.now(), most)) {
    if (hidden >= most) break;
    hide(life, root, rules.with_outputs);
    hidden += life.db().changes();
  }
  return purge(life, most);
}

void forget_purged(Database& db, std::span<const Uuid> jobs) {
  for (const Uuid& job : jobs) db.run(kForgetPurged, job);
}

}  // namespace spool::sqlite
