// What can go wrong with a connection, with a real server, PgBouncer, and a proxy that loses what it should
// forward.
#include "store_postgres/connection.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <list>

#include "support/postgres_server.h"
#include "support/tcp_proxy.h"

namespace spool::postgres {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using test::PostgresDatabase;
using test::PostgresServer;
using test::TcpProxy;

template <class Work>
StoreError failure_of(Work&& work) {
  try {
    work();
  } catch (const StoreError& e) {
    return e;
  }
  return StoreError{Error{Code::kInternal, "nothing failed", 0}};
}
StoreError connect_failure(const std::string& url) {
  return failure_of([&] { const Connection db{Conninfo(url)}; });
}
void expect_words(const Error& error, std::string_view words) {
  EXPECT_NE(error.message.find(words), std::string::npos) << error.message;
}

// A role that lives as long as its object.
class Role {
 public:
  Role() : name_("r_" + Token::random().text()) {
    admin_.run(fmt::format("CREATE ROLE {} LOGIN PASSWORD 'geheim'", name_).c_str());
  }
  Role(const Role&) = delete;
  Role& operator=(const Role&) = delete;
  ~Role() { admin_.run(("DROP ROLE " + name_).c_str()); }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::string url(std::string url, const std::string& password = "geheim") const {
    return url.replace(url.find("spool@"), 5, name_ + ":" + password);
  }

 private:
  std::string name_;
  Connection admin_{Conninfo(PostgresServer::shared().url())};
};

class ConnectionTest : public testing::Test {
 protected:
  static Connection connect() { return Connection{Conninfo(PostgresServer::shared().url())}; }
  static std::string through(const TcpProxy& proxy, const std::string& more = "") {
    return fmt::format("postgres://spool@127.0.0.1:{}/postgres{}", proxy.port(), more);
  }
};

TEST_F(ConnectionTest, AServerThatIsNotThereIsUnavailable) {
  const StoreError failure = connect_failure("postgres://me:geheim@127.0.0.1:1/db");
  EXPECT_EQ(failure.error.code, Code::kUnavailable);
  EXPECT_EQ(failure.fate, Fate::kUnsent);
  expect_words(failure.error, "is the server running there");
  EXPECT_EQ(std::ranges::count(failure.error.message, '?'), 1) << failure.error.message;
  EXPECT_EQ(std::ranges::count(failure.error.message, '\n'), 0) << failure.error.message;
  expect_words(failure.error, "postgres://me:***@127.0.0.1:1/db");
}

TEST_F(ConnectionTest, AServerThatSaysNothingIsUnavailable) {
  TcpProxy proxy(PostgresServer::shared().port());
  proxy.swallow(true);
  const StoreError failure = connect_failure(through(proxy, "?connect_timeout=1"));
  EXPECT_EQ(failure.error.code, Code::kUnavailable);
  expect_words(failure.error, "no answer within 1 s");
}

TEST_F(ConnectionTest, WhatLibpqSaysLosesItsFullStop) {
  const TcpProxy proxy(1);  // closes what it takes
  const StoreError failure = connect_failure(through(proxy));
  EXPECT_EQ(failure.error.code, Code::kUnavailable);
  expect_words(failure.error, "while processing the request: is the server running there");
}

TEST_F(ConnectionTest, OfSeveralHostsTheFirstThatAnswersIsTaken) {
  TcpProxy silent(PostgresServer::shared().port());
  silent.swallow(true);
  Connection db{Conninfo(
      fmt::format("postgres://spool@127.0.0.1:1,127.0.0.1:{},127.0.0.1:{}/postgres?connect_timeout=1",
                  silent.port(), PostgresServer::shared().port()))};
  EXPECT_TRUE(db.query("SELECT 1").next());
}

TEST_F(ConnectionTest, OfSeveralHostsOneThatCannotBeWrittenIsPassedOver) {
  PostgresServer standby("--no-fsync --set default_transaction_read_only=on");
  Connection db{Conninfo(fmt::format("postgres://spool@127.0.0.1:{},127.0.0.1:{}/postgres", standby.port(),
                                     PostgresServer::shared().port()))};
  db.run("CREATE TEMP TABLE t ()");
  const StoreError failure = connect_failure(standby.url());
  EXPECT_EQ(failure.error.code, Code::kUnavailable);
  expect_words(failure.error, "it is a standby");
}

TEST_F(ConnectionTest, AServerWhoseConnectionsAreAllTakenIsUnavailable) {
  const PostgresServer server(
      "--no-fsync --set max_connections=4 --set superuser_reserved_connections=0 --set max_wal_senders=0");
  std::list<Connection> taken;
  for (int i = 0; i < 4; ++i) taken.emplace_back(Conninfo(server.url()));
  const StoreError failure = connect_failure(server.url());
  EXPECT_EQ(failure.error.code, Code::kUnavailable);
  expect_words(failure.error, "all connections are taken: raise max_connections");
}

TEST_F(ConnectionTest, AWrongPasswordIsSaidAndNotRepeated) {
  const Role role;
  const StoreError failure = connect_failure(role.url(PostgresServer::shared().url(), "not-geheim"));
  EXPECT_EQ(failure.error.code, Code::kPermissionDenied);
  EXPECT_EQ(failure.error.native, native_of("28P01"));
  expect_words(failure.error, "check the user and the password");
  EXPECT_EQ(failure.error.message.find("geheim"), std::string::npos) << failure.error.message;
}

TEST_F(ConnectionTest, AMissingPasswordIsSaid) {
  const Role role;
  std::string url = PostgresServer::shared().url();
  const StoreError failure = connect_failure(url.replace(url.find("spool@"), 5, role.name()));
  EXPECT_EQ(failure.error.code, Code::kPermissionDenied);
  expect_words(failure.error, "PGPASSWORD");
}

TEST_F(ConnectionTest, ADatabaseThatDoesNotExistIsNotFound) {
  const StoreError failure = connect_failure(PostgresServer::shared().url("nowhere"));
  EXPECT_EQ(failure.error.code, Code::kNotFound);
  expect_words(failure.error, "createdb");
}

TEST_F(ConnectionTest, ARoleThatMayNotConnectIsToldWhatToGrant) {
  const PostgresDatabase database(PostgresDatabase::Schema::kNone);
  const Role role;
  connect().run(fmt::format("REVOKE CONNECT ON DATABASE {} FROM public", database.name()).c_str());
  const StoreError failure = connect_failure(role.url(database.url()));
  EXPECT_EQ(failure.error.code, Code::kPermissionDenied);
  expect_words(failure.error, "GRANT CONNECT");
}

TEST_F(ConnectionTest, AServerThatWantsTlsIsUnderstood) {
  connect().run(
      "DO $$ BEGIN CREATE ROLE tls_only LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN END "
      "$$");
  std::string url = PostgresServer::shared().url();
  const StoreError failure = connect_failure(url.replace(url.find("spool@"), 5, "tls_only"));
  EXPECT_EQ(failure.error.code, Code::kPermissionDenied);
  expect_words(failure.error, "?sslmode=require");
}

TEST_F(ConnectionTest, TlsThatIsNotThereIsUnsupported) {
  const StoreError failure = connect_failure(PostgresServer::shared().url() + "?sslmode=require");
  EXPECT_EQ(failure.error.code, Code::kUnsupported);
  expect_words(failure.error, "switch TLS on");
}

TEST_F(ConnectionTest, TlsIsUsedWhereItIs) {
  PostgresServer server("--no-fsync --tls");
  Connection db{Conninfo(server.url() + "?sslmode=require")};
  const std::string text(300'000, 'x');
  Rows row = db.query("SELECT ssl, $1 FROM pg_stat_ssl WHERE pid = pg_backend_pid()", text);
  ASSERT_TRUE(row.next());
  EXPECT_TRUE(row.boolean(0));
  EXPECT_EQ(row.view(1), text);
  EXPECT_EQ(connect_failure(server.url() + "?sslmode=verify-full&sslrootcert=/nowhere").error.code,
            Code::kPermissionDenied);
}

TEST_F(ConnectionTest, AServiceThatNobodyDefinedIsAWrongUrl) {
  const Error error = connect_failure("postgres:///?service=nosuch").error;
  EXPECT_EQ(error.code, Code::kInvalidArgument);
  EXPECT_NE(error.message.find("correct the service in the URL"), std::string::npos) << error.message;
}

TEST_F(ConnectionTest, AWrongParameterOfLibpqIsAWrongUrl) {
  EXPECT_EQ(connect_failure(PostgresServer::shared().url() + "?sslmode=perhaps").error.code,
            Code::kInvalidArgument);
}

TEST_F(ConnectionTest, ADatabaseThatIsNotInUtf8IsRefused) {
  const std::string name = "latin_" + Token::random().text();
  Connection admin = connect();
  admin.run(fmt::format("CREATE DATABASE {} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0", name).c_str());
  const StoreError failure = connect_failure(PostgresServer::shared().url(name));
  const StoreError bounced = connect_failure(PostgresServer::shared().bouncer_url(name));
  admin.run(fmt::format("DROP DATABASE {} WITH (FORCE)", name).c_str());
  EXPECT_EQ(failure.error.code, Code::kUnsupported);
  expect_words(failure.error, "LATIN1, and must be UTF8");
  EXPECT_EQ(bounced.error.code, Code::kUnsupported) << bounced.error.message;
}

TEST_F(ConnectionTest, EverySqlstateHasItsCode) {
  struct Case {
    const char* sqlstate;
    Code code;
    Fate fate;
  };
  constexpr Case kCases[] = {
      {"SP001", Code::kInvalidArgument, Fate::kRefused},  {"SP002", Code::kNotFound, Fate::kRefused},
      {"SP003", Code::kConflict, Fate::kRefused},         {"SP004", Code::kLimitExceeded, Fate::kRefused},
      {"SP005", Code::kLeaseLost, Fate::kRefused},        {"SP006", Code::kInternal, Fate::kRefused},
      {"SP007", Code::kUnsupported, Fate::kRefused},      {"08006", Code::kUnavailable, Fate::kRefused},
      {"0A000", Code::kUnsupported, Fate::kRefused},      {"22P02", Code::kInvalidArgument, Fate::kRefused},
      {"23505", Code::kConflict, Fate::kRefused},         {"23514", Code::kInternal, Fate::kRefused},
      {"25006", Code::kUnavailable, Fate::kRefused},      {"28000", Code::kPermissionDenied, Fate::kRefused},
      {"3D000", Code::kNotFound, Fate::kRefused},         {"3F000", Code::kUnsupported, Fate::kRefused},
      {"40001", Code::kUnavailable, Fate::kConflict},     {"40P01", Code::kUnavailable, Fate::kConflict},
      {"42501", Code::kPermissionDenied, Fate::kRefused}, {"42601", Code::kInternal, Fate::kRefused},
      {"42883", Code::kUnsupported, Fate::kRefused},      {"42P01", Code::kUnsupported, Fate::kRefused},
      {"53100", Code::kStorageFull, Fate::kRefused},      {"53200", Code::kUnavailable, Fate::kRefused},
      {"54000", Code::kLimitExceeded, Fate::kRefused},    {"55P03", Code::kUnavailable, Fate::kRefused},
      {"57014", Code::kUnavailable, Fate::kRefused},      {"58030", Code::kUnavailable, Fate::kRefused},
      {"XX000", Code::kInternal, Fate::kRefused},
  };
  for (const Case& expected : kCases) {
    Connection db = connect();
    const std::string sql =
        fmt::format("DO $$ BEGIN RAISE EXCEPTION 'why' USING ERRCODE = '{}'; END $$", expected.sqlstate);
    const StoreError failure = failure_of([&] { db.run(sql.c_str()); });
    EXPECT_EQ(failure.error.code, expected.code) << expected.sqlstate;
    EXPECT_EQ(failure.fate, expected.fate) << expected.sqlstate;
    EXPECT_EQ(failure.error.native, native_of(expected.sqlstate));
    expect_words(failure.error, "why");
    const bool without_statement =
        sql.find("'08") != std::string::npos || sql.find("'SP") != std::string::npos;
    EXPECT_EQ(failure.error.message.find("DO $$") == std::string::npos, without_statement)
        << failure.error.message;
    EXPECT_EQ(db.alive(), std::string_view(expected.sqlstate) != "25006") << expected.sqlstate;
  }
}

TEST_F(ConnectionTest, OurFunctionsSpeakForThemselves) {
  Connection db = connect();
  const StoreError failure =
      failure_of([&] { db.run("DO $$ BEGIN RAISE 'there is no job 7' USING ERRCODE = 'SP002'; END $$"); });
  EXPECT_EQ(failure.error.message, "there is no job 7");
}

TEST_F(ConnectionTest, AMissingSchemaSaysHowToMakeIt) {
  Connection db = connect();
  for (const char* sql : {"SELECT nowhere.f()", "SELECT no_such_function()", "SELECT FROM nowhere"}) {
    const StoreError failure = failure_of([&] { db.run(sql); });
    EXPECT_EQ(failure.error.code, Code::kUnsupported) << sql;
    expect_words(failure.error, "spool migrate");
  }
}

TEST_F(ConnectionTest, ARoleWithoutRightsIsRefused) {
  const PostgresDatabase database(PostgresDatabase::Schema::kNone);
  Connection{Conninfo(database.url())}.script("CREATE SCHEMA hidden; CREATE TABLE hidden.t ()");
  const Role role;
  Connection db{Conninfo(role.url(database.url()))};
  const StoreError failure = failure_of([&] { db.run("SELECT FROM hidden.t"); });
  EXPECT_EQ(failure.error.code, Code::kPermissionDenied);
  expect_words(failure.error, "grant this role the rights");
}

TEST_F(ConnectionTest, AnErrorLeavesTheConnectionWell) {
  Connection db = connect();
  EXPECT_EQ(failure_of([&] { db.run("SELECT 1/0"); }).fate, Fate::kRefused);
  EXPECT_EQ(failure_of([&] { db.run("SELECT 1; SELECT 2"); }).error.code, Code::kInternal)
      << "one statement a call";
  EXPECT_TRUE(db.alive());
  EXPECT_FALSE(db.stale());
  EXPECT_TRUE(db.query("SELECT 1").next());
}

TEST_F(ConnectionTest, AScriptIsOneTransaction) {
  Connection db = connect();
  db.script("CREATE TEMP TABLE t (n int); INSERT INTO t VALUES (1)");
  EXPECT_EQ(failure_of([&] { db.script("INSERT INTO t VALUES (2); SELECT 1/0"); }).error.code,
            Code::kInvalidArgument);
  EXPECT_EQ(db.query("SELECT FROM t").count(), 1);
}

TEST_F(ConnectionTest, ATransactionThatIsNotCommittedIsRolledBack) {
  Connection db = connect();
  db.run("CREATE TEMP TABLE t (n int)");
  {
    Transaction transaction(db);
    db.run("INSERT INTO t VALUES (1)");
  }
  {
    Transaction transaction(db);
    db.run("INSERT INTO t VALUES (2)");
    transaction.commit();
  }
  Rows rows = db.query("SELECT n FROM t");
  ASSERT_TRUE(rows.next());
  EXPECT_EQ(rows.i32(0), 2);
  EXPECT_EQ(rows.count(), 1);
}

TEST_F(ConnectionTest, ACommitOfWhatHasFailedFails) {
  Connection db = connect();
  Transaction transaction(db);
  EXPECT_EQ(failure_of([&] { db.run("SELECT 1/0"); }).fate, Fate::kRefused);
  EXPECT_EQ(failure_of([&] { transaction.commit(); }).error.code, Code::kInternal);
}

TEST_F(ConnectionTest, NoticesAreNotPrinted) {
  testing::internal::CaptureStderr();
  connect().run("DO $$ BEGIN RAISE NOTICE 'by the way'; END $$");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST_F(ConnectionTest, AnAnswerThatDoesNotComeInTimeLeavesTheStatementInDoubt) {
  Connection db = connect();
  db.set_answer_timeout(milliseconds(100));
  const StoreError failure = failure_of([&] { db.run("SELECT pg_sleep(60)"); });
  EXPECT_EQ(failure.error.code, Code::kInDoubt);
  EXPECT_EQ(failure.fate, Fate::kUnknown);
  EXPECT_FALSE(db.alive());
  EXPECT_EQ(failure.error.message, "database: the connection is lost: the server does not answer");
  const StoreError next = failure_of([&] { db.run("SELECT 1"); });
  EXPECT_EQ(next.error.message.find("SELECT"), std::string::npos) << next.error.message;
  EXPECT_EQ(next.error.code, Code::kUnavailable);
  EXPECT_EQ(next.fate, Fate::kUnsent);
}

TEST_F(ConnectionTest, AHalfOpenConnectionLeavesTheStatementInDoubt) {
  TcpProxy proxy(PostgresServer::shared().port());
  Connection db{Conninfo(through(proxy))};
  proxy.swallow(true);
  db.set_answer_timeout(milliseconds(200));
  EXPECT_EQ(failure_of([&] { db.run("SELECT 1"); }).fate, Fate::kUnknown);
}

TEST_F(ConnectionTest, AServerThatTakesNothingHasNotBegun) {
  TcpProxy proxy(PostgresServer::shared().port());
  Connection db{Conninfo(through(proxy))};
  proxy.hold(true);
  db.set_answer_timeout(milliseconds(200));
  const StoreError failure = failure_of([&] { db.run("SELECT length($1)", std::string(64 << 20, 'x')); });
  EXPECT_EQ(failure.fate, Fate::kUnsent);
  EXPECT_EQ(failure.error.code, Code::kUnavailable);
  expect_words(failure.error, "takes nothing");
}

TEST_F(ConnectionTest, AnAnswerThatIsLostWithItsConnectionLeavesTheStatementInDoubt) {
  TcpProxy proxy(PostgresServer::shared().port());
  Connection db{Conninfo(through(proxy))};
  Connection other = connect();
  proxy.swallow_answers(true);
  const std::string key = std::to_string(proxy.port());
  auto lost = std::async(std::launch::async, [&] {
    return failure_of([&] { db.run(("SELECT pg_advisory_lock(" + key + ")").c_str()); });
  });
  // It has happened, and nobody was told.
  while (
      !other
           .query(("SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND objid = " + key).c_str())
           .next()) {
  }
  proxy.cut();
  const StoreError failure = lost.get();
  EXPECT_EQ(failure.error.code, Code::kInDoubt);
  EXPECT_EQ(failure.fate, Fate::kUnknown);
  EXPECT_FALSE(db.alive());
}

TEST_F(ConnectionTest, ABackendThatIsTerminatedLeavesItsStatementInDoubt) {
  Connection db = connect(), other = connect();
  Rows row = db.query("SELECT pg_backend_pid()");
  ASSERT_TRUE(row.next());
  const int pid = row.i32(0);
  auto lost =
      std::async(std::launch::async, [&] { return failure_of([&] { db.run("SELECT pg_sleep(60)"); }); });
  while (!other.query("SELECT FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'PgSleep'", pid).next()) {
  }
  other.run("SELECT pg_terminate_backend($1)", pid);
  const StoreError failure = lost.get();
  EXPECT_EQ(failure.error.code, Code::kInDoubt);
  EXPECT_EQ(failure.error.native, native_of("57P01"));
  EXPECT_FALSE(db.alive());
}

TEST_F(ConnectionTest, AStatementThatIsCancelledHadNoEffect) {
  Connection db = connect(), other = connect();
  Rows row = db.query("SELECT pg_backend_pid()");
  ASSERT_TRUE(row.next());
  const int pid = row.i32(0);
  auto cancelled =
      std::async(std::launch::async, [&] { return failure_of([&] { db.run("SELECT pg_sleep(60)"); }); });
  while (!other.query("SELECT FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'PgSleep'", pid).next()) {
  }
  other.run("SELECT pg_cancel_backend($1)", pid);
  const StoreError failure = cancelled.get();
  EXPECT_EQ(failure.error.code, Code::kUnavailable);
  EXPECT_EQ(failure.fate, Fate::kRefused);
  EXPECT_TRUE(db.alive());
}

TEST_F(ConnectionTest, AnIdleConnectionThatWasClosedIsStale) {
  Connection db = connect(), other = connect();
  Rows row = db.query("SELECT pg_backend_pid()");
  ASSERT_TRUE(row.next());
  EXPECT_FALSE(db.stale());
  other.run("SELECT pg_terminate_backend($1, 10000)", row.i32(0));  // and waits for it
  while (!db.stale()) {
  }
}

TEST_F(ConnectionTest, EverythingWorksThroughPgBouncer) {
  const PostgresDatabase database(PostgresDatabase::Schema::kNone);
  Connection db{Conninfo(database.bouncer_url())};
  EXPECT_FALSE(db.direct());
  EXPECT_TRUE(connect().direct());
  db.script("CREATE TABLE t (n bigint); INSERT INTO t VALUES (1)");
  db.run("INSERT INTO t SELECT unnest($1)", std::vector<std::int64_t>{2, 3});
  {
    Transaction transaction(db);
    db.run("INSERT INTO t VALUES ($1)", 4);
  }
  EXPECT_EQ(db.query("SELECT n FROM t").count(), 3);
  EXPECT_EQ(failure_of([&] { db.run("SELECT 1/0"); }).fate, Fate::kRefused);
  EXPECT_TRUE(db.alive());
}

TEST_F(ConnectionTest, PgBouncersRefusalsAreUnderstood) {
  // PgBouncer does not ask for a database again soon that was not there: each run has its own.
  const StoreError no_database =
      connect_failure(PostgresServer::shared().bouncer_url("nowhere_" + Token::random().text()));
  EXPECT_EQ(no_database.error.code, Code::kNotFound) << no_database.error.message;
  std::string url = PostgresServer::shared().bouncer_url();
  const StoreError no_user = connect_failure(url.replace(url.find("spool@"), 5, "nobody"));
  EXPECT_EQ(no_user.error.code, Code::kPermissionDenied) << no_user.error.message;
}

}  // namespace
}  // namespace spool::postgres
