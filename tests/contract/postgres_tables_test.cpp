// The tables through which jobs move: PostgreSQL's own vacuum keeps them small, however many there were, and
// where it may not, nobody reads what is dead.
#include "contract/postgres_backend.h"
#include "contract/store_contract.h"

namespace spool {
namespace {

using std::chrono::seconds;

constexpr int kRounds = 16, kJobs = 10'000, kDelayed = 2'000, kSessions = 300;  // the three of each round
constexpr int kBatch = 500;
constexpr auto kPatience = seconds(60);
// In bytes, with their indexes, after all rounds. Without any vacuum they were 19, 24, 3.6 and 1.5 MB.
struct Bound {
  const char* table;
  std::int64_t most;
};
constexpr Bound kBounds[] = {
    {"ready", 6'000'000}, {"running", 6'000'000}, {"parked", 1'000'000}, {"session", 700'000}};
// Tables whose next vacuum is due by the settings that the schema gives them.
constexpr const char* kDue =
    "SELECT count(*) FROM pg_stat_user_tables WHERE schemaname = 'spool' AND n_dead_tup >"
    " CASE relname WHEN 'parked' THEN 5000 WHEN 'session' THEN 200 ELSE 20000 END"
    " AND relname IN ('ready', 'running', 'parked', 'session')";

class PostgresTables : public testing::Test {
 protected:
  std::int64_t number(const std::string& sql) {
    postgres::Rows rows = db_.query(sql.c_str());
    return rows.next() ? rows.i64(0) : -1;
  }
  Session open_session() {
    WorkerInfo worker;
    worker.host = "here";
    worker.slots = kBatch;
    worker.lease = std::chrono::hours(24 * 365);
    return must(store_->open_session(worker));
  }
  void insert(int jobs, Duration delay) {
    NewJob job = new_job("a");
    job.delay = delay;
    const std::vector<NewJob> batch(kBatch, job);
    for (int i = 0; i < jobs; i += kBatch) must(store_->insert(batch));
  }
  // Settles these and claims the next ones: their endings.
  std::vector<Settlement> settle(const std::vector<Settlement>& ends) {
    ClaimRequest want;
    want.slots = want.all_slots = kBatch;
    std::vector<Settlement> next;
    for (const Claim& claim : must(store_->exchange(session_, ends, want)).claimed)
      next.push_back({claim.job, claim.token, Succeeded{}, {}, {}});
    return next;
  }
  int work_off() {
    int ended = 0;
    for (std::vector<Settlement> ends = settle({}); !ends.empty(); ends = settle(ends))
      ended += static_cast<int>(ends.size());
    return ended;
  }
  // What a connection has done is counted with its next statement.
  [[nodiscard]] testing::AssertionResult await_vacuum() {
    const auto end = BootClock::now() + kPatience;
    while (number(kDue) > 0) {
      if (BootClock::now() > end) return testing::AssertionFailure() << "no vacuum comes";
      must(store_->renew(session_));
    }
    return testing::AssertionSuccess();
  }

  // What a connection has done is counted when it has ended, at the latest.
  void change_connections() {
    store_.reset();
    while (number("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                  " AND backend_type = 'client backend' AND pid <> pg_backend_pid()") > 1) {
    }
    store_ = must(open_postgres_store(database_.url()));
  }

  test::PostgresServer server_{"--no-fsync --set autovacuum_naptime=1"};
  test::PostgresDatabase database_{test::PostgresDatabase::Schema::kNewest, server_};
  postgres::Connection db_{postgres::Conninfo(database_.url())};
  std::unique_ptr<Store> store_ = must(open_postgres_store(database_.url()));
  Session session_ = open_session();
};

TEST_F(PostgresTables, StaySmallWithoutAVacuumByHand) {
  for (int round = 0; round < kRounds; ++round) {
    insert(kJobs - kDelayed, Duration(0));
    insert(kDelayed, seconds(10));
    store_->shift_clock_for_tests(seconds(20));
    ASSERT_EQ(work_off(), kJobs);
    for (int i = 0; i < kSessions; ++i) must(store_->close_session(open_session()));
    ASSERT_TRUE(await_vacuum());
  }
  for (const Bound& bound : kBounds)
    EXPECT_LE(number(fmt::format("SELECT pg_total_relation_size('spool.{}')", bound.table)), bound.most)
        << bound.table;
}

// After a vacuum that found nothing alive, whatever reads the whole of an index looks as good as what reads
// one entry.
TEST_F(PostgresTables, ASettlementReadsNoDeadRows) {
  const std::string entries =
      "SELECT sum(idx_tup_read)::bigint FROM pg_stat_user_indexes WHERE relname = 'running'";
  const std::string blocks =
      "SELECT sum(idx_blks_hit + idx_blks_read)::bigint FROM pg_statio_user_indexes WHERE relname = "
      "'running'";
  postgres::Connection old{postgres::Conninfo(database_.url())};  // may look at them
  old.run("BEGIN ISOLATION LEVEL REPEATABLE READ");
  ASSERT_TRUE(old.query("SELECT pg_current_xact_id()").next());
  db_.run("ALTER TABLE spool.running SET (autovacuum_enabled = off)");
  insert(kJobs, Duration(0));
  ASSERT_EQ(work_off(), kJobs);
  db_.run("VACUUM spool.running");
  insert(kBatch, Duration(0));
  change_connections();  // new ones plan by what the vacuum said
  const std::int64_t entries_before = number(entries), blocks_before = number(blocks);
  ASSERT_EQ(work_off(), kBatch);
  change_connections();
  EXPECT_LT(number(entries) - entries_before, 2 * kBatch);
  EXPECT_LT(number(blocks) - blocks_before, 20 * kBatch);
}

}  // namespace
}  // namespace spool
