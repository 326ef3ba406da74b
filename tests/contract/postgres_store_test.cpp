#include "contract/postgres_backend.h"
#include "contract/store_contract.h"

namespace spool {
namespace {

INSTANTIATE_TEST_SUITE_P(Postgres, StoreContract, testing::Values(&postgres_backend));
INSTANTIATE_TEST_SUITE_P(PgBouncer, StoreContract, testing::Values(&bouncer_backend));

// What no other store has: the locks of docs/decisions/postgres_locks.md.
class PostgresLocks : public testing::Test {
 protected:
  Session open_session() {
    WorkerInfo worker;
    worker.host = "here";
    worker.slots = 1;
    return must(store_->open_session(worker));
  }
  Result<Exchange> claim(Session session) {
    ClaimRequest want;
    want.slots = want.all_slots = 1;
    return store_->exchange(session, {}, want);
  }

  PostgresBackend backend_;
  postgres::Connection db_{postgres::Conninfo(backend_.url())};
  std::unique_ptr<Store> store_ = backend_.open();
};

TEST_F(PostgresLocks, NothingIsClaimedForASessionThatIsBeingEnded) {
  const NewJob job = new_job("a");
  must(must(store_->insert(std::span(&job, 1))).at(0));
  const Session session = open_session();
  db_.run("BEGIN");
  db_.run("SELECT 1 FROM spool.session FOR UPDATE");
  EXPECT_EQ(code_of(claim(session)), "lease_lost");
  db_.run("COMMIT");
  EXPECT_EQ(must(claim(session)).claimed.size(), 1u);
}

TEST_F(PostgresLocks, IdleWorkersWriteNothing) {
  const std::string session = open_session().id.text();
  db_.run("BEGIN READ ONLY");
  postgres::Rows exchanged = db_.query(
      "SELECT what FROM spool.exchange(0, $1::uuid, '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}',"
      " '{}', '{}', '{}', '{}', 1, 1, 1, '{}', '{}', '{}', '{}')",
      session);
  ASSERT_TRUE(exchanged.next());
  EXPECT_EQ(exchanged.i32(0), 3) << "its summary";
  db_.run("SELECT * FROM spool.rescue(0, 100)");
  db_.run("COMMIT");
}

}  // namespace
}  // namespace spool
