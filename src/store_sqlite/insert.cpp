#include "store_sqlite/insert.h"

#include <fmt/format.h>

#include <algorithm>

namespace spool::sqlite {
namespace {

constexpr const char* kAddJob =
    "INSERT INTO job (id, parent, root, kind, name, owner, lane, priority, args, labels, most_attempts, "
    "timeout,"
    " deadline, deadline_asked, unique_key, weight, optional, held, delay, created, limit_key, arrived)"
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21,"
    " ?22)"
    " ON CONFLICT (id) DO NOTHING";
constexpr const char* kParent =
    "SELECT j.seq, coalesce(j.root, j.seq), coalesce(l.deadline, j.deadline), j.owner, j.lane, j.priority,"
    " j.limit_key, coalesce(l.arrived, j.arrived, j.created + j.delay) FROM job j"
    " LEFT JOIN life l ON l.seq = j.seq WHERE j.seq = ?1";
constexpr const char* kNeeded =
    "SELECT j.seq, j.parent FROM job j WHERE j.id = ?1"
    " AND NOT EXISTS (SELECT 1 FROM hidden h WHERE h.seq = j.seq)";
constexpr const char* kAddNeed =
    "INSERT INTO need (needed, job, ignore_failure, open) VALUES (?1, ?2, ?3, ?4)";
constexpr const char* kHolder =
    "SELECT j.id, EXISTS (SELECT 1 FROM hidden h WHERE h.seq = k.seq) FROM unique_key k"
    " JOIN job j ON j.seq = k.seq WHERE k.owner = ?1 AND k.kind = ?2 AND k.key = ?3";  // primary keys
constexpr const char* kTakeKey = "INSERT INTO unique_key (owner, kind, key, seq) VALUES (?1, ?2, ?3, ?4)";
constexpr const char* kAddDeadline = "INSERT INTO deadline (at, seq) VALUES (?1, ?2)";
// Whether the job of this id is the one that is asked for. IS also compares nulls.
constexpr const char* kSame =
    "SELECT j.seq, j.kind = ?2 AND j.name = ?3 AND j.owner = ?4 AND j.lane = ?5 AND j.priority = ?6 AND "
    "j.args = ?7"
    " AND j.labels IS ?8 AND j.most_attempts = ?9 AND j.timeout IS ?10 AND j.deadline_asked IS ?11"
    " AND j.unique_key IS ?12 AND j.weight = ?13 AND j.optional = ?14 AND j.held = ?15 AND j.delay = ?16"
    " AND j.parent IS ?17 AND j.limit_key IS ?18, EXISTS (SELECT 1 FROM hidden h WHERE h.seq = j.seq) FROM "
    "job j WHERE j.id = ?1";
constexpr const char* kIsPurged = "SELECT 1 FROM purged WHERE id = ?1";  // primary key
constexpr const char* kNeedsOf =
    "SELECT j.id, n.ignore_failure FROM need n JOIN job j ON j.seq = n.needed WHERE n.job = ?1";  // need_of_job

std::optional<std::string_view> unless_empty(const std::string& text) {
  return text.empty() ? std::nullopt : std::optional<std::string_view>(text);
}

}  // namespace

Result<Inserted> Inserter::insert(const Draft& draft, std::optional<Seq> under) {
  if (draft.error) return fail(*draft.error);
  const NewJob& job = *draft.job;
  SPOOL_ASSIGN(Parent * parent, parent_of(job, under));
  const Place place = place_of(job, parent, under.has_value());
  const bool has_id = !job.id.is_nil();
  if (has_id) {
    SPOOL_ASSIGN(const Inserted same, existing(draft, parent, place));
    if (same.existed) return same;
  }
  if (parent != nullptr && parent->error) return fail(*parent->error);
  SPOOL_ASSIGN(const auto holder, holder_of_key(job, place.owner));
  if (holder) return Inserted{*holder, true};
  SPOOL_ASSIGN(const std::vector<Edge> edges, edges_of(job, parent != nullptr ? parent->seq : 0));

  std::optional<Time> deadline = parent != nullptr ? parent->deadline : std::nullopt;
  if (job.deadline) deadline = std::min(deadline.value_or(Time::max()), life_.now() + *job.deadline);
  const Uuid id = has_id ? job.id : Uuid::v7();
  const Seq seq = add_row(draft, id, parent, place, deadline);
  if (parent != nullptr) ++parent->added;
  put(job, seq, parent, place, edges);
  return Inserted{id, false};
}

Result<Inserter::Parent*> Inserter::parent_of(const NewJob& job, std::optional<Seq> under) {
  if (!under && !job.parent) return nullptr;
  if (under) {
    auto [known, fresh] = parents_of_fan_out_.try_emplace(*under);
    if (!fresh) return &known->second;
    known->second.seq = *under;
    known->second.state = State::kWaiting;
    Rows row = db_.query(kParent, *under);
    if (row.next()) {
      known->second.root = row.i64(1);
      known->second.deadline = row.maybe_time(2);
      known->second.place = {row.text(3), row.i64(4), row.i32(5), row.text(6)};
      known->second.arrived = row.time(7);
    }
    return &known->second;
  }
  auto [known, fresh] = parents_.try_emplace(*job.parent);
  Parent& parent = known->second;
  if (!fresh) return &parent;
  const auto node = life_.find(*job.parent);
  if (!node) {
    parents_.erase(known);
    return fail(Code::kNotFound, fmt::format("its parent {} does not exist", job.parent->text()));
  }
  parent.seq = node->seq;
  parent.state = node->state;
  parent.deadline = node->deadline;
  parent.arrived = node->arrived;
  Rows row = db_.query(kParent, node->seq);
  if (row.next()) parent.root = row.i64(1);
  // Each new child of it is refused; a known child may still be asked for again.
  parent.error = LifeCycle::why_no_children(*node);
  return &parent;
}

Inserter::Place Inserter::place_of(const NewJob& job, const Parent* parent, bool fanned_out) {
  if (!fanned_out)
    return {job.owner, lanes_.of(db_, job.queue, job.slots, job.tags), job.priority, job.limit_key};
  Place place = parent->place;
  const Lane& lane = lanes_.at(db_, place.lane);
  if (lane.slots != job.slots) place.lane = lanes_.of(db_, lane.queue, job.slots, lane.tags);
  return place;
}

Result<std::vector<Inserter::Edge>> Inserter::edges_of(const NewJob& job, Seq parent) {
  std::vector<Edge> edges;
  for (const Need& need : job.needs) {
    Rows row = db_.query(kNeeded, need.job);
    if (!row.next())
      return fail(Code::kNotFound, fmt::format("it needs {}, which does not exist", need.job.text()));
    const Seq seq = row.i64(0);
    if (row.i64(1) != parent)
      return fail(Code::kInvalidArgument,
                  fmt::format("it needs {}, which is no sibling: only jobs of one parent can need each other",
                              need.job.text()));
    const auto same = [&](const Edge& e) { return e.needed == seq; };
    if (std::any_of(edges.begin(), edges.end(), same))
      return fail(Code::kInvalidArgument, fmt::format("it needs {} twice", need.job.text()));
    edges.push_back({seq, need.ignore_failure, life_.load(seq).state});
  }
  return edges;
}

// What its objects are called by is not given to a new job before they are gone.
Result<Inserted> Inserter::not_purged(const Uuid& id) {
  Rows row = db_.query(kIsPurged, id);
  if (row.next())
    return fail(Code::kConflict, fmt::format("the job {} is being removed: try again", id.text()));
  return Inserted{id, false};
}

Result<Inserted> Inserter::existing(const Draft& draft, const Parent* parent, const Place& place) {
  const NewJob& job = *draft.job;
  Seq seq = 0;
  bool same = false;
  {
    Rows row = db_.query(
        kSame, job.id, std::string_view(job.kind), std::string_view(job.name), std::string_view(place.owner),
        place.lane, place.priority, std::string_view(draft.args), unless_empty(draft.labels),
        job.most_attempts, job.timeout, job.deadline, unless_empty(job.unique_key), job.weight, job.optional,
        job.held, job.delay, parent != nullptr ? std::optional<Seq>(parent->seq) : std::nullopt,
        unless_empty(place.limit_key));
    if (!row.next()) return not_purged(job.id);
    seq = row.i64(0);
    same = row.i32(1) != 0 && row.i32(2) == 0;
  }
  if (same) {
    std::vector<std::pair<Uuid, bool>> had, wanted;
    for (const Need& need : job.needs) wanted.emplace_back(need.job, need.ignore_failure);
    Rows rows = db_.query(kNeedsOf, seq);
    while (rows.next()) had.emplace_back(rows.uuid(0), rows.i32(1) != 0);
    std::sort(had.begin(), had.end());
    std::sort(wanted.begin(), wanted.end());
    same = had == wanted;
  }
  if (!same) return fail(Code::kConflict, fmt::format("the id {} is taken", job.id.text()));
  return Inserted{job.id, true};
}

Result<std::optional<Uuid>> Inserter::holder_of_key(const NewJob& job, const std::string& owner) {
  if (job.unique_key.empty()) return std::nullopt;
  Rows row = db_.query(kHolder, std::string_view(owner), std::string_view(job.kind),
                       std::string_view(job.unique_key));
  if (!row.next()) return std::nullopt;
  if (row.i32(1) != 0)
    return fail(Code::kConflict, "the job that holds its unique key is being removed: try again");
  return row.uuid(0);
}

Seq Inserter::add_row(const Draft& draft, const Uuid& id, const Parent* parent, const Place& place,
                      std::optional<Time> deadline) {
  const NewJob& job = *draft.job;
  const auto seq_of = [&](Seq Parent::*member) {
    return parent != nullptr ? std::optional<Seq>(parent->*member) : std::nullopt;
  };
  db_.run(kAddJob, id, seq_of(&Parent::seq), seq_of(&Parent::root), std::string_view(job.kind),
          std::string_view(job.name), std::string_view(place.owner), place.lane, place.priority,
          std::string_view(draft.args), unless_empty(draft.labels), job.most_attempts, job.timeout, deadline,
          job.deadline, unless_empty(job.unique_key), job.weight, job.optional, job.held, job.delay,
          life_.now(), unless_empty(place.limit_key),
          parent != nullptr ? std::optional<Time>(parent->arrived) : std::nullopt);
  const Seq seq = db_.last_row();
  if (!job.unique_key.empty())
    db_.run(kTakeKey, std::string_view(place.owner), std::string_view(job.kind),
            std::string_view(job.unique_key), seq);
  if (job.deadline) db_.run(kAddDeadline, *deadline, seq);
  return seq;
}

void Inserter::put(const NewJob& job, Seq seq, const Parent* parent, const Place& place,
                   const std::vector<Edge>& edges) {
  std::int64_t open = 0;
  const Edge* bad = nullptr;
  for (const Edge& edge : edges) {
    const bool is_open = !ended(edge.state);
    db_.run(kAddNeed, edge.needed, seq, edge.ignore_failure, is_open);
    open += is_open;
    if (!is_open && edge.state != State::kSucceeded && !edge.ignore_failure) bad = &edge;
  }
  const Time due = life_.now() + job.delay;
  const bool held = job.held || (parent != nullptr && parent->state == State::kCreated);
  if (held) {
    life_.park(seq, State::kCreated, open, due);
  } else if (open > 0) {
    life_.park(seq, State::kWaiting, open, due);
  } else if (job.delay > Duration(0)) {
    life_.park(seq, State::kScheduled, 0, due);
  } else {
    Node node;
    node.seq = seq;
    node.lane = place.lane;
    node.priority = place.priority;
    node.arrived = parent != nullptr ? parent->arrived : due;
    life_.make_ready(node, due, false);
  }
  if (bad != nullptr)
    life_.stop_tree(seq, bad->state == State::kFailed ? Stop::kNeedFailed : Stop::kCancel,
                    "was not run: what it needs had not succeeded");
}

void Inserter::finish() {
  for (auto& [id, parent] : parents_)
    if (parent.added > 0) life_.expect_children(parent.seq, parent.added);
  for (auto& [seq, parent] : parents_of_fan_out_)
    if (parent.added > 0) life_.expect_children(seq, parent.added);
  parents_.clear();
  parents_of_fan_out_.clear();
}

}  // namespace spool::sqlite
