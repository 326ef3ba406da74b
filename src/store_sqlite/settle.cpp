#include "store_sqlite/settle.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "queue/retry.h"

namespace spool::sqlite {
namespace {

#define SPOOL_HELD                                                                                      \
  "SELECT j.seq, j.parent, j.lane, j.priority, j.optional, j.unique_key IS NOT NULL, j.deadline_asked," \
  " coalesce(l.deadline, j.deadline), coalesce(l.ready, j.created + j.delay), r.attempt, r.claimed,"    \
  " j.most_attempts, coalesce(l.rescues, 0), coalesce(l.stop, 0), coalesce(l.has_children, 0), j.id, "  \
  "r.token, coalesce(l.arrived, j.arrived, j.created + j.delay) "
constexpr const char* kHeld =  // primary keys and job.id
    SPOOL_HELD
    "FROM job j JOIN running r ON r.seq = j.seq LEFT JOIN life l ON l.seq = j.seq"
    " WHERE j.id = ?1 AND r.token = ?2";
constexpr const char* kHeldBetween =  // primary keys; few rows are in running
    SPOOL_HELD
    "FROM running r CROSS JOIN job j ON j.seq = r.seq LEFT JOIN life l ON l.seq = r.seq"
    " WHERE r.seq BETWEEN ?1 AND ?2 AND r.session = ?3";
constexpr const char* kWorkerOf =
    "SELECT s.host || ':' || s.pid FROM running r JOIN session s ON s.session = r.session WHERE r.seq = ?1";

constexpr const char* kChargeAttempt =
    "INSERT INTO life (seq, attempts) VALUES (?1, ?2) ON CONFLICT (seq) DO UPDATE SET attempts = "
    "excluded.attempts";
constexpr const char* kChargeRescue =
    "INSERT INTO life (seq, rescues) VALUES (?1, 1) ON CONFLICT (seq) DO UPDATE SET rescues = rescues + 1"
    " RETURNING rescues";
constexpr const char* kNextPhase =
    "INSERT INTO life (seq, phase, fail_fast, has_children) VALUES (?1, ?2, ?3, 1) ON CONFLICT (seq) DO "
    "UPDATE SET"
    " phase = excluded.phase, fail_fast = excluded.fail_fast, has_children = 1, attempts = 0, rescues = 0,"
    " progress = 0, detail = NULL";
constexpr const char* kAddUsage =
    "INSERT INTO life (seq, cpu, memory, bytes_read, bytes_written) VALUES (?1, ?2, ?3, ?4, ?5)"
    " ON CONFLICT (seq) DO UPDATE SET cpu = cpu + excluded.cpu, memory = max(memory, excluded.memory),"
    " bytes_read = bytes_read + excluded.bytes_read, bytes_written = bytes_written + excluded.bytes_written";
constexpr const char* kClaimedAt = "SELECT claimed FROM running WHERE seq = ?1";

constexpr Duration kLongest = std::chrono::hours(24 * 365 * 100);  // that anything is put off

double random_fraction() {
  thread_local std::minstd_rand generator(std::random_device{}());
  return std::uniform_real_distribution<>(0, 1)(generator);
}

}  // namespace

void Settler::expect(std::int64_t session, Seq first, Seq last) {
  Rows rows = db_.query(kHeldBetween, first, last, session);
  while (rows.next()) expected_.try_emplace(rows.uuid(15), read(rows));
}

std::optional<Settler::Held> Settler::held(const Uuid& job, const Token& token) {
  if (auto known = expected_.extract(job); !known.empty() && known.mapped().token == token)
    return std::move(known.mapped());
  life_.flush();
  Rows row = db_.query(kHeld, job, token);
  if (!row.next()) return std::nullopt;
  return read(row);
}

Settler::Held Settler::read(const Rows& row) {
  Held held;
  Node& node = held.node;
  node.seq = row.i64(0);
  node.parent = row.i64(1);
  node.lane = row.i64(2);
  node.priority = row.i32(3);
  node.optional = row.i32(4) != 0;
  node.has_key = row.i32(5) != 0;
  node.deadline_asked = row.maybe_duration(6);
  node.deadline = row.maybe_time(7);
  node.ready = row.time(8);
  node.attempts = row.i32(9);
  node.state = State::kRunning;
  held.trace.attempt = row.i32(9);
  held.trace.claimed = row.time(10);
  held.most_attempts = row.i32(11);
  held.rescues = row.i32(12);
  node.stop = static_cast<Stop>(row.i32(13));
  node.has_children = row.i32(14) != 0;
  held.token = row.token(16);
  node.arrived = row.time(17);
  return held;
}

Result<void> Settler::settle(const Settlement& s) {
  auto found = held(s.job, s.token);
  if (!found)
    return fail(Code::kLeaseLost, fmt::format("job {}: another attempt owns it, or none", s.job.text()));
  Held& held = *found;
  held.trace.usage = s.usage;
  const bool well = std::holds_alternative<Succeeded>(s.ending);
  if (held.node.stop != Stop::kNone && !well) {
    // It was asked to stop: whatever it says but success, that is how it ends.
    if (const auto* failed = std::get_if<Failed>(&s.ending); failed != nullptr)
      note_failure(held, s, failed->error);
    life_.take_out(held.node);
    life_.end_stopped(held.node, held.trace);
    return {};
  }
  std::visit([&](const auto& ending) { settle(held, s, ending); }, s.ending);
  return {};
}

void Settler::settle(Held& held, const Settlement& s, const Succeeded& ending) {
  std::string result = ending.result.is_null() ? std::string() : to_text(ending.result);
  if (result.size() > kMostResultBytes) {
    fail_for_good(
        held, s,
        {Code::kLimitExceeded,
         fmt::format("its result has {} bytes: the most is {}", result.size(), kMostResultBytes), 0});
    return;
  }
  life_.leave_running(held.node.seq);
  held.trace.token = s.token;
  if (!result.empty()) held.trace.result = std::move(result);
  life_.end(held.node, State::kSucceeded, std::move(held.trace));
}

void Settler::settle(Held& held, const Settlement& s, const FanOut& ending) {
  const std::size_t mark = life_.mark();
  std::optional<Error> refused;
  try {
    Savepoint savepoint(db_);
    refused = fan_out(held, ending);
    if (!refused) savepoint.keep();
  } catch (StoreError& e) {
    const int code = e.error.native & 0xff;
    if (code != 0 && code != SQLITE_CONSTRAINT && code != SQLITE_TOOBIG) throw;  // not this fan-out's fault
    refused = std::move(e.error);
  }
  if (!refused) {
    add_usage(held);
    return;
  }
  life_.back_to(mark);
  lanes_.forget();
  fail_for_good(held, s, *refused);
}

std::optional<Error> Settler::fan_out(const Held& held, const FanOut& ending) {
  const Seq seq = held.node.seq;
  life_.take_out(held.node);
  db_.run(kNextPhase, seq, std::string_view(ending.next_phase), ending.fail_fast);
  life_.park(seq, State::kWaiting, 0, life_.now());
  Inserter inserter(life_, lanes_);
  bool waits = false;
  for (const NewJob& child : ending.children) {
    const auto inserted = inserter.insert(draft(child), seq);
    if (!inserted)
      return Error{
          inserted.error().code,
          fmt::format("its fan-out was refused: {} {}: {}", child.kind, child.name, inserted.error().message),
          0};
    waits |= !inserted->existed;
  }
  inserter.finish();
  if (!waits) life_.resume(life_.load(seq));
  return std::nullopt;
}

void Settler::settle(Held& held, const Settlement& s, const RetryLater& ending) {
  if (held.trace.attempt >= held.most_attempts) {
    fail_for_good(held, s, ending.error);
    return;
  }
  note_failure(held, s, ending.error);
  add_usage(held);
  db_.run(kChargeAttempt, held.node.seq, held.trace.attempt);
  life_.take_out(held.node);
  again(held, ending.after.value_or(back_off(held.trace.attempt, random_fraction())));
}

void Settler::settle(Held& held, const Settlement&, const Snooze& ending) {
  add_usage(held);
  life_.take_out(held.node);
  life_.go_behind(held.node, life_.now() + std::clamp(ending.duration, Duration(0), kLongest));
  again(held, ending.duration);
}

void Settler::settle(Held& held, const Settlement& s, const Failed& ending) {
  fail_for_good(held, s, ending.error);
}

void Settler::settle(Held& held, const Settlement&, const Released&) {
  add_usage(held);
  life_.take_out(held.node);
  life_.make_ready(held.node, held.node.ready, false);  // at its old place in the line
}

void Settler::fail_for_good(Held& held, const Settlement& s, const Error& error) {
  note_failure(held, s, error);
  life_.take_out(held.node);
  life_.end(held.node, State::kFailed, held.trace);
}

void Settler::note_failure(const Held& held, const Settlement& s, const Error& error) {
  std::string worker;
  {
    Rows row = db_.query(kWorkerOf, held.node.seq);
    if (row.next()) worker = row.text(0);
  }
  life_.add_failure(held.node.seq, {held.trace.attempt, error, worker, *held.trace.claimed, life_.now(),
                                    tail(s.log_tail, kMostLogTailBytes), s.usage});
}

void Settler::add_usage(const Held& held) {
  const Usage& u = held.trace.usage;
  if (u.cpu_seconds == 0 && u.peak_memory_bytes == 0 && u.bytes_read == 0 && u.bytes_written == 0) return;
  db_.run(kAddUsage, held.node.seq, u.cpu_seconds, u.peak_memory_bytes, u.bytes_read, u.bytes_written);
}

void Settler::again(const Held& held, Duration after) {
  after = std::clamp(after, Duration(0), kLongest);
  if (after > Duration(0))
    life_.park(held.node.seq, State::kScheduled, 0, life_.now() + after);
  else
    life_.make_ready(held.node, life_.now());
}

void Settler::rescue(Seq job, const std::string& worker) {
  const Node node = life_.load(job);
  AttemptTrace trace{node.attempts, {}, {}, {}, {}};
  Time began = life_.now();
  {
    Rows row = db_.query(kClaimedAt, job);
    if (row.next()) began = row.time(0);
  }
  trace.claimed = began;
  life_.take_out(node);
  const Error lost{Code::kCrashed, "its worker disappeared", 0};
  life_.add_failure(job, {node.attempts, lost, worker, began, life_.now(), "", {}});
  if (node.stop != Stop::kNone) {
    life_.end_stopped(node, trace);
    return;
  }
  int rescues = 0;
  {
    Rows row = db_.query(kChargeRescue, job);
    if (row.next()) rescues = row.i32(0);
    while (row.next()) {
    }
  }
  if (rescues >= kRescueLimit) {
    const Error error{Code::kCrashed,
                      fmt::format("it lost its worker {} times without new progress", rescues), 0};
    life_.add_failure(job, {node.attempts, error, worker, began, life_.now(), "", {}});
    life_.end(node, State::kFailed, trace);
    return;
  }
  life_.make_ready(node, node.ready, false);
}

void Settler::release(Seq job) {
  const Node node = life_.load(job);
  life_.take_out(node);
  if (node.stop != Stop::kNone)
    life_.end_stopped(node, {node.attempts, {}, {}, {}, {}});
  else
    life_.make_ready(node, node.ready, false);
}

}  // namespace spool::sqlite
