#include "store_sqlite/sessions.h"

#include <fmt/format.h>

#include <limits>

namespace spool::sqlite {
namespace {

constexpr const char* kAdd =
    "INSERT INTO session (id, host, pid, version, slots, tags, lease, expires, boot)"
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
constexpr const char* kFind = "SELECT session FROM session WHERE id = ?1 AND expires > ?2";
constexpr const char* kNumber = "SELECT session, host || ':' || pid FROM session WHERE id = ?1";
constexpr const char* kRenew = "UPDATE session SET expires = lease + ?2 WHERE session = ?1";
constexpr const char* kDrain = "UPDATE session SET draining = 1 WHERE id = ?1";
constexpr const char* kDraining = "SELECT draining FROM session WHERE session = ?1";
constexpr const char* kHandOver = "UPDATE running SET session = ?2 WHERE session = ?1 AND token = ?3";
constexpr const char* kDrainToo =
    "UPDATE session SET draining = 1 WHERE session = ?2 AND EXISTS (SELECT 1 FROM session x WHERE x.session "
    "= ?1"
    " AND x.draining = 1)";
constexpr const char* kRunsAny = "SELECT 1 FROM running WHERE session = ?1 LIMIT 1";
constexpr const char* kDelete = "DELETE FROM session WHERE session = ?1";
// Tens or hundreds of rows: scanned.
constexpr const char* kAll = "SELECT session, id, expires, boot, host || ':' || pid FROM session";
constexpr const char* kJobsOf = "SELECT seq FROM running WHERE session = ?1 ORDER BY seq LIMIT ?2";
constexpr const char* kStopsOf =
    "SELECT j.id, coalesce(l.stop, 0), coalesce(l.deadline, j.deadline) FROM running r JOIN job j ON j.seq = "
    "r.seq"
    " LEFT JOIN life l ON l.seq = r.seq WHERE r.session = ?1 AND (l.stop > 0 OR coalesce(l.deadline, "
    "j.deadline) <= ?2)";

constexpr int kAllJobs = std::numeric_limits<int>::max();

std::vector<Seq> jobs_of(Database& db, std::int64_t session, int most) {
  std::vector<Seq> jobs;
  Rows rows = db.query(kJobsOf, session, most);
  while (rows.next()) jobs.push_back(rows.i64(0));
  return jobs;
}

}  // namespace

SessionLocks::SessionLocks(std::filesystem::path folder) : folder_(std::move(folder)) {
  boot_ = read_file("/proc/sys/kernel/random/boot_id", 256).value_or("");
}

std::filesystem::path SessionLocks::file_of(const Uuid& session) const {
  return folder_ / session.text();
}

void SessionLocks::take(const Uuid& session) {
  std::error_code error;
  std::filesystem::create_directories(folder_, error);
  auto lock = FileLock::try_lock(file_of(session));
  if (!lock) throw StoreError{lock.error()};
  if (!*lock)
    refuse(Code::kConflict, fmt::format("{} is locked by another process", file_of(session).string()));
  held_.emplace(session, std::move(**lock));
}

void SessionLocks::drop(const Uuid& session) {
  std::error_code ignored;
  std::filesystem::remove(file_of(session), ignored);
  held_.erase(session);
}

std::vector<Uuid> SessionLocks::held() const {
  std::vector<Uuid> sessions;
  for (const auto& [session, lock] : held_) sessions.push_back(session);
  return sessions;
}

bool SessionLocks::alive(const Uuid& session) const {
  std::error_code error;
  if (!std::filesystem::exists(file_of(session), error)) return true;  // nothing is known: the lease decides
  auto lock = FileLock::try_lock(file_of(session));
  return !lock || !*lock;
}

void Sessions::open(const Uuid& id, const WorkerInfo& worker) {
  db_.run(kAdd, id, std::string_view(worker.host), worker.pid, std::string_view(worker.version), worker.slots,
          std::string_view(join_tags(worker.tags)), worker.lease, life_.now() + worker.lease,
          std::string_view(locks_.boot()));
  for (const Uuid& held : locks_.held())
    if (Rows row = db_.query(kNumber, held); !row.next()) locks_.drop(held);
}

void Sessions::close(const Uuid& id) {
  const auto session = find(id);
  if (!session) return end_lost(id);  // a worker that found its own loss was lost all the same
  Settler settler(life_, lanes_);
  for (const Seq job : jobs_of(db_, *session, kAllJobs)) settler.release(job);
  db_.run(kDelete, *session);
}

void Sessions::hand_over(const Uuid& from, const Uuid& heir, std::span<const Token> attempts) {
  const auto old = find(from), mine = find(heir);
  if (!mine) refuse(Code::kLeaseLost, "the session's lease is gone");
  db_.run(kRenew, *mine, life_.now());
  if (!old) {
    if (Rows row = db_.query(kRunsAny, *mine); !attempts.empty() && !row.next())
      refuse(Code::kLeaseLost, "the session's lease is gone");
    return;  // it was handed over before
  }
  for (const Token& attempt : attempts) db_.run(kHandOver, *old, *mine, attempt);
  db_.run(kDrainToo, *old, *mine);
  close(from);
}

std::optional<std::int64_t> Sessions::find(const Uuid& id) {
  Rows row = db_.query(kFind, id, life_.now());
  return row.next() ? std::optional<std::int64_t>(row.i64(0)) : std::nullopt;
}

Renewed Sessions::renew(std::int64_t session) {
  db_.run(kRenew, session, life_.now());
  Renewed renewed;
  if (Rows row = db_.query(kDraining, session); row.next()) renewed.drain = row.i32(0) != 0;
  Rows rows = db_.query(kStopsOf, session, life_.now());
  while (rows.next()) {
    const bool late = static_cast<Stop>(rows.i32(1)) == Stop::kDeadline || rows.i32(1) == 0;
    (late ? renewed.past_deadline : renewed.cancel).push_back(rows.uuid(0));
  }
  return renewed;
}

void Sessions::drain(const Uuid& id) {
  if (Rows row = db_.query(kNumber, id); !row.next())
    refuse(Code::kNotFound, fmt::format("there is no worker {}", id.text()));
  db_.run(kDrain, id);
}

int Sessions::rescue_jobs_of(std::int64_t session, const std::string& worker, int most) {
  Settler settler(life_, lanes_);
  const std::vector<Seq> jobs = jobs_of(db_, session, most);
  for (const Seq job : jobs) settler.rescue(job, worker);
  return static_cast<int>(jobs.size());
}

void Sessions::end_lost(const Uuid& id) {
  std::int64_t session = 0;
  std::string worker;
  {
    Rows row = db_.query(kNumber, id);
    if (!row.next()) return;
    session = row.i64(0);
    worker = row.text(1);
  }
  rescue_jobs_of(session, worker, kAllJobs);
  db_.run(kDelete, session);
}

Sessions::Dead Sessions::end_dead(int most) {
  struct Row {
    std::int64_t session;
    Uuid id;
    std::string worker;
  };
  std::vector<Row> rows_of_dead;
  {
    Rows rows = db_.query(kAll);
    while (rows.next()) {
      const bool expired = rows.time(2) <= life_.now();
      const bool same_kernel = !locks_.boot().empty() && rows.view(3) == locks_.boot();
      // The lock was taken before the row was written: here it can only be free because its holder is gone.
      if (expired || (same_kernel && !locks_.alive(rows.uuid(1))))
        rows_of_dead.push_back({rows.i64(0), rows.uuid(1), rows.text(4)});
    }
  }
  Dead dead;
  for (const Row& row : rows_of_dead) {
    const int left = most - dead.jobs;
    dead.jobs += rescue_jobs_of(row.session, row.worker, left);
    if (dead.jobs >= most) break;  // it may have more
    db_.run(kDelete, row.session);
    dead.gone.push_back(row.id);
  }
  return dead;
}

}  // namespace spool::sqlite
