#include "store_postgres/postgres_store.h"

#include <fmt/format.h>

#include <atomic>

#include "queue/checks.h"
#include "queue/new_job_json.h"
#include "store_postgres/exchanges.h"
#include "store_postgres/new_jobs.h"
#include "store_postgres/notify.h"
#include "store_postgres/pool.h"
#include "store_postgres/reader.h"
#include "store_postgres/schema.h"

namespace spool {
namespace {

using namespace postgres;  // NOLINT: this is the module's one face

constexpr const char* kSessionGone = "the session's lease is gone";

constexpr const char* kOpenSession = "SELECT spool.open_session($1, $2, $3, $4, $5, $6, $7, $8)";
constexpr const char* kCloseSession = "SELECT spool.close_session($1, $2)";
constexpr const char* kHandOver = "SELECT spool.hand_over($1, $2, $3, $4)";
constexpr const char* kPoll = "SELECT anything, next_due FROM spool.poll($1, $2)";
constexpr const char* kRenew = "SELECT * FROM spool.renew($1, $2)";
constexpr const char* kDrain = "UPDATE spool.session SET draining = true WHERE id = $1 RETURNING 1";
constexpr const char* kReport = "SELECT * FROM spool.report($1, $2, $3, $4, $5, $6)";
constexpr const char* kStart = "SELECT spool.start($1, $2)";
constexpr const char* kCancel = "SELECT spool.cancel_job($1, $2)";
constexpr const char* kRetry = "SELECT spool.retry($1, $2)";
constexpr const char* kRemove = "SELECT spool.remove($1, $2)";
constexpr const char* kRescue = "SELECT changed, woken FROM spool.rescue($1, $2)";
constexpr const char* kPrune = "SELECT spool.prune($1, $2, $3, $4, $5, $6, $7)";
constexpr const char* kPauseQueue = "INSERT INTO spool.paused_queue VALUES ($1) ON CONFLICT DO NOTHING";
constexpr const char* kResumeQueue = "SELECT spool.resume_queue($1)";
constexpr const char* kClearQueue = "SELECT cleared, woken FROM spool.clear_queue($1, $2, $3)";
constexpr const char* kSetLimit = "SELECT spool.set_limit($1, $2, $3, $4, $5, $6, $7)";
constexpr const char* kRemoveLimit = "SELECT spool.remove_limit($1, $2, $3)";
constexpr const char* kPutSchedule =
    "INSERT INTO spool.schedule (name, cron, zone, missed, job, paused, next) VALUES ($1, $2, $3, $4, $5, "
    "$6, $7)"
    " ON CONFLICT (name) DO UPDATE SET cron = excluded.cron, zone = excluded.zone, missed = excluded.missed,"
    " job = excluded.job, paused = excluded.paused, next = excluded.next";
constexpr const char* kPauseSchedule = "UPDATE spool.schedule SET paused = $2 WHERE name = $1 RETURNING 1";
constexpr const char* kRemoveSchedule = "DELETE FROM spool.schedule WHERE name = $1 RETURNING 1";
constexpr const char* kTick = "SELECT ticked, woken FROM spool.tick($1, $2, $3, $4, $5)";
constexpr const char* kForgetPurged = "DELETE FROM spool.purged WHERE id = ANY ($1)";
constexpr const char* kClock = "SELECT spool.clock($1)";

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

std::vector<int> lanes_of(const Rows& row, int at) {
  std::vector<int> lanes;
  for (const std::int64_t lane : row.i64s(at)) lanes.push_back(static_cast<int>(lane));
  return lanes;
}

std::vector<int> woken_by(Rows row) {
  return row.next() ? lanes_of(row, 0) : std::vector<int>();
}

// The reports, column by column.
struct ReportColumns {
  std::vector<Uuid> jobs;
  std::vector<Token> tokens;
  std::vector<double> fractions;
  std::vector<std::optional<std::string>> details, checkpoints;
  std::vector<std::optional<Error>> refused;  // one for each report

  explicit ReportColumns(std::span<const ProgressReport> reports) {
    for (const ProgressReport& report : reports) add(report);
  }

 private:
  void add(const ProgressReport& report) {
    ReportDraft said = draft(report);
    jobs.push_back(report.job);
    tokens.push_back(report.token);
    // Of what is refused nothing is written, but its token is looked at.
    if (said.error) said = {0, {}, {}, std::move(said.error)};
    fractions.push_back(said.fraction);
    details.push_back(std::move(said.detail));
    checkpoints.push_back(std::move(said.checkpoint));
    refused.push_back(std::move(said.error));
  }
};

class PostgresStore final : public Store {
 public:
  PostgresStore(const Conninfo& conninfo, const PostgresOptions& options)
      : pool_(conninfo, options.connections), notifier_(conninfo) {}

  Result<Session> open_session(const WorkerInfo& worker) override {
    SPOOL_TRY(check_worker(worker));
    const Session session{Uuid::v7()};
    SPOOL_TRY(change([&](Connection& db) {
      db.run(kOpenSession, shift(), session.id, worker.host, worker.pid, worker.version, worker.slots,
             worker.tags, worker.lease);
      return std::vector<int>();
    }));
    return session;
  }

  Result<void> close_session(Session session) override { return change_job(kCloseSession, session.id); }

  Result<void> hand_over(Session from, Session heir, std::span<const Token> attempts) override {
    return change_job(kHandOver, from.id, heir.id, std::vector<Token>(attempts.begin(), attempts.end()));
  }

  Result<Renewed> renew(Session session) override {
    return guarded([&] {
      return write(pool_, [&](Connection& db) {
        Renewed renewed;
        Rows rows = db.query(kRenew, shift(), session.id);
        while (rows.next()) {
          if (rows.null(0)) throw StoreError{{Code::kLeaseLost, kSessionGone}};
          if (rows.i32(1) == 3)
            renewed.drain = true;
          else if (rows.i32(1) == 4)
            renewed.quiet = true;
          else
            (rows.i32(1) == 2 ? renewed.past_deadline : renewed.cancel).push_back(rows.uuid(0));
        }
        return renewed;
      });
    });
  }

  Result<void> drain(Session session) override {
    return guarded([&] {
      write(pool_, [&](Connection& db) {
        if (!db.query(kDrain, session.id).next())
          refuse(Code::kNotFound, fmt::format("there is no worker {}", session.id.text()));
      });
    });
  }

  Result<std::vector<Result<Inserted>>> insert(std::span<const NewJob> jobs) override {
    std::vector<Draft> drafts;
    drafts.reserve(jobs.size());
    for (const NewJob& job : jobs) drafts.push_back(draft(job));
    std::vector<Result<Inserted>> results;
    SPOOL_TRY(change([&](Connection& db) {
      std::vector<int> woken;
      results = insert_jobs(db, lanes_, shift(), drafts, woken);
      return woken;
    }));
    return results;
  }

  Result<Exchange> exchange(Session session, std::span<const Settlement> settlements,
                            const ClaimRequest& want) override {
    Exchanged exchanged;
    SPOOL_TRY(change([&](Connection& db) {
      if (want.poll && settlements.empty()) {
        Rows row = db.query(kPoll, shift(), session.id);
        exchanged = {};
        if (row.next() && !row.boolean(0)) {
          exchanged.next_due = row.maybe_duration(1);
          return exchanged.woken;
        }
      }
      exchanged = exchanges_.run(db, shift(), session, settlements, want);
      return exchanged.woken;
    }));
    if (exchanged.lease_lost) return fail(Code::kLeaseLost, kSessionGone);
    notifier_.due_in(exchanged.next_due);
    if (want.slots > 0) {
      int taken = 0;
      for (const Claim& claim : exchanged.exchange.claimed) taken += claim.slots;
      notifier_.busy(taken == want.slots);
    }
    return std::move(exchanged.exchange);
  }

  // While the server works on one, the worker is at another.
  [[nodiscard]] int exchanges_at_once() const override { return 2; }

  Result<std::vector<Result<bool>>> report(std::span<const ProgressReport> reports) override {
    const ReportColumns columns(reports);
    return guarded([&] {
      return write(pool_, [&](Connection& db) {
        std::vector<Result<bool>> results;
        Rows rows = db.query(kReport, shift(), columns.jobs, columns.tokens, columns.fractions,
                             columns.details, columns.checkpoints);
        while (rows.next()) {
          const auto& refused = columns.refused[results.size()];
          if (!rows.null(0))
            results.push_back(fail(code_from_name(rows.view(0)), rows.text(1)));
          else if (refused)
            results.push_back(fail(*refused));
          else
            results.push_back(rows.boolean(2));
        }
        return results;
      });
    });
  }

  Result<void> start(Uuid job) override { return change_job(kStart, job); }
  Result<void> cancel(Uuid job) override { return change_job(kCancel, job); }
  Result<void> retry(Uuid job) override { return change_job(kRetry, job); }
  Result<void> remove(Uuid job) override { return change_job(kRemove, job); }

  Result<void> pause_queue(const std::string& queue) override {
    SPOOL_TRY(check_queue(queue));
    return change([&](Connection& db) {
      db.run(kPauseQueue, queue);
      return std::vector<int>();
    });
  }
  Result<void> resume_queue(const std::string& queue) override {
    SPOOL_TRY(check_queue(queue));
    return change([&](Connection& db) { return woken_by(db.query(kResumeQueue, queue)); });
  }
  Result<int> clear_queue(const std::string& queue, int most) override {
    SPOOL_TRY(check_queue(queue));
    int cleared = 0;
    SPOOL_TRY(change([&](Connection& db) {
      Rows row = db.query(kClearQueue, shift(), queue, most);
      if (!row.next()) return std::vector<int>();
      cleared = row.i32(0);
      return lanes_of(row, 1);
    }));
    return cleared;
  }

  Result<void> set_limit(const Limit& limit) override {
    SPOOL_TRY(check_limit(limit));
    const auto of_rate = [&](auto member) {
      return limit.rate ? std::optional((*limit.rate).*member) : std::nullopt;
    };
    return change([&](Connection& db) {
      return woken_by(db.query(kSetLimit, shift(), static_cast<int>(limit.scope), limit.name,
                               limit.concurrency, of_rate(&Rate::count), of_rate(&Rate::period),
                               of_rate(&Rate::burst)));
    });
  }
  Result<void> remove_limit(LimitScope scope, const std::string& name) override {
    return change([&](Connection& db) {
      return woken_by(db.query(kRemoveLimit, shift(), static_cast<int>(scope), name));
    });
  }
  Result<std::vector<LimitUse>> limits() override {
    return ask([](Reader& reader) { return reader.limits(); });
  }

  Result<void> put_schedule(const Schedule& schedule) override {
    SPOOL_TRY(check_schedule(schedule));
    const std::string job = to_text(to_json(schedule.job));
    return change([&](Connection& db) {
      db.run(kPutSchedule, schedule.name, schedule.cron, schedule.zone, static_cast<int>(schedule.missed),
             job, schedule.paused, schedule.next);
      return std::vector<int>();
    });
  }
  Result<void> pause_schedule(const std::string& name, bool paused) override {
    return change_schedule(name, [&](Connection& db) { return db.query(kPauseSchedule, name, paused); });
  }
  Result<void> remove_schedule(const std::string& name) override {
    return change_schedule(name, [&](Connection& db) { return db.query(kRemoveSchedule, name); });
  }
  Result<std::vector<Schedule>> schedules() override {
    return ask([](Reader& reader) { return reader.schedules(); });
  }
  Result<bool> tick(const std::string& schedule, Time expected, Time next,
                    std::span<const NewJob> jobs) override {
    Json all = Json::array();
    for (const NewJob& job : jobs) {
      const Draft made = draft(job);
      if (made.error) return fail(*made.error);
      all.push_back(to_new_job(made));
    }
    const std::string text = to_text(all);
    bool ticked = false;
    SPOOL_TRY(change([&](Connection& db) {
      Rows row = db.query(kTick, shift(), schedule, expected, next, Jsonb{text});
      if (!row.next()) return std::vector<int>();
      ticked = row.boolean(0);
      return lanes_of(row, 1);
    }));
    return ticked;
  }

  Result<Job> get(Uuid job) override {
    SPOOL_ASSIGN(auto found, ask([&](Reader& reader) { return reader.get(job); }));
    if (!found) return fail(Code::kNotFound, fmt::format("there is no job {}", job.text()));
    return std::move(*found);
  }
  Result<std::vector<Job>> list(const JobFilter& filter) override {
    return ask([&](Reader& reader) { return reader.list(filter); });
  }
  Result<std::vector<OutcomeRecord>> outcomes_since(std::int64_t sequence, int most) override {
    return ask([&](Reader& reader) { return reader.outcomes_since(sequence, most); });
  }
  Result<std::vector<SessionInfo>> sessions() override {
    return ask([](Reader& reader) { return reader.sessions(); });
  }
  Result<std::vector<QueueCounts>> counts() override {
    return ask([](Reader& reader) { return reader.counts(); });
  }

  Result<int> rescue(int most) override {
    int changed = 0;
    SPOOL_TRY(change([&](Connection& db) {
      Rows row = db.query(kRescue, shift(), most);
      if (!row.next()) return std::vector<int>();
      changed = row.i32(0);
      return lanes_of(row, 1);
    }));
    return changed;
  }

  Result<int> prune(const PruneRules& rules, int most) override {
    SPOOL_TRY(check_rules(rules));
    const auto queue = rules.queue.empty() ? std::nullopt : std::optional<std::string>(rules.queue);
    return guarded([&] {
      return write(pool_, [&](Connection& db) {
        Rows row =
            db.query(kPrune, shift(), queue, rules.except, rules.age, rules.keep, rules.with_outputs, most);
        return row.next() ? row.i32(0) : 0;
      });
    });
  }
  Result<std::vector<PurgedJob>> purged(int most) override {
    return ask([&](Reader& reader) { return reader.purged(most); });
  }
  Result<void> forget_purged(std::span<const Uuid> jobs) override {
    return guarded([&] { write(pool_, [&](Connection& db) { db.run(kForgetPurged, jobs); }); });
  }

  void wait(Duration most) override { notifier_.wait(most); }
  void wake() override { notifier_.wake(); }

  Result<Time> now() override {
    return guarded([&] {
      return postgres::read(pool_, [&](Connection& db) {
        Rows row = db.query(kClock, shift());
        return row.next() ? row.time(0) : Time{};
      });
    });
  }
  void shift_clock_for_tests(Duration offset) override { shift_ += offset.count(); }

 private:
  [[nodiscard]] Duration shift() const { return Duration(shift_.load()); }

  // One transaction, which says in which lanes something became available; waiters hear of it after its
  // commit.
  template <class Work>
  Result<void> change(Work&& work) {
    SPOOL_ASSIGN(const std::vector<int> woken, guarded([&] { return write(pool_, work); }));
    if (!woken.empty()) notifier_.tell(woken);
    return {};
  }
  template <class... Values>
  Result<void> change_job(const char* sql, const Uuid& id, const Values&... values) {
    return change([&](Connection& db) { return woken_by(db.query(sql, shift(), id, values...)); });
  }
  template <class Work>
  Result<void> change_schedule(const std::string& name, Work&& work) {
    return guarded([&] {
      write(pool_, [&](Connection& db) {
        if (!work(db).next()) refuse(Code::kNotFound, fmt::format("there is no schedule {}", name));
      });
    });
  }
  template <class Work>
  auto ask(Work&& work) -> Result<std::invoke_result_t<Work, Reader&>> {
    return guarded([&] {
      return postgres::read(pool_, [&](Connection& db) {
        Reader reader(db);
        return work(reader);
      });
    });
  }

  Pool pool_;
  Notifier notifier_;
  LaneNumbers lanes_;
  Exchanges exchanges_;
  std::atomic<Duration::rep> shift_{0};
};

}  // namespace

Result<std::unique_ptr<Store>> open_postgres_store(std::string_view url, PostgresOptions options) {
  return guarded([&]() -> std::unique_ptr<Store> {
    const Conninfo conninfo(url);
    Connection db(conninfo);
    if (options.make_schema)
      make_schema_if_missing(db);
    else
      check_schema(db);
    return std::make_unique<PostgresStore>(conninfo, options);
  });
}

Result<int> migrate_postgres(std::string_view url) {
  return guarded([&] {
    const Conninfo conninfo(url);
    Connection db(conninfo);
    migrate(db);
    return newest_schema();
  });
}

}  // namespace spool
