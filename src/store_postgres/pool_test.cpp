#include "store_postgres/pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

#include "support/postgres_server.h"
#include "support/tcp_proxy.h"

namespace spool::postgres {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using test::PostgresDatabase;
using test::PostgresServer;
using test::TcpProxy;

constexpr const char* kConflict = "DO $$ BEGIN RAISE 'met' USING ERRCODE = '40001'; END $$";

template <class Work>
StoreError failure_of(Work&& work) {
  try {
    work();
  } catch (const StoreError& e) {
    return e;
  }
  return StoreError{Error{Code::kInternal, "nothing failed", 0}};
}

Conninfo through(const TcpProxy& proxy, const std::string& database = "postgres") {
  return Conninfo(fmt::format("postgres://spool@127.0.0.1:{}/{}", proxy.port(), database));
}
int backend_of(Connection& db) {
  Rows row = db.query("SELECT pg_backend_pid()");
  return row.next() ? row.i32(0) : 0;
}
int one(Connection& db) {
  Rows row = db.query("SELECT 1");
  return row.next() ? row.i32(0) : 0;
}

class PoolTest : public testing::Test {
 protected:
  const Conninfo conninfo_{PostgresServer::shared().url()};
};

TEST_F(PoolTest, AConnectionIsUsedAgain) {
  Pool pool(conninfo_, 4);
  const int first = read(pool, backend_of);
  EXPECT_EQ(read(pool, backend_of), first);
  EXPECT_EQ(write(pool, backend_of), first);
  EXPECT_EQ(pool.open(), 1);
}

TEST_F(PoolTest, WhatIsNotNeededAnyMoreIsClosed) {
  for (const auto& [idle, left] : {std::pair(Duration(0), 1), std::pair(Duration(seconds(60)), 2)}) {
    Pool pool(conninfo_, 4, seconds(30), idle);
    {
      const Pool::Lent first = pool.take();
      const Pool::Lent second = pool.take();
      EXPECT_EQ(pool.open(), 2);
    }
    EXPECT_EQ(pool.open(), left);
    EXPECT_EQ(one(*pool.take()), 1);
  }
}

TEST_F(PoolTest, ThereAreNeverMoreThanWereAskedFor) {
  Pool pool(conninfo_, 2, milliseconds(1));
  const Pool::Lent first = pool.take();
  const Pool::Lent second = pool.take();
  const StoreError failure = failure_of([&] { static_cast<void>(pool.take()); });
  EXPECT_EQ(failure.error.code, Code::kUnavailable);
  EXPECT_NE(failure.error.message.find("none of 2 connections"), std::string::npos) << failure.error.message;
}

// A password that is changed, or a database that is being moved: it may end as it came.
TEST_F(PoolTest, WhoWasLetInWaitsWhenItIsRefused) {
  PostgresDatabase database;
  Connection admin{conninfo_};
  const std::string name = database.name();
  const auto refuses = [&](const std::string& refusal, const std::string& again, const char* words) {
    Pool known(Conninfo(database.url()), 4), fresh(Conninfo(database.url()), 4);
    EXPECT_EQ(one(*known.take()), 1);
    while (admin.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
               .next()) {
    }
    admin.script(refusal);
    const StoreError failure = failure_of([&] { static_cast<void>(known.take()); });
    EXPECT_EQ(failure.error.code, Code::kUnavailable) << refusal;
    EXPECT_NE(failure.error.message.find(words), std::string::npos) << failure.error.message;
    const Code at_first = failure_of([&] { static_cast<void>(fresh.take()); }).error.code;
    admin.script(again);
    EXPECT_EQ(one(*known.take()), 1);
    return at_first;
  };
  EXPECT_EQ(refuses("ALTER DATABASE " + name + " ALLOW_CONNECTIONS false",
                    "ALTER DATABASE " + name + " ALLOW_CONNECTIONS true", "ALLOW_CONNECTIONS true"),
            Code::kUnavailable);
  EXPECT_EQ(refuses("ALTER DATABASE " + name + " RENAME TO moved_" + name,
                    "ALTER DATABASE moved_" + name + " RENAME TO " + name, "does not exist"),
            Code::kNotFound);
}

TEST_F(PoolTest, WhoeverWaitsGetsWhatIsGivenBack) {
  Pool pool(conninfo_, 1, seconds(60));
  std::future<int> waiting;
  int first = 0;
  {
    const Pool::Lent lent = pool.take();
    first = backend_of(*lent);
    waiting = std::async(std::launch::async, [&] { return read(pool, backend_of); });
  }
  EXPECT_EQ(waiting.get(), first);
}

TEST_F(PoolTest, WhoeverWaitsGetsTheRoomOfWhatWasLost) {
  Pool pool(conninfo_, 1, seconds(60));
  std::future<int> waiting;
  {
    const Pool::Lent lent = pool.take();
    waiting = std::async(std::launch::async, [&] { return read(pool, one); });
    (*lent).set_answer_timeout(milliseconds(10));
    EXPECT_EQ(failure_of([&] { (*lent).run("SELECT pg_sleep(60)"); }).fate, Fate::kUnknown);
  }
  EXPECT_EQ(waiting.get(), 1);
  EXPECT_EQ(pool.open(), 1);
}

TEST_F(PoolTest, AConnectionThatDiedIdleIsReplaced) {
  Pool pool(conninfo_, 4);
  const int first = read(pool, backend_of);
  Connection other(conninfo_);
  other.run("SELECT pg_terminate_backend($1, 10000)", first);
  EXPECT_NE(write(pool, backend_of), first);
  EXPECT_EQ(pool.open(), 1);
}

TEST_F(PoolTest, AServerThatWasRestartedIsFoundAgain) {
  PostgresServer server("--no-fsync");
  Pool pool(Conninfo(server.url()), 4);
  { const Pool::Lent first = pool.take(), second = pool.take(); }
  EXPECT_EQ(pool.open(), 2);
  server.restart();
  EXPECT_EQ(write(pool, one), 1);
  server.stop();
  EXPECT_EQ(failure_of([&] { read(pool, one); }).error.code, Code::kUnavailable);
  EXPECT_EQ(failure_of([&] { write(pool, one); }).error.code, Code::kUnavailable);
  EXPECT_EQ(pool.open(), 0);
  server.start();
  EXPECT_EQ(read(pool, one), 1);
}

TEST_F(PoolTest, AServerThatWasRestartedIsFoundAgainBehindPgBouncer) {
  PostgresServer server("--no-fsync --pgbouncer");
  Pool pool(Conninfo(server.bouncer_url()), 4);
  EXPECT_EQ(read(pool, one), 1);
  server.restart();
  // PgBouncer may still hand out a connection that is dead, and says so to a writer.
  while (failure_of([&] { write(pool, one); }).error.message != "nothing failed") {
  }
  EXPECT_EQ(read(pool, one), 1);
}

TEST_F(PoolTest, AReadThatMetADeadConnectionIsDoneAgain) {
  TcpProxy proxy(PostgresServer::shared().port());
  Pool pool(through(proxy), 4);
  EXPECT_EQ(read(pool, one), 1);
  int calls = 0;
  EXPECT_EQ(read(pool,
                 [&](Connection& db) {
                   if (calls++ == 0) {
                     proxy.cut();
                     while (!db.stale()) {
                     }
                   }
                   return one(db);
                 }),
            1);
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(proxy.accepted(), 2);
}

TEST_F(PoolTest, AReadIsNeverInDoubt) {
  TcpProxy proxy(PostgresServer::shared().port());
  Pool pool(through(proxy), 4);
  int calls = 0;
  const StoreError failure = failure_of([&] {
    read(pool, [&](Connection& db) {
      ++calls;
      proxy.swallow_answers(true);
      db.set_answer_timeout(milliseconds(50));
      return one(db);
    });
  });
  EXPECT_EQ(failure.error.code, Code::kUnavailable);
  EXPECT_EQ(calls, 1) << "the connection was new";
}

TEST_F(PoolTest, AWriteWhoseAnswerWasLostIsInDoubtAndNotRepeated) {
  const PostgresDatabase database(PostgresDatabase::Schema::kNone);
  Connection direct{Conninfo(database.url())};
  direct.run("CREATE TABLE t (n int)");
  TcpProxy proxy(PostgresServer::shared().port());
  Pool pool(through(proxy, database.name()), 4);
  EXPECT_EQ(write(pool, one), 1);
  const StoreError failure = failure_of([&] {
    write(pool, [&](Connection& db) {
      proxy.swallow_answers(true);
      db.set_answer_timeout(milliseconds(200));
      db.run("INSERT INTO t VALUES (1)");
    });
  });
  EXPECT_EQ(failure.error.code, Code::kInDoubt);
  EXPECT_EQ(direct.query("SELECT FROM t").count(), 1);
}

TEST_F(PoolTest, AHostThatHasGoneTakesItsIdleConnectionsAlong) {
  TcpProxy proxy(PostgresServer::shared().port());
  Pool pool(through(proxy), 4);
  { const Pool::Lent first = pool.take(), second = pool.take(), third = pool.take(); }
  EXPECT_EQ(pool.open(), 3);
  proxy.swallow(true);
  EXPECT_EQ(failure_of([&] {
              write(pool, [&](Connection& db) {
                db.set_answer_timeout(milliseconds(50));
                return one(db);
              });
            }).error.code,
            Code::kInDoubt);
  EXPECT_EQ(pool.open(), 0);
}

TEST_F(PoolTest, WhatMetAnotherTransactionIsRepeated) {
  Pool pool(conninfo_, 4);
  int calls = 0;
  EXPECT_EQ(write(pool,
                  [&](Connection& db) {
                    if (++calls < 4) db.run(kConflict);
                    return one(db);
                  }),
            1);
  EXPECT_EQ(calls, 4);
}

TEST_F(PoolTest, WhatAlwaysMeetsAnotherTransactionIsGivenUp) {
  Pool pool(conninfo_, 4);
  int calls = 0;
  const StoreError failure = failure_of([&] {
    write(pool, [&](Connection& db) {
      ++calls;
      db.run(kConflict);
    });
  });
  EXPECT_EQ(failure.error.code, Code::kUnavailable);
  EXPECT_EQ(failure.error.native, native_of("40001"));
  EXPECT_EQ(calls, 11);
}

TEST_F(PoolTest, ARealDeadlockIsResolved) {
  const PostgresDatabase database(PostgresDatabase::Schema::kNone);
  Pool pool(Conninfo(database.url()), 4);
  write(pool, [](Connection& db) {
    db.script("CREATE TABLE t (k int, n int); INSERT INTO t VALUES (1, 0), (2, 0)");
  });
  std::atomic<int> holding = 0;
  const auto update_both = [&](int first, int second) {
    write(pool, [&](Connection& db) {
      Transaction transaction(db);
      db.run("UPDATE t SET n = n + 1 WHERE k = $1", first);
      ++holding;
      while (holding < 2) std::this_thread::yield();
      db.run("UPDATE t SET n = n + 1 WHERE k = $1", second);
      transaction.commit();
    });
  };
  std::thread other([&] { update_both(2, 1); });
  update_both(1, 2);
  other.join();
  EXPECT_EQ(read(pool, [](Connection& db) { return db.query("SELECT FROM t WHERE n = 2").count(); }), 2);
}

TEST_F(PoolTest, AnErrorOfTheWorkGivesTheConnectionBack) {
  Pool pool(conninfo_, 1, milliseconds(1));
  EXPECT_EQ(failure_of([&] { write(pool, [](Connection& db) { db.run("SELECT 1/0"); }); }).error.code,
            Code::kInvalidArgument);
  EXPECT_THROW(write(pool, [](Connection&) { throw std::runtime_error("of the work"); }), std::runtime_error);
  EXPECT_EQ(write(pool, one), 1);
}

TEST_F(PoolTest, ManyThreadsShareItThroughPgBouncer) {
  const PostgresDatabase database(PostgresDatabase::Schema::kNone);
  Pool pool(Conninfo(database.bouncer_url()), 3);
  write(pool, [](Connection& db) { db.run("CREATE TABLE t (n int)"); });
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i)
    threads.emplace_back([&] {
      for (int n = 0; n < 25; ++n)
        write(pool, [&](Connection& db) { db.run("INSERT INTO t VALUES ($1)", n); });
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(read(pool, [](Connection& db) { return db.query("SELECT FROM t").count(); }), 200);
  EXPECT_LE(pool.open(), 3);
}

}  // namespace
}  // namespace spool::postgres
