// PostgresStore, as it is and broken from inside: a trigger is a line of code that somebody got wrong.
#include "contract/postgres_backend.h"
#include "model/store_model.h"
#include "store_postgres/connection.h"

namespace spool::model {
namespace {

INSTANTIATE_TEST_SUITE_P(Postgres, StoreModel, testing::Values(&postgres_backend));

// What the model says of a store with such a trigger; not what PostgreSQL says.
std::string difference_with(const std::string& table, const std::string& when, const std::string& body) {
  const auto make = [&] {
    auto backend = std::make_unique<PostgresBackend>();
    postgres::Connection db{postgres::Conninfo(backend->url())};
    db.script("CREATE FUNCTION spool.broken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN " + body +
              "; RETURN NULL; END $$; CREATE TRIGGER broken AFTER " + when + " ON spool." + table +
              " FOR EACH ROW EXECUTE FUNCTION spool.broken()");
    return backend;
  };
  return first_difference(make, [](std::unique_ptr<Store> store) { return store; });
}

bool caught_by_the_model(const std::string& difference) {
  return difference.find("the model") != std::string::npos;
}

TEST(PostgresModel, CatchesAStoreThatRunsAParentAgainAfterItsEnd) {
  const std::string difference =
      difference_with("outcome", "INSERT",
                      "IF new.state = 5 AND EXISTS (SELECT 1 FROM spool.job WHERE parent = new.seq) THEN "
                      "INSERT INTO spool.ready"
                      " SELECT lane, created, seq, false FROM spool.job WHERE seq = new.seq; END IF");
  EXPECT_TRUE(caught_by_the_model(difference)) << difference;
}

TEST(PostgresModel, CatchesAStoreThatLosesAWakeUp) {
  const std::string difference =
      difference_with("parked", "INSERT",
                      "IF new.state = 1 AND new.seq % 5 = 0 THEN UPDATE spool.parked SET open = open + 1 "
                      "WHERE seq = new.seq; END IF");
  EXPECT_TRUE(caught_by_the_model(difference) || difference.find("is left waiting") != std::string::npos)
      << difference;
}

}  // namespace
}  // namespace spool::model
