#include "store_postgres/reader.h"

#include <fmt/format.h>

#include <map>

#include "queue/stored.h"

namespace spool::postgres {
namespace {

// All joins by primary key, outcome by outcome_of_job, needs by need_of_job, failures by failure_of_job.
#define SPOOL_JOBS                                                                                          \
  "SELECT j.id, up.id, coalesce(top.id, j.id), j.kind, j.name, j.owner, a.queue, j.unique_key, "            \
  "j.limit_key, "                                                                                           \
  "j.args, j.labels,"                                                                                       \
  " a.priority, a.slots, a.tags, s.state, coalesce(l.phase, ''), coalesce(r.attempt, o.attempt, "           \
  "l.attempts, 0),"                                                                                         \
  " j.most_attempts, coalesce(l.rescues, 0), coalesce(l.stop, 0) = 1, j.timeout, coalesce(l.deadline, "     \
  "j.deadline),"                                                                                            \
  " j.weight, j.optional, coalesce(l.progress, 0), l.detail, k.value, o.result, w.host || ':' || w.pid,"    \
  " coalesce(r.token, o.token), coalesce(l.cpu, 0) + coalesce(o.cpu, 0),"                                   \
  " greatest(coalesce(l.memory, 0), coalesce(o.memory, 0)),"                                                \
  " coalesce(l.bytes_read, 0) + coalesce(o.bytes_read, 0),"                                                 \
  " coalesce(l.bytes_written, 0) + coalesce(o.bytes_written, 0), j.created,"                                \
  " CASE WHEN p.state = 2 THEN p.due ELSE coalesce(l.ready, j.created + j.delay) END,"                      \
  " coalesce(r.claimed, o.claimed), o.at,"                                                                  \
  " (SELECT json_agg(json_build_array(x.id, n.ignore_failure) ORDER BY n.needed)"                           \
  "  FROM spool.need n JOIN spool.job x ON x.seq = n.needed WHERE n.job = j.seq),"                          \
  " (SELECT json_agg(json_build_array(f.attempt, f.code, f.message, f.native, f.worker, f.began, f.ended, " \
  "f.log,"                                                                                                  \
  "                                   f.cpu, f.memory, f.bytes_read, f.bytes_written) ORDER BY f.n)"        \
  "  FROM spool.failure f WHERE f.seq = j.seq), p.line IS NOT NULL,"                                        \
  " coalesce(p.state = 2 AND p.due = j.created + j.delay, false)"                                           \
  " FROM spool.job j JOIN spool.lane a ON a.lane = j.lane LEFT JOIN spool.life l ON l.seq = j.seq"          \
  " LEFT JOIN spool.running r ON r.seq = j.seq LEFT JOIN spool.parked p ON p.seq = j.seq"                   \
  " LEFT JOIN spool.outcome o ON o.seq = j.seq AND NOT o.superseded"                                        \
  " LEFT JOIN spool.checkpoint k ON k.seq = j.seq LEFT JOIN spool.session w ON w.session = r.session"       \
  " LEFT JOIN spool.job up ON up.seq = j.parent LEFT JOIN spool.job top ON top.seq = j.root"                \
  " CROSS JOIN LATERAL (SELECT CASE WHEN r.seq IS NOT NULL THEN 4 WHEN p.seq IS NOT NULL THEN p.state"      \
  "   WHEN o.n IS NOT NULL THEN o.state ELSE 3 END AS state) s"                                             \
  " WHERE NOT EXISTS (SELECT 1 FROM spool.hidden h WHERE h.seq = j.seq)"
constexpr const char* kGet = SPOOL_JOBS " AND j.id = $1";
constexpr const char* kSeqOf = "SELECT seq FROM spool.job WHERE id = $1";
constexpr const char* kOutcomes = "SELECT * FROM spool.outcomes_since($1, $2)";
constexpr const char* kSessions =  // running_of_session
    "SELECT s.id, s.host, s.pid, s.version, s.slots, s.tags, s.lease, s.expires, s.draining,"
    " (SELECT json_agg(json_build_array(j.id, j.kind, j.name, a.slots, r.claimed) ORDER BY j.seq)"
    "  FROM spool.running r JOIN spool.job j ON j.seq = r.seq JOIN spool.lane a ON a.lane = j.lane"
    "  WHERE r.session = s.session) FROM spool.session s ORDER BY s.session";
constexpr const char* kPurged =  // the first ones by primary key
    "SELECT id, root, name, outputs FROM spool.purged ORDER BY id LIMIT $1";
// One row a queue and state; -1: the limited ones among the waiting.
constexpr const char* kCounts =
    "SELECT a.queue, x.state, sum(x.n)::bigint FROM (SELECT lane, 3 AS state, count(*) AS n FROM spool.ready"
    " GROUP BY 1"
    " UNION ALL SELECT j.lane, p.state, count(*) FROM spool.parked p JOIN spool.job j ON j.seq = p.seq"
    " GROUP BY 1, 2"
    " UNION ALL SELECT j.lane, -1, count(*) FROM spool.parked p JOIN spool.job j ON j.seq = p.seq"
    " WHERE p.line IS NOT NULL GROUP BY 1"
    " UNION ALL SELECT j.lane, 4, count(*) FROM spool.running r JOIN spool.job j ON j.seq = r.seq GROUP BY 1"
    " UNION ALL SELECT j.lane, o.state, count(*) FROM spool.outcome o JOIN spool.job j ON j.seq = o.seq"
    " WHERE NOT o.superseded GROUP BY 1, 2) x JOIN spool.lane a ON a.lane = x.lane GROUP BY 1, 2 ORDER BY 1";
constexpr const char* kPausedQueues = "SELECT queue FROM spool.paused_queue";
constexpr const char* kFirstInLine =  // the primary key of ready is the order
    "SELECT a.queue, min(coalesce(l.ready, j.created + j.delay)) FROM spool.lane a CROSS JOIN LATERAL"
    " (SELECT r.seq FROM spool.ready r WHERE r.lane = a.lane ORDER BY r.rank, r.seq LIMIT 100) f"
    " JOIN spool.job j ON j.seq = f.seq LEFT JOIN spool.life l ON l.seq = f.seq GROUP BY 1";
constexpr const char* kLimits = "SELECT * FROM spool.limits_in_use()";
constexpr const char* kSchedules =
    "SELECT name, cron, zone, missed, job, paused, next FROM spool.schedule ORDER BY name COLLATE \"C\"";

Usage usage_of(const Json& row, std::size_t from) {
  return {row[from].get<double>(), row[from + 1].get<std::int64_t>(), row[from + 2].get<std::int64_t>(),
          row[from + 3].get<std::int64_t>()};
}

void add_needs(std::string_view text, Job& job) {
  for (const Json& need : json_of(text))
    job.needs.push_back({Uuid::parse(need[0].get<std::string>()).value_or(Uuid{}), need[1].get<bool>()});
}

void add_errors(std::string_view text, Job& job) {
  for (const Json& row : json_of(text)) {
    AttemptError& error = job.errors.emplace_back();
    error.attempt = row[0].get<int>();
    error.error = {code_from_name(row[1].get<std::string>()), row[2].get<std::string>(), row[3].get<int>()};
    error.worker = row[4].get<std::string>();
    error.began = Time(Duration(row[5].get<std::int64_t>()));
    error.ended = Time(Duration(row[6].get<std::int64_t>()));
    error.log_tail = row[7].get<std::string>();
    error.usage = usage_of(row, 8);
  }
}

Job job_of(const Rows& row) {
  Job job;
  int at = -1;
  job.id = row.uuid(++at);
  if (!row.null(++at)) job.parent = row.uuid(at);
  job.root = row.uuid(++at);
  for (std::string* text : {&job.kind, &job.name, &job.owner, &job.queue, &job.unique_key, &job.limit_key})
    *text = row.text(++at);
  job.args = json_of(row.view(++at));
  ++at;
  job.labels = row.null(at) ? Json::object() : json_of(row.view(at));
  job.priority = row.i32(++at);
  job.slots = row.i32(++at);
  job.tags = row.texts(++at);
  job.state = static_cast<State>(row.i32(++at));
  job.phase = row.text(++at);
  job.attempts = row.i32(++at);
  job.most_attempts = row.i32(++at);
  job.rescues = row.i32(++at);
  job.cancel_requested = row.boolean(++at);
  job.timeout = row.maybe_duration(++at);
  job.deadline = row.maybe_time(++at);
  job.weight = row.real(++at);
  job.optional = row.boolean(++at);
  ++at;
  job.progress = job.state == State::kSucceeded ? 1 : row.real(at);
  job.progress_detail = json_of(row.view(++at));
  job.checkpoint = json_of(row.view(++at));
  job.result = json_of(row.view(++at));
  job.worker = row.text(++at);
  if (!row.null(++at)) job.token = row.token(at);
  job.usage = {row.real(at + 1), row.i64(at + 2), row.i64(at + 3), row.i64(at + 4)};
  at += 4;
  job.created = row.time(++at);
  job.ready = row.time(++at);
  job.claimed = row.maybe_time(++at);
  job.ended = row.maybe_time(++at);
  add_needs(row.view(++at), job);
  add_errors(row.view(++at), job);
  job.limited = row.boolean(++at);
  job.delayed = row.boolean(++at);
  return job;
}

}  // namespace

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
  const std::int64_t root = seq_of(filter.root), parent = seq_of(filter.parent), after = seq_of(filter.after);
  if (after < 0)
    refuse(Code::kNotFound, fmt::format("list: the job {} of the cursor is gone", filter.after->text()));
  std::string sql = SPOOL_JOBS;
  Parameters values;
  // Only conditions that are used: the planner sees which index fits.
  const auto add = [&](std::string_view condition, const auto& value) {
    values.add(value);
    sql += fmt::format(fmt::runtime(condition), values.count());
  };
  if (root != 0) add(" AND (j.seq = ${0} OR j.root = ${0})", root);
  if (parent != 0) add(" AND j.parent = ${}", parent);
  if (filter.roots_only) sql += " AND j.parent IS NULL";
  if (filter.first) add(" AND j.id >= ${}", *filter.first);
  if (filter.last) add(" AND j.id <= ${}", *filter.last);
  if (after != 0) add(filter.newest_first ? " AND j.seq < ${}" : " AND j.seq > ${}", after);
  if (!filter.kind.empty()) add(" AND j.kind = ${}", filter.kind);
  if (!filter.owner.empty()) add(" AND j.owner = ${}", filter.owner);
  if (!filter.queue.empty()) add(" AND a.queue = ${}", filter.queue);
  if (filter.state) {
    add(" AND s.state = ${}", static_cast<int>(*filter.state));
    // Said again in a way that lets a narrow table lead.
    if (*filter.state == State::kRunning) sql += " AND r.seq IS NOT NULL";
    if (*filter.state == State::kAvailable) sql += " AND j.seq IN (SELECT seq FROM spool.ready)";
    if (*filter.state <= State::kScheduled) sql += " AND p.seq IS NOT NULL";
  }
  add(filter.newest_first ? " ORDER BY j.seq DESC LIMIT ${}" : " ORDER BY j.seq LIMIT ${}",
      std::max(filter.most, 0));

  Rows rows = db_.execute(sql.c_str(), values);
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
    info.worker = {rows.text(1), rows.i32(2), rows.text(3), rows.i32(4), rows.texts(5), rows.duration(6)};
    info.expires = rows.time(7);
    info.draining = rows.boolean(8);
    for (const Json& row : json_of(rows.view(9)))
      info.running.push_back({Uuid::parse(row[0].get<std::string>()).value_or(Uuid{}),
                              row[1].get<std::string>(), row[2].get<std::string>(), row[3].get<int>(),
                              Time(Duration(row[4].get<std::int64_t>()))});
  }
  return sessions;
}

std::vector<QueueCounts> Reader::counts() {
  std::map<std::string, QueueCounts> queues;
  for (Rows rows = db_.query(kCounts); rows.next();) {
    QueueCounts& queue = queues[rows.text(0)];
    const int state = rows.i32(1);
    (state < 0 ? queue.limited : queue.counts[state]) = rows.i64(2);
  }
  for (Rows rows = db_.query(kPausedQueues); rows.next();) queues[rows.text(0)].paused = true;
  for (Rows rows = db_.query(kFirstInLine); rows.next();) queues[rows.text(0)].oldest_ready = rows.time(1);
  std::vector<QueueCounts> list;
  for (auto& [name, queue] : queues) list.emplace_back(std::move(queue)).queue = name;
  return list;
}

std::vector<LimitUse> Reader::limits() {
  std::vector<LimitUse> uses;
  Rows rows = db_.query(kLimits);
  while (rows.next()) {
    const auto concurrency = rows.null(2) ? std::nullopt : std::optional(rows.i32(2));
    uses.push_back(
        {limit_of(rows.i32(0), rows.text(1), concurrency, rows.i32(3), rows.maybe_duration(4), rows.i32(5)),
         rows.i64(6), rows.i64(7)});
  }
  return uses;
}

std::vector<Schedule> Reader::schedules() {
  std::vector<Schedule> schedules;
  Rows rows = db_.query(kSchedules);
  while (rows.next()) {
    auto schedule = schedule_of(rows.text(0), rows.text(1), rows.text(2), rows.i32(3), rows.view(4),
                                rows.boolean(5), rows.time(6));
    if (!schedule) throw StoreError{std::move(schedule).error()};
    schedules.push_back(std::move(*schedule));
  }
  return schedules;
}

std::vector<PurgedJob> Reader::purged(int most) {
  std::vector<PurgedJob> jobs;
  Rows rows = db_.query(kPurged, most);
  while (rows.next()) jobs.push_back({rows.uuid(0), rows.uuid(1), rows.text(2), rows.boolean(3)});
  return jobs;
}

}  // namespace spool::postgres
