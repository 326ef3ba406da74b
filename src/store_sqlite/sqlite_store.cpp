#include "store_sqlite/sqlite_store.h"

#include <fmt/format.h>

#include <atomic>
#include <limits>
#include <mutex>
#include <type_traits>
#include <unordered_map>

#include "queue/checks.h"
#include "store_sqlite/claim.h"
#include "store_sqlite/queues.h"
#include "store_sqlite/reader.h"
#include "store_sqlite/report.h"
#include "store_sqlite/schedules.h"
#include "store_sqlite/schema.h"
#include "store_sqlite/sessions.h"
#include "store_sqlite/settle.h"
#include "store_sqlite/sweep.h"
#include "store_sqlite/wakeup.h"

namespace spool {
namespace {

using namespace sqlite;  // NOLINT: this is the module's one face

constexpr const char* kNextDue =  // parked_due, gate_timer
    "SELECT min(coalesce((SELECT min(due) FROM parked WHERE state = 2), 9223372036854775807),"
    " coalesce((SELECT min(timer) FROM gate WHERE timer IS NOT NULL), 9223372036854775807))";
constexpr const char* kBeginRead = "BEGIN";  // one state of the file for all statements of a call
constexpr const char* kSessionGone = "the session's lease is gone";

// The one place where the module's exceptions become values.
template <class Work>
auto guarded(Work&& work) -> Result<std::invoke_result_t<Work>> {
  try {
    if constexpr (std::is_void_v<std::invoke_result_t<Work>>) {
      work();
      return {};
    } else {
      return work();
    }
  } catch (StoreError& e) {
    return fail(std::move(e.error));
  } catch (const std::bad_alloc&) {
    return fail(Code::kLimitExceeded, "database: out of memory");
  }
}

std::unique_ptr<Database> connect(const std::string& path, const SqliteOptions& options, int flags) {
  auto db = std::make_unique<Database>(path, flags, options.vfs, options.busy_timeout);
  db->script("PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -65536");
  return db;
}

class SqliteStore final : public Store {
 public:
  SqliteStore(const std::string& path, const SqliteOptions& options, std::unique_ptr<Database> writer)
      : writer_(std::move(writer)),
        reader_(connect(path, options, SQLITE_OPEN_READWRITE)),
        locks_(path + "-sessions"),
        wakeup_(connect(path, options, SQLITE_OPEN_READWRITE), options.poll) {}

  Result<Session> open_session(const WorkerInfo& worker) override {
    SPOOL_TRY(check_worker(worker));
    const Session session{Uuid::v7()};
    auto opened = write([&](LifeCycle& life) {
      locks_.take(session.id);  // before the row: whoever sees the row finds it locked
      Sessions(life, lanes_, locks_).open(session.id, worker);
    });
    if (opened) return session;
    const std::lock_guard lock(write_mutex_);
    locks_.drop(session.id);
    return fail(std::move(opened).error());
  }

  Result<void> close_session(Session session) override {
    SPOOL_TRY(write([&](LifeCycle& life) { Sessions(life, lanes_, locks_).close(session.id); }));
    const std::lock_guard lock(write_mutex_);
    locks_.drop(session.id);
    return {};
  }

  Result<void> hand_over(Session from, Session heir, std::span<const Token> attempts) override {
    SPOOL_TRY(write(
        [&](LifeCycle& life) { Sessions(life, lanes_, locks_).hand_over(from.id, heir.id, attempts); }));
    const std::lock_guard lock(write_mutex_);
    locks_.drop(from.id);
    return {};
  }

  Result<Renewed> renew(Session session) override {
    return with_lease(session, [&](LifeCycle& life, std::int64_t number) {
      return Sessions(life, lanes_, locks_).renew(number);
    });
  }

  Result<void> drain(Session session) override {
    return write([&](LifeCycle& life) { Sessions(life, lanes_, locks_).drain(session.id); });
  }

  Result<std::vector<Result<Inserted>>> insert(std::span<const NewJob> jobs) override {
    std::vector<Draft> drafts;
    drafts.reserve(jobs.size());
    for (const NewJob& job : jobs) drafts.push_back(draft(job));
    return write([&](LifeCycle& life) {
      std::vector<Result<Inserted>> results;
      results.reserve(jobs.size());
      Inserter inserter(life, lanes_);
      for (const Draft& d : drafts) results.push_back(inserter.insert(d));
      inserter.finish();
      return results;
    });
  }

  Result<Exchange> exchange(Session session, std::span<const Settlement> settlements,
                            const ClaimRequest& want) override {
    return with_lease(session, [&](LifeCycle& life, std::int64_t number) {
      Exchange result;
      Settler settler(life, lanes_);
      expect(settler, number, settlements);
      result.settled.reserve(settlements.size());
      for (const Settlement& s : settlements) result.settled.push_back(settler.settle(s));
      life.propagate();
      if (want.slots <= 0) return result;
      move_due(life, kMostRescued);
      stop_late(life, kMostRescued);
      life.propagate();
      life.admit();
      Claimer claimer(life, lanes_);
      result.claimed = claimer.claim(number, want);
      for (std::size_t i = 0; i < result.claimed.size(); ++i)
        claimed_[result.claimed[i].job] = claimer.seqs()[i];
      return result;
    });
  }

  Result<std::vector<Result<bool>>> report(std::span<const ProgressReport> reports) override {
    return write([&](LifeCycle& life) {
      std::vector<Result<bool>> results;
      for (const ProgressReport& r : reports) results.push_back(write_report(life, r));
      return results;
    });
  }

  Result<void> start(Uuid job) override {
    return change(job, [](LifeCycle& life, const Node& node) { sqlite::start(life, node); });
  }

  Result<void> cancel(Uuid job) override {
    return change(job, [](LifeCycle& life, const Node& node) {
      if (!ended(node.state)) life.stop_tree(node.seq, Stop::kCancel, "cancelled");
    });
  }

  Result<void> retry(Uuid job) override {
    return change(job, [](LifeCycle& life, const Node& node) { reopen(life, node); });
  }

  Result<void> remove(Uuid job) override {
    auto removed = change(job, [](LifeCycle& life, const Node& node) {
      hide(life, node.seq, true);  // before its end: its parent does not count what was removed as failed
      life.stop_tree(node.seq, Stop::kCancel, "removed");
    });
    if (!removed && removed.error().code == Code::kNotFound) return {};
    return removed;
  }

  Result<void> pause_queue(const std::string& queue) override {
    SPOOL_TRY(check_queue(queue));
    return write([&](LifeCycle& life) { sqlite::pause_queue(life.db(), queue); });
  }
  Result<void> resume_queue(const std::string& queue) override {
    SPOOL_TRY(check_queue(queue));
    auto resumed = write([&](LifeCycle& life) { sqlite::resume_queue(life.db(), queue); });
    if (resumed) wakeup_.wake();
    return resumed;
  }
  Result<int> clear_queue(const std::string& queue, int most) override {
    SPOOL_TRY(check_queue(queue));
    return write([&](LifeCycle& life) { return sqlite::clear_queue(life, queue, most); });
  }

  Result<void> set_limit(const Limit& limit) override {
    SPOOL_TRY(check_limit(limit));
    return write([&](LifeCycle& life) {
      life.gates().set(limit);
      life.admit();
    });
  }
  Result<void> remove_limit(LimitScope scope, const std::string& name) override {
    auto removed = write([&](LifeCycle& life) {
      life.gates().remove(scope, name);
      life.admit();
    });
    if (removed) wakeup_.wake();
    return removed;
  }
  Result<std::vector<LimitUse>> limits() override {
    return read([](Reader& reader) { return reader.limits(); });
  }

  Result<void> put_schedule(const Schedule& schedule) override {
    SPOOL_TRY(check_schedule(schedule));
    return write([&](LifeCycle& life) { sqlite::put_schedule(life.db(), schedule); });
  }
  Result<void> pause_schedule(const std::string& name, bool paused) override {
    return write([&](LifeCycle& life) { sqlite::pause_schedule(life.db(), name, paused); });
  }
  Result<void> remove_schedule(const std::string& name) override {
    return write([&](LifeCycle& life) { sqlite::remove_schedule(life.db(), name); });
  }
  Result<std::vector<Schedule>> schedules() override {
    return read([](Reader& reader) { return reader.schedules(); });
  }
  Result<bool> tick(const std::string& schedule, Time expected, Time next,
                    std::span<const NewJob> jobs) override {
    return write([&](LifeCycle& life) { return sqlite::tick(life, lanes_, schedule, expected, next, jobs); });
  }

  Result<Job> get(Uuid job) override {
    SPOOL_ASSIGN(auto found, read([&](Reader& reader) { return reader.get(job); }));
    if (!found) return fail(Code::kNotFound, fmt::format("there is no job {}", job.text()));
    return std::move(*found);
  }
  Result<std::vector<Job>> list(const JobFilter& filter) override {
    return read([&](Reader& reader) { return reader.list(filter); });
  }
  Result<std::vector<OutcomeRecord>> outcomes_since(std::int64_t sequence, int most) override {
    return read([&](Reader& reader) { return reader.outcomes_since(sequence, most); });
  }
  Result<std::vector<SessionInfo>> sessions() override {
    return read([](Reader& reader) { return reader.sessions(); });
  }
  Result<std::vector<QueueCounts>> counts() override {
    return read([](Reader& reader) { return reader.counts(); });
  }

  Result<int> rescue(int most) override {
    std::vector<Uuid> gone;
    auto changed = write([&](LifeCycle& life) {
      Sessions::Dead dead = Sessions(life, lanes_, locks_).end_dead(most);
      gone = std::move(dead.gone);
      int count = dead.jobs + move_due(life, most - dead.jobs);
      stop_late(life, most - count);
      life.propagate();
      life.admit();
      life.gates().drop_idle();
      count += life.moved();
      return count + purge(life, most - count);
    });
    const std::lock_guard lock(write_mutex_);
    if (changed)
      for (const Uuid& session : gone) locks_.drop(session);
    return changed;
  }

  Result<int> prune(const PruneRules& rules, int most) override {
    SPOOL_TRY(check_rules(rules));
    return write([&](LifeCycle& life) { return sqlite::prune(life, rules, most); });
  }

  Result<std::vector<PurgedJob>> purged(int most) override {
    return read([&](Reader& reader) { return reader.purged(most); });
  }
  Result<void> forget_purged(std::span<const Uuid> jobs) override {
    return write([&](LifeCycle& life) { sqlite::forget_purged(life.db(), jobs); });
  }

  void wait(Duration most) override {
    // A job that becomes due meanwhile ends the wait.
    wakeup_.wait(std::min(most, until_next_due()));
  }
  void wake() override { wakeup_.wake(); }

  Result<Time> now() override { return clock(); }
  void shift_clock_for_tests(Duration offset) override { offset_ += offset.count(); }

 private:
  Time clock() const {
    return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now()) +
           Duration(offset_.load());
  }

  // claimed_ is a hint: it may hold what was rolled back, or what was lost with its lease.
  void expect(Settler& settler, std::int64_t session, std::span<const Settlement> settlements) {
    constexpr std::size_t kFew = 4, kMostRemembered = 100'000;
    Seq first = std::numeric_limits<Seq>::max(), last = 0;
    for (const Settlement& s : settlements)
      if (const auto known = claimed_.extract(s.job); !known.empty()) {
        first = std::min(first, known.mapped());
        last = std::max(last, known.mapped());
      }
    if (settlements.size() >= kFew && first <= last) settler.expect(session, first, last);
    if (claimed_.size() > kMostRemembered) claimed_.clear();
  }

  Duration until_next_due() {
    const std::lock_guard lock(read_mutex_);
    try {
      Rows row = reader_->query(kNextDue);
      if (row.next()) return std::max(row.time(0) - clock(), Duration(0));
    } catch (const StoreError&) {
      // A hint only.
    }
    return Duration::max();
  }

  // One write transaction. What was woken is worked off before the commit, waiters hear of it after.
  template <class Work>
  auto write(Work&& work) -> Result<std::invoke_result_t<Work, LifeCycle&>> {
    bool woke = false;
    auto result = guarded([&] {
      const std::lock_guard lock(write_mutex_);
      try {
        Transaction transaction(*writer_);
        LifeCycle life(*writer_, clock(), limits_);
        struct Finish {
          LifeCycle& life;
          Transaction& transaction;
          bool& woke;
          void operator()() {
            life.propagate();
            if (life.changed_states()) life.admit();
            transaction.commit();
            woke = life.woke();
          }
        } finish{life, transaction, woke};
        if constexpr (std::is_void_v<std::invoke_result_t<Work, LifeCycle&>>) {
          work(life);
          finish();
        } else {
          auto value = work(life);
          finish();
          return value;
        }
      } catch (...) {
        lanes_.forget();
        limits_.forget();
        throw;
      }
    });
    if (woke) wakeup_.wake();
    return result;
  }

  // As write(), for a session whose lease is alive; else kLeaseLost, and nothing is changed.
  template <class Work>
  auto with_lease(Session session, Work&& work)
      -> Result<std::invoke_result_t<Work, LifeCycle&, std::int64_t>> {
    using Value = std::invoke_result_t<Work, LifeCycle&, std::int64_t>;
    auto result = write([&](LifeCycle& life) -> std::optional<Value> {
      Sessions all(life, lanes_, locks_);
      if (const auto number = all.find(session.id)) return work(life, *number);
      return std::nullopt;
    });
    if (!result) return fail(std::move(result).error());
    if (*result) return std::move(**result);
    return fail(Code::kLeaseLost, kSessionGone);
  }

  template <class Work>
  Result<void> change(const Uuid& job, Work&& work) {
    return write([&](LifeCycle& life) {
      const auto node = life.find(job);
      if (!node) refuse(Code::kNotFound, fmt::format("there is no job {}", job.text()));
      work(life, *node);
    });
  }

  template <class Work>
  auto read(Work&& work) -> Result<std::invoke_result_t<Work, Reader&>> {
    return guarded([&] {
      const std::lock_guard lock(read_mutex_);
      reader_->run(kBeginRead);
      struct End {
        Database& db;
        ~End() { sqlite3_exec(db.get(), "END", nullptr, nullptr, nullptr); }
      } end{*reader_};
      Reader reader(*reader_);
      return work(reader);
    });
  }

  std::mutex write_mutex_;  // guards writer_, lanes_, limits_, claimed_ and locks_
  std::unique_ptr<Database> writer_;
  Lanes lanes_;
  KnownLimits limits_;
  std::unordered_map<Uuid, Seq> claimed_;  // through this store, and not settled
  std::mutex read_mutex_;                  // guards reader_
  std::unique_ptr<Database> reader_;
  SessionLocks locks_;
  Wakeup wakeup_;
  std::atomic<Duration::rep> offset_{0};
};

// Two processes that make a file at once: one of them must wait for the other's change of journal mode, and
// SQLite does not ask the busy handler there.
void use_wal(Database& db, const std::filesystem::path& path, Duration most) {
  const auto end = BootClock::now() + most;
  for (;;) {
    try {
      Rows row = db.once("PRAGMA journal_mode = WAL");
      if (row.next() && row.view(0) == "wal") return;
      refuse(Code::kUnsupported,
             fmt::format("{}: this file system has no shared memory for SQLite's log", path.string()));
    } catch (const StoreError& e) {
      if (e.error.code != Code::kUnavailable || BootClock::now() > end) throw;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

}  // namespace

Result<std::unique_ptr<Store>> open_sqlite_store(const std::filesystem::path& path, SqliteOptions options) {
  return guarded([&]() -> std::unique_ptr<Store> {
    auto writer = connect(path.string(), options, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    if (sqlite3_db_readonly(writer->get(), "main") == 1)
      refuse(Code::kPermissionDenied, fmt::format("{}: it is read-only", path.string()));
    migrate(*writer, path.string());
    use_wal(*writer, path, options.busy_timeout);
    // Larger logs: fewer pages are written twice. The log stays below 64 MiB.
    writer->script("PRAGMA wal_autocheckpoint = 4000; PRAGMA journal_size_limit = 67108864");
    return std::make_unique<SqliteStore>(path.string(), options, std::move(writer));
  });
}

std::string sqlite_version() {
  return sqlite3_libversion();
}

}  // namespace spool
