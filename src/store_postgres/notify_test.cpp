#include "store_postgres/notify.h"

#include <gtest/gtest.h>

#include <future>

#include "support/postgres_server.h"
#include "support/tcp_proxy.h"

namespace spool::postgres {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using test::PostgresDatabase;
using test::PostgresServer;
using test::TcpProxy;

constexpr auto kLong = minutes(1);
constexpr auto kAtOnce = seconds(20);  // on a busy machine; far from kLong

void await_listening(Notifier& notifier) {
  while (!notifier.listening()) notifier.wait(milliseconds(1));
}
// Takes the wake-ups that came up to now.
void settle(Notifier& notifier) {
  notifier.wait(Duration(0));
}
Duration time_of_wait(Notifier& notifier, Duration most = kLong) {
  const auto began = BootClock::now();
  notifier.wait(most);
  return std::chrono::duration_cast<Duration>(BootClock::now() - began);
}

class NotifyTest : public testing::Test {
 protected:
  PostgresDatabase database_{PostgresDatabase::Schema::kNone};
  const Conninfo conninfo_{database_.url()};
};

TEST_F(NotifyTest, WhatIsToldWakesOtherProcesses) {
  Notifier teller(conninfo_), listener(conninfo_);
  await_listening(listener);
  settle(listener);
  teller.tell({1, 2, 3});
  EXPECT_LT(time_of_wait(listener), kAtOnce);
}

TEST_F(NotifyTest, WhatIsToldWakesTheOwnThreadsAtOnceAndOnce) {
  Notifier notifier(conninfo_);
  await_listening(notifier);
  settle(notifier);
  notifier.tell({1});
  EXPECT_LT(time_of_wait(notifier), kAtOnce);
  // Its own notification comes back and wakes nobody; that of the other shows that it did come.
  Connection db(conninfo_);
  EXPECT_GE(time_of_wait(notifier, milliseconds(300)), milliseconds(300));
}

TEST_F(NotifyTest, NothingIsSaidWhileAllAreBusyAndWhoWaitsAgainLooksItself) {
  Notifier teller(conninfo_), listener(conninfo_);
  await_listening(listener);
  Connection db(conninfo_);
  const auto waiting = [&] {
    Rows row = db.query(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 1397771084 "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())");
    return row.next() ? row.i64(0) : -1;
  };
  while (waiting() != 1) {
  }
  listener.busy(true);
  while (waiting() != 0) {
  }
  settle(listener);
  teller.tell({1});
  EXPECT_GE(time_of_wait(listener, milliseconds(300)), milliseconds(300));
  listener.busy(false);
  EXPECT_LT(time_of_wait(listener), kAtOnce);
  settle(listener);
  teller.tell({2});
  EXPECT_LT(time_of_wait(listener), kAtOnce);
}

TEST_F(NotifyTest, ANotifyOfAnybodyWakes) {
  Notifier listener(conninfo_);
  await_listening(listener);
  settle(listener);
  Connection db(conninfo_);
  db.run("NOTIFY spool");
  EXPECT_LT(time_of_wait(listener), kAtOnce);
}

TEST_F(NotifyTest, AWaitEndsWhenNothingComes) {
  Notifier listener(conninfo_);
  await_listening(listener);
  settle(listener);
  EXPECT_GE(time_of_wait(listener, milliseconds(50)), milliseconds(50));
}

TEST_F(NotifyTest, WakeEndsAWaitThatHasNotBegun) {
  Notifier notifier(conninfo_);
  settle(notifier);
  notifier.wake();
  EXPECT_LT(time_of_wait(notifier), kAtOnce);
}

TEST_F(NotifyTest, NoThreadTakesTheWakeUpOfAnother) {
  Notifier notifier(conninfo_);
  await_listening(notifier);
  auto other = std::async(std::launch::async, [&] {
    settle(notifier);
    return time_of_wait(notifier);
  });
  while (other.wait_for(seconds(0)) != std::future_status::ready) {
    notifier.wake();
    settle(notifier);
  }
  EXPECT_LT(other.get(), kAtOnce);
}

TEST_F(NotifyTest, AJobThatBecomesDueEndsAWait) {
  Notifier notifier(conninfo_);
  await_listening(notifier);
  settle(notifier);
  notifier.due_in(milliseconds(30));
  const Duration time = time_of_wait(notifier);
  EXPECT_GE(time, milliseconds(30));
  EXPECT_LT(time, kAtOnce);
  notifier.due_in(milliseconds(30));
  notifier.due_in(std::nullopt);
  EXPECT_GE(time_of_wait(notifier, milliseconds(100)), milliseconds(100));
}

TEST_F(NotifyTest, AJobThatBecomesDueEndsAWaitThatBeganBeforeThatWasKnown) {
  Notifier notifier(conninfo_);
  await_listening(notifier);
  settle(notifier);
  std::promise<void> begins;
  auto waited = std::async(std::launch::async, [&] {
    settle(notifier);
    begins.set_value();
    return time_of_wait(notifier);
  });
  begins.get_future().wait();
  EXPECT_GE(time_of_wait(notifier, milliseconds(200)), milliseconds(200));  // the other waits by now
  notifier.due_in(milliseconds(30));
  EXPECT_LT(waited.get(), kAtOnce);
}

TEST_F(NotifyTest, WhatIsLeftToSayIsSaidAtTheEnd) {
  Notifier listener(conninfo_);
  await_listening(listener);
  settle(listener);
  Notifier(conninfo_).tell({1});
  EXPECT_LT(time_of_wait(listener), kAtOnce);
}

TEST_F(NotifyTest, ThousandsOfLanesAreToldToo) {
  Notifier listener(conninfo_);
  await_listening(listener);
  settle(listener);
  std::vector<int> lanes;
  for (int lane = 1'000'000; lane < 1'005'000; ++lane) lanes.push_back(lane);
  Notifier(conninfo_).tell(lanes);
  EXPECT_LT(time_of_wait(listener), kAtOnce);
}

TEST_F(NotifyTest, WhoeverOnlyTellsDoesNotListen) {
  Notifier teller(conninfo_), listener(conninfo_);
  await_listening(listener);
  settle(listener);
  teller.tell({1});
  listener.wait(kLong);  // so it is connected
  EXPECT_FALSE(teller.listening());
  await_listening(teller);  // once it waits
}

TEST_F(NotifyTest, BehindPgBouncerItPollsAndStillTells) {
  Notifier bounced{Conninfo(database_.bouncer_url())}, listener(conninfo_);
  await_listening(listener);
  settle(listener);
  settle(bounced);
  bounced.tell({1});
  EXPECT_LT(time_of_wait(listener), kAtOnce);
  settle(bounced);
  EXPECT_FALSE(bounced.listening());
  const Duration time = time_of_wait(bounced);
  EXPECT_GE(time, seconds(1));
  EXPECT_LT(time, kAtOnce);
}

TEST_F(NotifyTest, AConnectionThatWasTerminatedIsMadeAgain) {
  Notifier listener(conninfo_);
  await_listening(listener);
  Connection db(conninfo_);
  db.run(
      "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database() AND "
      "pid <> "
      "pg_backend_pid()");
  while (listener.listening()) listener.wait(milliseconds(1));
  await_listening(listener);
  settle(listener);
  db.run("NOTIFY spool");
  EXPECT_LT(time_of_wait(listener), kAtOnce);
}

TEST_F(NotifyTest, AHalfOpenConnectionIsNoticedAndMadeAgain) {
  TcpProxy proxy(PostgresServer::shared().port());
  Conninfo through(fmt::format("postgres://spool@127.0.0.1:{}/{}", proxy.port(), database_.name()));
  through.answer_timeout = milliseconds(100);
  through.connect_timeout = milliseconds(500);
  Notifier listener(through, milliseconds(50));
  await_listening(listener);
  proxy.swallow(true);
  while (listener.listening()) listener.wait(milliseconds(1));
  proxy.swallow(false);
  await_listening(listener);
}

TEST_F(NotifyTest, AServerThatIsAwayIsPolledAndFoundAgain) {
  PostgresServer server("--no-fsync");
  Notifier notifier{Conninfo(server.url())};
  await_listening(notifier);
  server.stop();
  while (notifier.listening()) notifier.wait(milliseconds(1));
  settle(notifier);
  EXPECT_LT(time_of_wait(notifier), kAtOnce);
  server.start();
  await_listening(notifier);
}

TEST_F(NotifyTest, ItEndsWhileTheServerIsAway) {
  Notifier notifier{Conninfo("postgres://me@127.0.0.1:1/nowhere")};
  notifier.tell({1});
  notifier.wait(milliseconds(1));
}

}  // namespace
}  // namespace spool::postgres
