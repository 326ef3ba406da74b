#include "store_sqlite/gates.h"

#include <fmt/format.h>

#include <map>
#include <tuple>

#include "queue/state.h"
#include "queue/stored.h"

namespace spool::sqlite {
namespace {

constexpr const char* kVersion = "SELECT version FROM limit_version";
constexpr const char* kNewVersion = "UPDATE limit_version SET version = version + 1";
constexpr const char* kLimits =
    "SELECT scope, name, concurrency, count, period, burst FROM limit_rule ORDER BY scope, name";
constexpr const char* kSetLimit =
    "INSERT OR REPLACE INTO limit_rule (scope, name, concurrency, count, period, burst)"
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
constexpr const char* kRemoveLimit = "DELETE FROM limit_rule WHERE scope = ?1 AND name = ?2";

constexpr const char* kNamesOf =  // primary keys
    "SELECT a.queue, j.limit_key FROM job j JOIN lane a ON a.lane = j.lane WHERE j.seq = ?1";
constexpr const char* kAddGate = "INSERT OR IGNORE INTO gate (scope, name) VALUES (?1, ?2)";
constexpr const char* kNumberOf = "SELECT gate FROM gate WHERE scope = ?1 AND name = ?2";
constexpr const char* kKeepBack =
    "INSERT INTO parked (seq, state, open, due, gate, rank) VALUES (?1, ?2, 0, ?3, ?4, ?5)";
constexpr const char* kLessAvailable =
    "UPDATE gate SET available = available - 1 WHERE scope = ?1 AND name = ?2 RETURNING gate";
constexpr const char* kLessRunning =
    "UPDATE gate SET running = running - 1 WHERE scope = ?1 AND name = ?2 RETURNING gate";
constexpr const char* kStarted =
    "UPDATE gate SET available = available - 1, running = running + 1 WHERE gate = ?1 RETURNING next";
constexpr const char* kLaterPhase = "SELECT 1 FROM life WHERE seq = ?1 AND phase <> ''";  // primary key
constexpr const char* kSetNext = "UPDATE gate SET next = ?2 WHERE gate = ?1";
constexpr const char* kRung = "SELECT gate FROM gate WHERE timer <= ?1";  // gate_timer

constexpr const char* kGate = "SELECT scope, name, available, running, next FROM gate WHERE gate = ?1";
constexpr const char* kFirst =  // parked_gate is the order
    "SELECT p.rank, p.seq, j.lane, a.queue, j.limit_key FROM parked p JOIN job j ON j.seq = p.seq"
    " JOIN lane a ON a.lane = j.lane WHERE p.gate = ?1 ORDER BY p.rank, p.seq LIMIT 1";
constexpr const char* kAnyWaits = "SELECT 1 FROM parked WHERE gate = ?1 LIMIT 1";  // parked_gate
constexpr const char* kWaitElsewhere = "UPDATE parked SET gate = ?2 WHERE seq = ?1";
constexpr const char* kUnpark = "DELETE FROM parked WHERE seq = ?1";
constexpr const char* kAddReady = "INSERT INTO ready (lane, rank, seq) VALUES (?1, ?2, ?3)";
constexpr const char* kKeepGate = "UPDATE gate SET available = ?2, timer = ?3 WHERE gate = ?1";
constexpr const char* kDropIdle =  // gate_idle, parked_gate
    "DELETE FROM gate WHERE available + running = 0 AND next <= ?1"
    " AND NOT EXISTS (SELECT 1 FROM parked p WHERE p.gate = gate.gate)";

// When the limits have changed. All that is available and limited is read and written once.
constexpr const char* kAllAvailable =
    "INSERT INTO ready (lane, rank, seq) SELECT j.lane, p.rank, p.seq FROM parked p JOIN job j ON j.seq = "
    "p.seq"
    " WHERE p.gate IS NOT NULL";
constexpr const char* kNoneWaits = "DELETE FROM parked WHERE gate IS NOT NULL";
constexpr const char* kGates = "SELECT gate, scope, name FROM gate";
constexpr const char* kDropGate = "DELETE FROM gate WHERE gate = ?1";
constexpr const char* kNames =
    "SELECT 0, queue FROM lane UNION SELECT 1, j.limit_key FROM ready r JOIN job j ON j.seq = r.seq"
    " WHERE j.limit_key IS NOT NULL UNION SELECT 1, j.limit_key FROM running r JOIN job j ON j.seq = r.seq"
    " WHERE j.limit_key IS NOT NULL";
constexpr const char* kLimitedWait =
    "INSERT INTO parked (seq, state, open, due, gate, rank)"
    " SELECT r.seq, ?1, 0, coalesce(l.ready, j.created + j.delay), coalesce(q.gate, k.gate), r.rank FROM "
    "ready r"
    " JOIN job j ON j.seq = r.seq JOIN lane a ON a.lane = j.lane LEFT JOIN life l ON l.seq = r.seq"
    " LEFT JOIN gate q ON q.scope = 0 AND q.name = a.queue"
    " LEFT JOIN gate k ON k.scope = 1 AND k.name = j.limit_key WHERE coalesce(q.gate, k.gate) IS NOT NULL";
constexpr const char* kLimitedLeaveReady =
    "DELETE FROM ready WHERE EXISTS (SELECT 1 FROM parked p WHERE p.seq = ready.seq)";
constexpr const char* kNoPlaces = "UPDATE gate SET available = 0, running = 0";
constexpr const char* kCountRunning =
    "UPDATE gate SET running = x.n FROM (SELECT 0 AS scope, a.queue AS name, count(*) AS n FROM running r"
    " JOIN job j ON j.seq = r.seq JOIN lane a ON a.lane = j.lane GROUP BY 2"
    " UNION ALL SELECT 1, j.limit_key, count(*) FROM running r JOIN job j ON j.seq = r.seq"
    " WHERE j.limit_key IS NOT NULL GROUP BY 2) x WHERE gate.scope = x.scope AND gate.name = x.name";

}  // namespace

std::vector<Limit> read_limits(Database& db) {
  std::vector<Limit> limits;
  Rows rows = db.query(kLimits);
  while (rows.next()) {
    const auto concurrency = rows.null(2) ? std::nullopt : std::optional(rows.i32(2));
    limits.push_back(
        limit_of(rows.i32(0), rows.text(1), concurrency, rows.i32(3), rows.maybe_duration(4), rows.i32(5)));
  }
  return limits;
}

const LimitBook& KnownLimits::book(Database& db) {
  std::int64_t version = 0;
  if (Rows row = db.query(kVersion); row.next()) version = row.i64(0);
  if (version != version_) book_ = LimitBook(read_limits(db));
  version_ = version;
  return book_;
}

const LimitBook& Gates::book() {
  if (book_ == nullptr) book_ = &known_.book(db_);
  return *book_;
}

std::int64_t Gates::number_of(LimitScope scope, const std::string& name) {
  for (int i = 0; i < 2; ++i) {
    if (Rows row = db_.query(kNumberOf, static_cast<int>(scope), std::string_view(name)); row.next())
      return row.i64(0);
    db_.run(kAddGate, static_cast<int>(scope), std::string_view(name));
  }
  refuse(Code::kInternal, fmt::format("database: the gate of {} is missing", name));
}

// visit(scope, name, limit)
template <class Visit>
void Gates::for_each_limit_of(Seq job, Visit visit) {
  std::string queue, key;
  if (Rows row = db_.query(kNamesOf, job); row.next()) {
    queue = row.text(0);
    key = row.text(1);
  }
  if (const Limit* limit = book().find(LimitScope::kQueue, queue)) visit(LimitScope::kQueue, queue, *limit);
  if (key.empty()) return;
  if (const Limit* limit = book().find(LimitScope::kKey, key)) visit(LimitScope::kKey, key, *limit);
}

bool Gates::keeps_back(Seq job, std::int64_t rank, Time ready) {
  if (!any()) return false;
  std::int64_t gate = 0;
  for_each_limit_of(job, [&](LimitScope scope, const std::string& name, const Limit&) {
    if (gate == 0) gate = number_of(scope, name);
  });
  if (gate == 0) return false;
  db_.run(kKeepBack, job, static_cast<int>(State::kWaiting), ready, gate, rank);
  touched_.insert(gate);
  return true;
}

void Gates::gave_back(Seq job, Held held) {
  if (!any()) return;
  for_each_limit_of(job, [&](LimitScope scope, const std::string& name, const Limit&) {
    Rows row = db_.query(held == Held::kAvailable ? kLessAvailable : kLessRunning, static_cast<int>(scope),
                         std::string_view(name));
    while (row.next()) touched_.insert(row.i64(0));
  });
}

void Gates::started(std::span<const Seq> jobs) {
  if (!any()) return;
  for (const Seq job : jobs)
    for_each_limit_of(job, [&](LimitScope scope, const std::string& name, const Limit& limit) {
      const std::int64_t gate = number_of(scope, name);
      Time next{};
      {
        Rows row = db_.query(kStarted, gate);
        while (row.next()) next = row.time(0);
      }
      if (!limit.rate) return;
      touched_.insert(gate);
      if (db_.query(kLaterPhase, job).next()) return;
      db_.run(kSetNext, gate, after_start(*limit.rate, next, now_));
    });
}

struct Gates::Gate {
  std::int64_t number = 0;
  const Limit* limit = nullptr;
  std::int64_t available = 0, running = 0;
  Time next{};

  [[nodiscard]] bool has_room() const {
    return !limit->concurrency || available + running < *limit->concurrency;
  }
  [[nodiscard]] Time opens() const {
    return limit->rate ? spool::opens(*limit->rate, next, available) : Time::min();
  }
};

struct Gates::Waiter {
  std::int64_t rank = 0;
  Seq seq = 0;
  std::int64_t gate = 0;
  std::int64_t lane = 0;
  std::string queue, key;

  bool operator<(const Waiter& other) const { return std::tie(rank, seq) < std::tie(other.rank, other.seq); }
};

// Merges the lines of the touched gates by rank. Who meets another limit that is used up waits for that one
// from then on: so a gate that nobody touched has no place for any of its line.
class Gates::Admission {
 public:
  explicit Admission(Gates& all) : all_(all), db_(all.db_) {}

  int run() {
    for (const std::int64_t gate : all_.touched_) enter_first_of(gate);
    int admitted = 0;
    while (!line_.empty()) {
      const Waiter first = std::move(line_.extract(line_.begin()).value());
      if (!is_open(*find(first.gate))) continue;
      admitted += admit(first);
      enter_first_of(first.gate);
    }
    for (const auto& [number, gate] : gates_) keep(gate);
    return admitted;
  }

 private:
  // nullptr: it went with a savepoint.
  Gate* find(std::int64_t number) {
    if (const auto known = gates_.find(number); known != gates_.end()) return &known->second;
    Rows row = db_.query(kGate, number);
    if (!row.next()) return nullptr;
    const Limit* limit = all_.book().find(static_cast<LimitScope>(row.i32(0)), row.view(1));
    if (limit == nullptr) return nullptr;
    return &(gates_[number] = Gate{number, limit, row.i64(2), row.i64(3), row.time(4)});
  }
  [[nodiscard]] bool is_open(const Gate& gate) const { return gate.has_room() && gate.opens() <= all_.now_; }

  void enter_first_of(std::int64_t number) {
    const Gate* gate = find(number);
    if (gate == nullptr || !is_open(*gate)) return;
    Rows row = db_.query(kFirst, number);
    if (row.next()) line_.insert({row.i64(0), row.i64(1), number, row.i64(2), row.text(3), row.text(4)});
  }

  bool admit(const Waiter& job) {
    std::vector<Gate*> gates;
    const auto add = [&](LimitScope scope, const std::string& name) {
      if (all_.book().find(scope, name) != nullptr) gates.push_back(find(all_.number_of(scope, name)));
    };
    add(LimitScope::kQueue, job.queue);
    if (!job.key.empty()) add(LimitScope::kKey, job.key);
    for (const Gate* gate : gates) {
      if (is_open(*gate)) continue;
      db_.run(kWaitElsewhere, job.seq, gate->number);
      return false;
    }
    for (Gate* gate : gates) ++gate->available;
    db_.run(kUnpark, job.seq);
    db_.run(kAddReady, job.lane, job.rank, job.seq);
    return true;
  }

  void keep(const Gate& gate) {
    std::optional<Time> timer;
    if (gate.has_room() && gate.opens() > all_.now_ && gate.opens() != Time::max())
      if (Rows row = db_.query(kAnyWaits, gate.number); row.next()) timer = gate.opens();
    db_.run(kKeepGate, gate.number, gate.available, timer);
  }

  Gates& all_;
  Database& db_;
  std::map<std::int64_t, Gate> gates_;
  std::set<Waiter> line_;
};

int Gates::admit() {
  if (!any()) return 0;
  {
    Rows rows = db_.query(kRung, now_);
    while (rows.next()) touched_.insert(rows.i64(0));
  }
  const int admitted = Admission(*this).run();
  touched_.clear();
  return admitted;
}

void Gates::set(const Limit& limit) {
  const auto of_rate = [&](auto member) {
    return limit.rate ? std::optional((*limit.rate).*member) : std::nullopt;
  };
  db_.run(kSetLimit, static_cast<int>(limit.scope), std::string_view(limit.name), limit.concurrency,
          of_rate(&Rate::count), of_rate(&Rate::period), of_rate(&Rate::burst));
  begin_anew();
}

void Gates::remove(LimitScope scope, const std::string& name) {
  db_.run(kRemoveLimit, static_cast<int>(scope), std::string_view(name));
  if (db_.changes() == 0) refuse(Code::kNotFound, fmt::format("there is no limit for {}", name));
  begin_anew();
}

void Gates::begin_anew() {
  db_.run(kNewVersion);
  book_ = nullptr;
  db_.run(kAllAvailable);
  db_.run(kNoneWaits);
  make_gates();
  db_.run(kLimitedWait, static_cast<int>(State::kWaiting));
  db_.run(kLimitedLeaveReady);
  db_.run(kNoPlaces);
  db_.run(kCountRunning);
  Rows rows = db_.query(kGates);
  while (rows.next()) touched_.insert(rows.i64(0));
}

// One for each name that a limit applies to, and no others.
void Gates::make_gates() {
  std::vector<std::int64_t> gone, without_clock;
  std::vector<std::pair<LimitScope, std::string>> wanted;
  {
    Rows rows = db_.query(kGates);
    while (rows.next()) {
      const Limit* limit = book().find(static_cast<LimitScope>(rows.i32(1)), rows.view(2));
      if (limit == nullptr)
        gone.push_back(rows.i64(0));
      else if (!limit->rate)
        without_clock.push_back(rows.i64(0));
    }
  }
  for (const std::int64_t gate : gone) db_.run(kDropGate, gate);
  for (const std::int64_t gate : without_clock) db_.run(kSetNext, gate, Time{});
  {
    Rows rows = db_.query(kNames);
    while (rows.next()) {
      const auto scope = static_cast<LimitScope>(rows.i32(0));
      if (book().find(scope, rows.view(1)) != nullptr) wanted.emplace_back(scope, rows.text(1));
    }
  }
  for (const auto& [scope, name] : wanted) db_.run(kAddGate, static_cast<int>(scope), std::string_view(name));
}

void Gates::drop_idle() {
  if (any()) db_.run(kDropIdle, now_);
}

}  // namespace spool::sqlite
