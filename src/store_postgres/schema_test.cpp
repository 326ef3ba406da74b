#include "store_postgres/schema.h"

#include <gtest/gtest.h>

#include <future>
#include <thread>
#include <vector>

#include "store_postgres/postgres_store.h"
#include "support/postgres_server.h"

namespace spool::postgres {
namespace {

using test::PostgresDatabase;

constexpr Migration kOne{"0001_a.sql", "CREATE TABLE spool.a (n int)"};
constexpr Migration kTwo{
    "0002_b.sql",
    "ALTER TABLE spool.a ADD COLUMN m int; CREATE FUNCTION spool.f() RETURNS int LANGUAGE plpgsql "
    "AS $$ BEGIN RETURN 2; END $$"};
constexpr Migration kBroken{"0002_broken.sql", "CREATE TABLE spool.b (); SELECT 1/0"};
const std::vector<Migration> kFirst{kOne}, kBoth{kOne, kTwo};

template <class Work>
Error failure_of(Work&& work) {
  try {
    work();
  } catch (const StoreError& e) {
    return e.error;
  }
  return Error{Code::kInternal, "nothing failed", 0};
}
void expect_words(const Error& error, std::string_view words) {
  EXPECT_NE(error.message.find(words), std::string::npos) << error.message;
}

class SchemaTest : public testing::Test {
 protected:
  PostgresDatabase database_{PostgresDatabase::Schema::kNone};
  Connection db_{Conninfo(database_.url())};
};

TEST_F(SchemaTest, AnEmptyDatabaseGetsTheSchema) {
  EXPECT_EQ(schema_version(db_), std::nullopt);
  make_schema_if_missing(db_);
  EXPECT_EQ(schema_version(db_), newest_schema());
  make_schema_if_missing(db_);
  check_schema(db_);
  EXPECT_EQ(db_.query("SELECT FROM spool.schema_version").count(), newest_schema());
}

TEST_F(SchemaTest, OneOfManyThatStartAtOnceMakesIt) {
  std::vector<std::future<Error>> starting;
  starting.reserve(8);
  for (int i = 0; i < 8; ++i)
    starting.push_back(std::async(std::launch::async, [&] {
      return failure_of([&] {
        Connection db{Conninfo(database_.url())};
        make_schema_if_missing(db, kBoth);
      });
    }));
  for (auto& one : starting) EXPECT_EQ(one.get().message, "nothing failed");
  EXPECT_EQ(db_.query("SELECT FROM spool.schema_version").count(), 2);
}

TEST_F(SchemaTest, ADatabaseWithoutTheSchemaIsTold) {
  const Error error = failure_of([&] { check_schema(db_); });
  EXPECT_EQ(error.code, Code::kNotFound);
  expect_words(error, database_.url());
  expect_words(error,
               "there is no spool schema in this database: is its name right? `spool migrate` or a worker");
  EXPECT_EQ(schema_version(db_), std::nullopt);
}

TEST_F(SchemaTest, AnOlderSchemaAsksForMigrate) {
  migrate(db_, kFirst);
  const Error error = failure_of([&] { make_schema_if_missing(db_, kBoth); });
  EXPECT_EQ(error.code, Code::kUnsupported);
  expect_words(error, "its schema is version 1, this program needs version 2");
  expect_words(error, "run `spool migrate` with the same --store");
  migrate(db_, kBoth);
  check_schema(db_, kBoth);
  Rows row = db_.query("SELECT spool.f()");
  ASSERT_TRUE(row.next());
  EXPECT_EQ(row.i32(0), 2);
}

TEST_F(SchemaTest, JobsOutliveTheNewestMigration) {
  migrate(db_, migrations().first(migrations().size() - 1));
  db_.run("SELECT spool.enqueue('a')");
  migrate(db_);
  const auto store = open_postgres_store(database_.url()).value();
  const auto jobs = store->list({}).value();
  ASSERT_EQ(jobs.size(), 1u);
  EXPECT_EQ(jobs[0].kind, "a");
  EXPECT_EQ(jobs[0].state, State::kAvailable);
}

TEST_F(SchemaTest, ANewerSchemaIsRefusedNamingBothVersions) {
  migrate(db_, kBoth);
  for (const Error& error : {failure_of([&] { make_schema_if_missing(db_, kFirst); }),
                             failure_of([&] { migrate(db_, kFirst); })}) {
    EXPECT_EQ(error.code, Code::kUnsupported);
    expect_words(error, "its schema is version 2, this program knows versions up to 1: use a newer spool");
  }
}

TEST_F(SchemaTest, ASchemaOfAnotherProgramIsLeftAlone) {
  db_.script("CREATE SCHEMA spool; CREATE TABLE spool.thread (colour text)");
  for (const Error& error :
       {failure_of([&] { make_schema_if_missing(db_); }), failure_of([&] { migrate(db_); })}) {
    EXPECT_EQ(error.code, Code::kUnsupported);
    expect_words(error, "belongs to another program");
  }
}

TEST_F(SchemaTest, AMigrationThatFailsLeavesNothingBehind) {
  migrate(db_, kFirst);
  EXPECT_EQ(failure_of([&] {
              migrate(db_, std::vector<Migration>{kOne, kBroken});
            }).code,
            Code::kInvalidArgument);
  EXPECT_EQ(schema_version(db_), 1);
  EXPECT_FALSE(
      db_.query("SELECT FROM pg_class WHERE relname = 'b' AND relnamespace = 'spool'::regnamespace").next());
}

TEST_F(SchemaTest, ANewSchemaIsWholeOrNotThere) {
  EXPECT_EQ(failure_of([&] {
              migrate(db_, std::vector<Migration>{kOne, kBroken});
            }).code,
            Code::kInvalidArgument);
  EXPECT_EQ(schema_version(db_), std::nullopt);
}

// A role without any right but to connect.
class RoleTest : public SchemaTest {
 protected:
  RoleTest() : role_("r_" + Token::random().text()) {
    db_.run(fmt::format("CREATE ROLE {} LOGIN PASSWORD 'geheim'", role_).c_str());
  }
  ~RoleTest() override {
    db_.script(
        fmt::format("DROP SCHEMA IF EXISTS spool CASCADE; DROP OWNED BY {}; DROP ROLE {}", role_, role_));
  }
  [[nodiscard]] Connection as_role() const {
    std::string url = database_.url();
    return Connection{Conninfo(url.replace(url.find("spool@"), 5, role_ + ":geheim"))};
  }

  std::string role_;
};

TEST_F(RoleTest, ARoleThatMayNotMakeTheSchemaIsToldWhoMust) {
  Connection db = as_role();
  const Error error = failure_of([&] { make_schema_if_missing(db); });
  EXPECT_EQ(error.code, Code::kPermissionDenied);
  expect_words(error, "this role may not make it");
  expect_words(error, "run `spool migrate` as the database's owner");
}

TEST_F(RoleTest, ASchemaThatAnOperatorMadeForTheRoleIsFilled) {
  db_.run(("CREATE SCHEMA spool AUTHORIZATION " + role_).c_str());
  Connection db = as_role();
  make_schema_if_missing(db, kBoth);
  check_schema(db, kBoth);
}

TEST_F(RoleTest, ASchemaThatTheRoleMayNotUseIsSaid) {
  migrate(db_, kBoth);
  Connection db = as_role();
  for (const std::string& granted : {std::string("SELECT 1"), "GRANT USAGE ON SCHEMA spool TO " + role_}) {
    db_.script(granted);
    const Error error = failure_of([&] { check_schema(db, kBoth); });
    EXPECT_EQ(error.code, Code::kPermissionDenied);
    expect_words(error, "postgres://" + role_ + ":***@");
    expect_words(error,
                 "this role may not use the schema spool: connect as its owner, or let it: SELECT "
                 "spool.allow_worker('ROLE')");
  }
}

TEST_F(SchemaTest, ItIsMadeThroughPgBouncerToo) {
  Connection bounced{Conninfo(database_.bouncer_url())};
  make_schema_if_missing(bounced);
  check_schema(db_);
}

TEST_F(SchemaTest, AMigrationThatWaitsForATableHoldsNobodyUp) {
  migrate(db_, kFirst);
  Connection reader{Conninfo(database_.url())}, other{Conninfo(database_.url())};
  Transaction reading(reader);
  reader.run("SELECT FROM spool.a");
  auto migrating = std::async(std::launch::async, [&] { migrate(db_, kBoth); });
  while (!other.query("SELECT FROM pg_locks WHERE relation = 'spool.a'::regclass AND NOT granted").next()) {
  }
  // Behind the migration in the queue for the table, which gives way.
  EXPECT_FALSE(other.query("SELECT FROM spool.a").next());
  EXPECT_EQ(schema_version(other), 1);
  reading.commit();
  migrating.get();
  EXPECT_EQ(schema_version(other), 2);
}

}  // namespace
}  // namespace spool::postgres
