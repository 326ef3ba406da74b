#include "store_sqlite/reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "queue/stored.h"

namespace spool::sqlite {
namespace {

#define SPOOL_STATE_EXPRESSION                                                                        \
  "CASE WHEN r.seq IS NOT NULL THEN 4 WHEN p.seq IS NOT NULL THEN p.state WHEN o.n IS NOT NULL THEN " \
  "o.state "                                                                                          \
  "ELSE 3 END"
// All joins by primary key, outcome by outcome_of_job.
#define SPOOL_JOB_COLUMNS                                                                                    \
  "SELECT j.seq, j.id, (SELECT id FROM job x WHERE x.seq = j.parent), (SELECT id FROM job x WHERE x.seq = "  \
  "j.root),"                                                                                                 \
  " j.kind, j.name, j.owner, a.queue, j.unique_key, j.args, j.labels, j.priority, a.slots, "                 \
  "a.tags, " SPOOL_STATE_EXPRESSION                                                                          \
  ", coalesce(l.phase, ''), coalesce(r.attempt, o.attempt, l.attempts, 0), j.most_attempts,"                 \
  " coalesce(l.rescues, 0), coalesce(l.stop, 0), j.timeout, coalesce(l.deadline, j.deadline), j.weight, "    \
  "j.optional,"                                                                                              \
  " coalesce(l.progress, 0), l.detail, (SELECT value FROM checkpoint c WHERE c.seq = j.seq), o.result,"      \
  " (SELECT s.host || ':' || s.pid FROM session s WHERE s.session = r.session), coalesce(r.token, o.token)," \
  " coalesce(l.cpu, 0) + coalesce(o.cpu, 0), max(coalesce(l.memory, 0), coalesce(o.memory, 0)),"             \
  " coalesce(l.bytes_read, 0) + coalesce(o.bytes_read, 0),"                                                  \
  " coalesce(l.bytes_written, 0) + coalesce(o.bytes_written, 0), j.created,"                                 \
  " CASE WHEN p.state = 2 THEN p.due ELSE coalesce(l.ready, j.created + j.delay) END,"                       \
  " coalesce(r.claimed, o.claimed), o.at, j.limit_key, p.gate IS NOT NULL,"                                  \
  " coalesce(p.state = 2 AND p.due = j.created + j.delay, 0)"                                                \
  " FROM job j JOIN lane a ON a.lane = j.lane LEFT JOIN life l ON l.seq = j.seq"                             \
  " LEFT JOIN running r ON r.seq = j.seq LEFT JOIN parked p ON p.seq = j.seq"                                \
  " LEFT JOIN outcome o ON o.seq = j.seq AND o.superseded = 0 "                                              \
  "WHERE NOT EXISTS (SELECT 1 FROM hidden h WHERE h.seq = j.seq) "
constexpr const char* kGet = SPOOL_JOB_COLUMNS "AND j.id = ?1";
constexpr const char* kNeeds =  // need_of_job
    "SELECT j.id, n.ignore_failure FROM need n JOIN job j ON j.seq = n.needed WHERE n.job = ?1 ORDER BY "
    "n.needed";
constexpr const char* kFailures =  // failure_of_job
    "SELECT attempt, code, message, native, worker, began, ended, log, cpu, memory, bytes_read, bytes_written"
    " FROM failure WHERE seq = ?1 ORDER BY n";
constexpr const char* kSeqOf = "SELECT seq FROM job WHERE id = ?1";
constexpr const char* kOutcomes =
    "SELECT o.n, j.id, coalesce((SELECT id FROM job x WHERE x.seq = j.root), j.id), o.state, o.at FROM "
    "outcome o"
    " JOIN job j ON j.seq = o.seq WHERE o.n > ?1 ORDER BY o.n LIMIT ?2";
constexpr const char* kSessions =
    "SELECT s.id, s.host, s.pid, s.version, s.slots, s.tags, s.lease, s.expires, s.session,"
    " s.draining FROM session s ORDER BY s.session";
constexpr const char* kRunningOf =  // few rows are in running; the rest by primary keys
    "SELECT j.id, j.kind, j.name, a.slots, r.claimed FROM running r JOIN job j ON j.seq = r.seq"
    " JOIN lane a ON a.lane = j.lane WHERE r.session = ?1 ORDER BY r.seq";
constexpr const char* kPurged =  // the first ones by primary key
    "SELECT id, root, name, outputs FROM purged ORDER BY id LIMIT ?1";
constexpr const char* kCounts =
    "SELECT a.queue, x.state, sum(x.n) FROM (SELECT lane, 3 AS state, count(*) AS n FROM ready GROUP BY lane"
    " UNION ALL SELECT j.lane, p.state, count(*) FROM parked p JOIN job j ON j.seq = p.seq GROUP BY 1, 2"
    " UNION ALL SELECT j.lane, -1, count(*) FROM parked p JOIN job j ON j.seq = p.seq WHERE p.gate IS NOT "
    "NULL"
    " GROUP BY 1"
    " UNION ALL SELECT j.lane, 4, count(*) FROM running r JOIN job j ON j.seq = r.seq GROUP BY 1"
    " UNION ALL SELECT j.lane, o.state, count(*) FROM outcome o JOIN job j ON j.seq = o.seq WHERE "
    "o.superseded = 0"
    " GROUP BY 1, 2) x JOIN lane a ON a.lane = x.lane GROUP BY 1, 2 ORDER BY 1";
constexpr const char* kPausedQueues = "SELECT queue FROM paused_queue";
constexpr const char* kFirstInLine =  // the primary key of ready is the order
    "SELECT a.queue, min(coalesce(l.ready, j.created + j.delay)) FROM lane a"
    " JOIN job j ON j.seq IN (SELECT seq FROM ready r WHERE r.lane = a.lane ORDER BY r.rank, r.seq LIMIT 100)"
    " LEFT JOIN life l ON l.seq = j.seq GROUP BY 1";
constexpr const char* kPlaces = "SELECT scope, name, available + running FROM gate";
constexpr const char* kLimited =
    "SELECT 0, a.queue, count(*) FROM parked p JOIN job j ON j.seq = p.seq JOIN lane a ON a.lane = j.lane"
    " WHERE p.gate IS NOT NULL GROUP BY 2 UNION ALL SELECT 1, j.limit_key, count(*) FROM parked p"
    " JOIN job j ON j.seq = p.seq WHERE p.gate IS NOT NULL AND j.limit_key IS NOT NULL GROUP BY 2";

}  // namespace

Job Reader::job_of(Rows& row) {
  Job job;
  job.id = row.uuid(1);
  if (!row.null(2)) job.parent = row.uuid(2);
  job.root = row.null(3) ? job.id : row.uuid(3);
  job.kind = row.text(4);
  job.name = row.text(5);
  job.owner = row.text(6);
  job.queue = row.text(7);
  job.unique_key = row.text(8);
  job.args = json_of(row.view(9));
  job.labels = row.null(10) ? Json::object() : json_of(row.view(10));
  job.priority = row.i32(11);
  job.slots = row.i32(12);
  job.tags = split_tags(row.view(13));
  job.state = static_cast<State>(row.i32(14));
  job.phase = row.text(15);
  job.attempts = row.i32(16);
  job.most_attempts = row.i32(17);
  job.rescues = row.i32(18);
  job.cancel_requested = static_cast<Stop>(row.i32(19)) == Stop::kCancel;
  job.timeout = row.maybe_duration(20);
  job.deadline = row.maybe_time(21);
  job.weight = row.real(22);
  job.optional = row.i32(23) != 0;
  job.progress = job.state == State::kSucceeded ? 1 : row.real(24);
  job.progress_detail = json_of(row.view(25));
  job.checkpoint = json_of(row.view(26));
  job.result = json_of(row.view(27));
  job.worker = row.text(28);
  if (!row.null(29)) job.token = row.token(29);
  job.usage = {row.real(30), row.i64(31), row.i64(32), row.i64(33)};
  job.created = row.time(34);
  job.ready = row.time(35);
  job.claimed = row.maybe_time(36);
  job.ended = row.maybe_time(37);
  job.limit_key = row.text(38);
  job.limited = row.i32(39) != 0;
  job.delayed = row.i32(40) != 0;
  add_edges(row.i64(0), job);
  return job;
}

void Reader::add_edges(Seq seq, Job& job) {
  {
    Rows rows = db_.query(kNeeds, seq);
    while (rows.next()) job.needs.push_back({rows.uuid(0), rows.i32(1) != 0});
  }
  Rows rows = db_.query(kFailures, seq);
  while (rows.next()) {
    AttemptError& error = job.errors.emplace_back();
    error.attempt = rows.i32(0);
    error.error = {code_from_name(rows.view(1)), rows.text(2), rows.i32(3)};
    error.worker = rows.text(4);
    error.began = rows.time(5);
    error.ended = rows.time(6);
    error.log_tail = rows.text(7);
    error.usage = {rows.real(8), rows.i64(9), rows.i64(10), rows.i64(11)};
  }
}

std::optional<Job> Reader::get(const Uuid& id) {
  Rows row = db_.query(kGet, id);
  if (!row.next()) return std::nullopt;
  return job_of(row);
}

std::vector<Job> Reader::list(const JobFilter& filter) {
  const auto seq_of = [&](const std::optional<Uuid>& id) -> std::int64_t {
    if (!id) return 0;
    Rows row = db_.query(kSeqOf, *id);
    return row.next() ? row.i64(0) : -1;
  };
  const std::int64_t root = seq_of(filter.root);
  const std::int64_t parent = seq_of(filter.parent);
  const std::int64_t after = seq_of(filter.after);
  if (after < 0)
    refuse(Code::kNotFound, fmt::format("list: the job {} of the cursor is gone", filter.after->text()));
  // Named parameters only where they are used: the planner sees which index fits.
  std::string sql = SPOOL_JOB_COLUMNS;
  if (root != 0) sql += "AND (j.seq = :root OR j.root = :root) ";
  if (parent != 0) sql += "AND j.parent = :parent ";
  if (filter.roots_only) sql += "AND j.parent IS NULL ";
  if (filter.first) sql += "AND j.id >= :first ";
  if (filter.last) sql += "AND j.id <= :last ";
  if (after != 0) sql += filter.newest_first ? "AND j.seq < :after " : "AND j.seq > :after ";
  if (!filter.kind.empty()) sql += "AND j.kind = :kind ";
  if (!filter.owner.empty()) sql += "AND j.owner = :owner ";
  if (!filter.queue.empty()) sql += "AND a.queue = :queue ";
  if (filter.state) {
    sql += "AND " SPOOL_STATE_EXPRESSION " = :state ";
    // Said again in a way that lets a narrow table lead.
    if (*filter.state == State::kRunning) sql += "AND j.seq IN (SELECT seq FROM running) ";
    if (*filter.state == State::kAvailable) sql += "AND j.seq IN (SELECT seq FROM ready) ";
    if (*filter.state <= State::kScheduled) sql += "AND j.seq IN (SELECT seq FROM parked) ";
  }
  sql += filter.newest_first ? "ORDER BY j.seq DESC LIMIT :most" : "ORDER BY j.seq LIMIT :most";

  Rows rows = db_.once(sql);
  const auto bind = [&](const char* name, const auto& value) {
    const int at = sqlite3_bind_parameter_index(rows.statement().get(), name);
    if (at != 0) rows.statement().bind(at, value);
  };
  bind(":root", root);
  bind(":parent", parent);
  bind(":after", after);
  bind(":first", filter.first.value_or(Uuid{}));
  bind(":last", filter.last.value_or(Uuid{}));
  bind(":kind", std::string_view(filter.kind));
  bind(":owner", std::string_view(filter.owner));
  bind(":queue", std::string_view(filter.queue));
  bind(":state", static_cast<std::int64_t>(filter.state.value_or(State::kCreated)));
  bind(":most", static_cast<std::int64_t>(filter.most));
  std::vector<Job> jobs;
  while (rows.next()) jobs.push_back(job_of(rows));
  return jobs;
}

std::vector<OutcomeRecord> Reader::outcomes_since(std::int64_t sequence, int most) {
  std::vector<OutcomeRecord> records;
  Rows rows = db_.query(kOutcomes, sequence, most);
  while (rows.next())
    records.push_back(
        {rows.i64(0), rows.uuid(1), rows.uuid(2), static_cast<State>(rows.i32(3)), rows.time(4)});
  return records;
}

std::vector<SessionInfo> Reader::sessions() {
  std::vector<SessionInfo> sessions;
  Rows rows = db_.query(kSessions);
  while (rows.next()) {
    SessionInfo& info = sessions.emplace_back();
    info.session.id = rows.uuid(0);
    info.worker = {rows.text(1),         rows.i32(2), rows.text(3), rows.i32(4), split_tags(rows.view(5)),
                   Duration(rows.i64(6))};
    info.expires = rows.time(7);
    info.draining = rows.i32(9) != 0;
    info.running = running_of(rows.i64(8));
  }
  return sessions;
}

std::vector<RunningJob> Reader::running_of(std::int64_t session) {
  std::vector<RunningJob> jobs;
  Rows rows = db_.query(kRunningOf, session);
  while (rows.next()) jobs.push_back({rows.uuid(0), rows.text(1), rows.text(2), rows.i32(3), rows.time(4)});
  return jobs;
}

std::vector<QueueCounts> Reader::counts() {
  std::map<std::string, QueueCounts> queues;
  {
    Rows rows = db_.query(kCounts);
    while (rows.next()) {
      QueueCounts& queue = queues[rows.text(0)];
      const int state = rows.i32(1);
      (state < 0 ? queue.limited : queue.counts[state]) = rows.i64(2);
    }
  }
  {
    Rows rows = db_.query(kPausedQueues);
    while (rows.next()) queues[rows.text(0)].paused = true;
  }
  {
    Rows rows = db_.query(kFirstInLine);
    while (rows.next()) queues[rows.text(0)].oldest_ready = rows.time(1);
  }
  std::vector<QueueCounts> list;
  for (auto& [name, queue] : queues) list.emplace_back(std::move(queue)).queue = name;
  return list;
}

std::vector<LimitUse> Reader::limits() {
  std::vector<LimitUse> uses;
  const std::vector<Limit> limits = read_limits(db_);
  for (const Limit& limit : limits) uses.push_back({limit, 0, 0});
  const LimitBook book(limits);
  // Of what the rows say of a scope and a name: to the limit that applies to it.
  const auto add = [&](const char* sql, std::int64_t LimitUse::*to) {
    Rows rows = db_.query(sql);
    while (rows.next()) {
      const Limit* limit = book.find(static_cast<LimitScope>(rows.i32(0)), rows.view(1));
      if (limit == nullptr) continue;
      const auto is_its = [&](const LimitUse& use) { return use.limit == *limit; };
      (*std::find_if(uses.begin(), uses.end(), is_its)).*to += rows.i64(2);
    }
  };
  add(kPlaces, &LimitUse::taken);
  add(kLimited, &LimitUse::waiting);
  return uses;
}

std::vector<PurgedJob> Reader::purged(int most) {
  std::vector<PurgedJob> jobs;
  Rows rows = db_.query(kPurged, most);
  while (rows.next()) jobs.push_back({rows.uuid(0), rows.uuid(1), rows.text(2), rows.i32(3) != 0});
  return jobs;
}

}  // namespace spool::sqlite
