// PostgreSQL's own vacuum keeps the tables small through which jobs move, however many there were.
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
  int work_off() {
    ClaimRequest want;
    want.slots = want.all_slots = kBatch;
    int ended = 0;
    for (std::vector<Settlement> ends;;) {
      const Exchange exchanged = must(store_->exchange(session_, ends, want));
      ended += static_cast<int>(ends.size());
      if (exchanged.claimed.empty()) return ended;
      ends.clear();
      for (const Claim& claim : exchanged.claimed)
        ends.push_back({claim.job, claim.token, Succeeded{}, {}, {}});
    }
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

}  // namespace
}  // namespace spool
