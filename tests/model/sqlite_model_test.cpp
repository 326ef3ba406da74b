// SqliteStore, as it is and broken from inside: a trigger is a line of code that somebody got wrong.
#include <sqlite3.h>

#include "contract/sqlite_backend.h"
#include "model/store_model.h"

namespace spool::model {
namespace {

INSTANTIATE_TEST_SUITE_P(Sqlite, StoreModel, testing::Values(&sqlite_backend));

// What the model says of a store with such triggers; not what SQLite says.
std::string difference_with(const char* triggers) {
  const auto make = [&] {
    auto backend = std::make_unique<SqliteBackend>();
    backend->open().reset();
    sqlite3* db = nullptr;
    EXPECT_EQ(sqlite3_open(backend->file().c_str(), &db), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(db, triggers, nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(db);
    sqlite3_close(db);
    return backend;
  };
  return first_difference(make, [](std::unique_ptr<Store> store) { return store; });
}

bool caught_by_the_model(const std::string& difference) {
  return difference.find("the model") != std::string::npos;
}

TEST(SqliteModel, CatchesAStoreThatWakesAParentTwice) {
  // The second trigger takes away what would catch it first: that one job has one row in running.
  const std::string difference = difference_with(
      "CREATE TRIGGER twice AFTER DELETE ON parked WHEN old.state = 1 AND"
      " EXISTS (SELECT 1 FROM life WHERE seq = old.seq AND has_children = 1) BEGIN"
      " INSERT INTO ready SELECT lane, 1 << 60, seq FROM job WHERE seq = old.seq; END;"
      "CREATE TRIGGER runs_twice BEFORE INSERT ON running BEGIN"
      " DELETE FROM running WHERE seq = new.seq; END");
  EXPECT_TRUE(caught_by_the_model(difference)) << difference;
}

TEST(SqliteModel, CatchesAStoreThatRunsAParentAgainAfterItsEnd) {
  const std::string difference = difference_with(
      "CREATE TRIGGER again AFTER INSERT ON outcome WHEN new.state = 5 AND"
      " EXISTS (SELECT 1 FROM job WHERE parent = new.seq) BEGIN"
      " INSERT INTO ready SELECT lane, created, seq FROM job WHERE seq = new.seq; END");
  EXPECT_TRUE(caught_by_the_model(difference)) << difference;
}

TEST(SqliteModel, CatchesAStoreThatLosesAWakeUp) {
  const std::string difference = difference_with(
      "CREATE TRIGGER lost AFTER INSERT ON parked WHEN new.state = 1 AND new.seq % 5 = 0 BEGIN"
      " UPDATE parked SET open = open + 1 WHERE seq = new.seq; END");
  EXPECT_TRUE(caught_by_the_model(difference) || difference.find("is left waiting") != std::string::npos)
      << difference;
}

TEST(SqliteModel, CatchesAStoreThatLeaksAPlaceOfALimit) {
  const std::string difference = difference_with(
      "CREATE TRIGGER leaks AFTER UPDATE OF running ON gate WHEN new.running = 0 AND old.running = 1 BEGIN"
      " UPDATE gate SET running = 1 WHERE gate = new.gate; END");
  EXPECT_TRUE(caught_by_the_model(difference)) << difference;
}

TEST(SqliteModel, CatchesAStoreThatGivesAPlaceToTheLastInLine) {
  const std::string difference = difference_with(
      "CREATE TRIGGER last_first AFTER INSERT ON parked WHEN new.gate IS NOT NULL BEGIN"
      " UPDATE parked SET rank = -new.rank WHERE seq = new.seq; END");
  EXPECT_TRUE(caught_by_the_model(difference)) << difference;
}

}  // namespace
}  // namespace spool::model
