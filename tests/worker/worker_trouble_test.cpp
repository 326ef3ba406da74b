// The worker and a store that fails, is away, or takes its lease.
#include <gtest/gtest.h>

#include <atomic>

#include "support/logged.h"
#include "worker/worker_fixture.h"

namespace spool::test {
namespace {

TEST(WorkerInTrouble, ALeaseLostWhileAnUnknownKindIsPutOffIsSurvived) {
  FaultyStore store;
  Kinds kinds;
  kinds.add(inline_kind("known", [](Attempt&) -> Ending { return Succeeded{}; }));
  insert_one(store, new_job("from the future"));
  std::atomic<int> exchanges = 0;
  store.fault = [&](std::string_view call) -> std::optional<Error> {
    if (call == "exchange" && ++exchanges == 2) return Error{Code::kLeaseLost, "it slept"};
    return std::nullopt;
  };
  RunningWorker worker(store, kinds, quick(1));
  insert_one(store, new_job("known"));
  EXPECT_TRUE(store.await_ended(1));
  EXPECT_GE(store.calls().sessions, 2);
}

TEST(WorkerInTrouble, AnUnknownKindThatAnotherWorkerHasTakenMeanwhileIsForgotten) {
  FaultyStore store;
  Kinds kinds;
  kinds.add(inline_kind("known", [](Attempt&) -> Ending { return Succeeded{}; }));
  const Uuid unknown = insert_one(store, new_job("from the future"));
  store.settle_fault = [&](const Settlement& settlement) -> std::optional<Error> {
    if (settlement.job == unknown) return Error{Code::kLeaseLost, "a stale token"};
    return std::nullopt;
  };
  RunningWorker worker(store, kinds);
  insert_one(store, new_job("known"));
  EXPECT_TRUE(store.await_ended(1));
  EXPECT_EQ(store.calls().sessions, 1);
}

TEST(WorkerInTrouble, AStoreThatIsAwayIsWaitedForAndNoSettlementIsLost) {
  FaultyStore store;
  Kinds kinds;
  std::atomic<int> runs = 0, refusals = 0;
  kinds.add(inline_kind("counted", [&](Attempt&) -> Ending {
    ++runs;
    return Succeeded{};
  }));
  store.fault = [&](std::string_view call) -> std::optional<Error> {
    if (call == "exchange" && runs == 1 && ++refusals <= 3)
      return Error{Code::kStorageFull, "the disk is full"};
    if (call == "open_session" && refusals == 0 && runs == 0 && store.calls().sessions == 0 &&
        ++refusals == 1)
      return Error{Code::kUnavailable, "locked"};
    return std::nullopt;
  };
  insert_one(store, new_job("counted"));
  RunningWorker worker(store, kinds);
  ASSERT_TRUE(store.await_ended(1));
  EXPECT_EQ(runs, 1);
  EXPECT_GT(refusals, 3);
}

TEST(WorkerInTrouble, ASessionThatMayHaveBeenOpenedIsOpenedAgain) {
  FaultyStore store;
  Kinds kinds;
  kinds.add(inline_kind("fine", [](Attempt&) -> Ending { return Succeeded{}; }));
  std::atomic<int> doubts = 0;
  store.fault = [&](std::string_view call) -> std::optional<Error> {
    if (call == "open_session" && ++doubts == 1) return Error{Code::kInDoubt, "the server does not answer"};
    return std::nullopt;
  };
  insert_one(store, new_job("fine"));
  RunningWorker worker(store, kinds);
  EXPECT_TRUE(store.await_ended(1));
  EXPECT_EQ(doubts, 2);
}

TEST(WorkerInTrouble, ASettlementThatCannotBeMadeNowHoldsUpNoOther) {
  FaultyStore store;
  Kinds kinds;
  kinds.add(inline_kind("fine", [](Attempt&) -> Ending { return Succeeded{}; }));
  std::atomic<bool> is_held = true;
  std::atomic<int> refusals = 0;
  const Uuid held = insert_one(store, new_job("fine"));
  store.settle_fault = [&](const Settlement& settlement) -> std::optional<Error> {
    if (settlement.job != held || !is_held) return std::nullopt;
    ++refusals;
    return Error{Code::kUnavailable, "another transaction holds its tree"};
  };
  RunningWorker worker(store, kinds, quick(1));
  for (int i = 0; i < 3; ++i) insert_one(store, new_job("fine"));
  EXPECT_TRUE(store.await_ended(3));
  EXPECT_GE(refusals, 1);
  is_held = false;
  worker->drain();  // waits for it
  EXPECT_TRUE(worker.wait().has_value());
  EXPECT_EQ(store.get(held)->state, State::kSucceeded);
  EXPECT_EQ(store.calls().sessions, 1);
}

TEST(WorkerInTrouble, AnAttemptDoesNotEndBeforeWhatItSaidLastIsStored) {
  FaultyStore store;
  Kinds kinds;
  kinds.add(inline_kind("says", [](Attempt& attempt) -> Ending {
    attempt.progress(0.5, {{"frames", 7}});
    return Succeeded{};
  }));
  std::atomic<int> refusals = 0;
  store.report_fault = [&](const ProgressReport&) -> std::optional<Error> {
    if (++refusals <= 2) return Error{Code::kUnavailable, "another transaction holds it"};
    return std::nullopt;
  };
  const Uuid job = insert_one(store, new_job("says"));
  RunningWorker worker(store, kinds, quick(1));
  EXPECT_TRUE(store.await_ended(1));
  EXPECT_GE(refusals, 3);
  EXPECT_EQ(store.get(job)->progress_detail, (Json{{"frames", 7}}));
}

TEST(WorkerInTrouble, AFullStoreEndsTheRunOfAWorkerThatDoesNotWaitForSpace) {
  for (const std::string_view full : {"open_session", "exchange"}) {
    FaultyStore store;
    const Kinds kinds;
    store.fault = [full](std::string_view call) -> std::optional<Error> {
      if (call == full) return Error{Code::kStorageFull, "the disk is full"};
      return std::nullopt;
    };
    WorkerOptions options = quick();
    options.waits_for_space = false;
    RunningWorker worker(store, kinds, options);
    const auto result = worker.wait();
    ASSERT_FALSE(result) << full;
    EXPECT_EQ(result.error().code, Code::kStorageFull) << full;
  }
}

TEST(WorkerInTrouble, AStoreThatIsBrokenEndsTheRunWithItsError) {
  for (const std::string_view broken : {"open_session", "exchange"}) {
    FaultyStore store;
    const Kinds kinds;
    store.fault = [broken](std::string_view call) -> std::optional<Error> {
      if (call == broken) return Error{Code::kInternal, "no such table"};
      return std::nullopt;
    };
    RunningWorker worker(store, kinds);
    const auto result = worker.wait();
    ASSERT_FALSE(result) << broken;
    EXPECT_EQ(result.error().message, "no such table") << broken;
  }
}

TEST(WorkerInTrouble, ALostLeaseStopsEverythingAndTheWorkerGoesOnInANewSession) {
  FaultyStore store;
  Kinds kinds;
  std::atomic<int> runs = 0;
  std::atomic<bool> stopped = false;
  kinds.add(inline_kind("long", [&](Attempt& a) -> Ending {
    if (++runs > 1) return Succeeded{"second"};
    store.shift_clock_for_tests(1h);  // as if this machine had slept
    await_stop(a);
    stopped = true;
    return Succeeded{"first"};
  }));
  const Uuid id = insert_one(store, new_job("long"));
  WorkerOptions options = quick();
  options.lease = 6s;
  RunningWorker worker(store, kinds, options);
  ASSERT_TRUE(store.await_ended(1));
  EXPECT_TRUE(stopped);
  EXPECT_EQ(store.get(id)->result, Json("second"));
  EXPECT_GE(store.calls().sessions, 2);
}

TEST(WorkerInTrouble, AWorkerThatCannotRenewStopsItsWorkByItsOwnClock) {
  FaultyStore store;
  Kinds kinds;
  std::atomic<bool> blocked = true;
  std::promise<void> stopped;
  std::atomic<int> runs = 0;
  kinds.add(inline_kind("long", [&](Attempt& a) -> Ending {
    if (++runs > 1) return Succeeded{};
    await_stop(a);
    stopped.set_value();
    return Succeeded{"too late"};
  }));
  // The store hangs in the renewal: nobody can tell the worker that its lease is gone.
  std::mutex mutex;
  std::condition_variable unblocked;
  store.fault = [&](std::string_view call) -> std::optional<Error> {
    if (call != "renew" && call != "rescue") return std::nullopt;
    std::unique_lock lock(mutex);
    unblocked.wait(lock, [&] { return !blocked; });
    return std::nullopt;
  };
  const Uuid id = insert_one(store, new_job("long"));
  WorkerOptions options = quick();
  options.lease = 300ms;
  RunningWorker worker(store, kinds, options);
  stopped.get_future().wait();
  {
    const std::lock_guard lock(mutex);
    blocked = false;
    unblocked.notify_all();
  }
  ASSERT_TRUE(store.await_ended(1));
  const Job job = *store.get(id);
  EXPECT_NE(job.result, Json("too late"));
  EXPECT_GE(job.rescues, 1) << "a job that starves its worker is charged for it";
}

// The claim that nobody saw is found and given back; what runs goes on. `lost`: an answer to this call, too.
void pass_an_exchange_in_doubt(const std::string& lost) {
  FaultyStore store;
  Kinds kinds;
  std::atomic<int> longs = 0, shorts = 0, faults = 0;
  std::atomic<bool> in_doubt = false;
  std::promise<void> started, over;
  kinds.add(inline_kind("long", [&](Attempt&) -> Ending {
    if (++longs == 1) started.set_value();
    over.get_future().wait();
    return Succeeded{};
  }));
  kinds.add(inline_kind("short", [&](Attempt&) -> Ending {
    ++shorts;
    return Succeeded{};
  }));
  const Error error{Code::kInDoubt, "the answer was lost"};
  store.answer_fault = [&](std::span<const Settlement>, const Exchange& done) -> std::optional<Error> {
    if (done.claimed.empty() || done.claimed[0].kind != "short" || in_doubt.exchange(true))
      return std::nullopt;
    return error;
  };
  store.fault = [&](std::string_view call) -> std::optional<Error> {
    if (!in_doubt || call != lost || faults.exchange(1) != 0) return std::nullopt;
    return error;
  };
  const Uuid running = insert_one(store, new_job("long"));
  WorkerOptions options = quick(2);
  options.lease = 600ms;  // it is renewed meanwhile
  RunningWorker worker(store, kinds, options);
  started.get_future().wait();
  const Uuid unseen = insert_one(store, new_job("short"));
  EXPECT_TRUE(store.await_ended(1));
  EXPECT_EQ(store.get(unseen)->state, State::kSucceeded);
  EXPECT_EQ(store.get(running)->state, State::kRunning);
  over.set_value();
  ASSERT_TRUE(store.await_ended(2));
  EXPECT_TRUE(in_doubt);
  EXPECT_EQ(faults, lost.empty() ? 0 : 1);
  for (const Uuid& job : {running, unseen}) {
    EXPECT_EQ(store.get(job)->attempts, 1);
    EXPECT_EQ(store.get(job)->rescues, 0);
  }
  EXPECT_EQ(longs, 1);
  EXPECT_EQ(shorts, 1);
  EXPECT_GE(store.calls().handed_over, 1);
}

TEST(WorkerInTrouble, AfterAnExchangeInDoubtUnseenClaimsComeBackAndWhatRunsGoesOn) {
  for (const char* lost : {"", "open_session", "hand_over", "handed_over"}) {
    SCOPED_TRACE(lost);
    pass_an_exchange_in_doubt(lost);
  }
}

TEST(WorkerInTrouble, AReportInDoubtIsMadeAgainAndStopsNothing) {
  FaultyStore store;
  Kinds kinds;
  std::atomic<int> runs = 0, doubts = 0;
  kinds.add(inline_kind("reports", [&](Attempt& attempt) -> Ending {
    ++runs;
    EXPECT_TRUE(attempt.checkpoint({{"at", 1}}).has_value());
    return Succeeded{};
  }));
  store.fault = [&](std::string_view call) -> std::optional<Error> {
    if (call != "report" || ++doubts > 2) return std::nullopt;
    return Error{Code::kInDoubt, "the answer was lost"};
  };
  const Uuid job = insert_one(store, new_job("reports"));
  RunningWorker worker(store, kinds);
  ASSERT_TRUE(store.await_ended(1));
  EXPECT_EQ(runs, 1);
  EXPECT_GT(doubts, 2);
  EXPECT_EQ(store.get(job)->state, State::kSucceeded);
  EXPECT_EQ(store.calls().sessions, 1);
}

TEST(WorkerInTrouble, ASettlementWhoseAnswerWasLostHasHappenedAndIsNotRunAgain) {
  FaultyStore store;
  Kinds kinds;
  std::atomic<int> runs = 0;
  std::atomic<bool> lost = false;
  kinds.add(inline_kind("counted", [&](Attempt&) -> Ending {
    ++runs;
    return Succeeded{};
  }));
  store.answer_fault = [&](std::span<const Settlement> seen, const Exchange&) -> std::optional<Error> {
    if (seen.empty() || lost.exchange(true)) return std::nullopt;
    return Error{Code::kInDoubt, "the answer was lost"};
  };
  const Uuid first = insert_one(store, new_job("counted"));
  RunningWorker worker(store, kinds, quick(1));
  ASSERT_TRUE(store.await_ended(1));
  insert_one(store, new_job("counted"));
  ASSERT_TRUE(store.await_ended(2));
  EXPECT_TRUE(lost);
  EXPECT_EQ(runs, 2);
  EXPECT_EQ(store.get(first)->state, State::kSucceeded);
  EXPECT_EQ(store.outcomes_since(0, 10)->size(), 2u);
  EXPECT_EQ(store.calls().handed_over, 1);
}

TEST(WorkerInTrouble, AStoreThatIsAwayIsSaidOnceWhateverIsAskedOfIt) {
  const Logged logged;
  {
    FaultyStore store;
    Kinds kinds;
    kinds.add(inline_kind("fine", [](Attempt&) -> Ending { return Succeeded{}; }));
    std::atomic<bool> away = false;
    std::atomic<int> exchanges = 0, renewals = 0, sweeps = 0;
    store.fault = [&](std::string_view call) -> std::optional<Error> {
      if (!away) return std::nullopt;
      exchanges += call == "exchange";
      renewals += call == "renew";
      sweeps += call == "purged";
      return Error{Code::kUnavailable, "away"};
    };
    insert_one(store, new_job("fine"));
    WorkerOptions options = quick();
    options.lease = 3s;
    options.sweep = [](Store& swept, const std::function<bool()>&) -> Result<void> {
      SPOOL_TRY(swept.purged(1));
      return {};
    };
    RunningWorker worker(store, kinds, options);
    ASSERT_TRUE(store.await_ended(1));
    away = true;
    while (exchanges < 3 || renewals < 2 || sweeps < 2) std::this_thread::yield();
    away = false;
    insert_one(store, new_job("fine"));
    EXPECT_TRUE(store.await_ended(2));
  }
  const std::string text = logged.text();
  const auto first = text.find("the store does not answer");
  ASSERT_NE(first, std::string::npos);
  EXPECT_EQ(text.find("the store does not answer", first + 1), std::string::npos) << text;
  EXPECT_EQ(text.find("removed jobs"), std::string::npos) << text;
}

TEST(WorkerInTrouble, ObjectsThatCannotBeRemovedAreToldOf) {
  const Logged logged;
  {
    FaultyStore store;
    const Kinds kinds;
    WorkerOptions options = quick();
    std::promise<void> tried;
    options.sweep = [&](Store&, const std::function<bool()>&) -> Result<void> {
      tried.set_value();
      return fail(Code::kUnavailable, "the bucket is away");
    };
    RunningWorker worker(store, kinds, options);
    tried.get_future().wait();
    worker->drain();
    ASSERT_TRUE(worker.wait());
  }
  EXPECT_NE(logged.text().find("what removed jobs have left is swept later: the bucket is away"),
            std::string::npos);
}

// A store that goes away for longer than the worker's lease holds.
struct LongOutage {
  FaultyStore store;
  Kinds kinds;
  std::atomic<bool> away = false;
  std::atomic<int> openings = 0;  // tries in the outage, which come when the lease is lost

  LongOutage() {
    store.fault = [this](std::string_view call) -> std::optional<Error> {
      // Who comes back gives the others a third of the lease, which is nothing here.
      if (!away && call != "rescue") return std::nullopt;
      openings += call == "open_session";
      return Error{Code::kUnavailable, "away"};
    };
  }
  static WorkerOptions options() {
    WorkerOptions options = quick();
    options.lease = 300ms;
    return options;
  }
  void await_openings(int count) const {
    while (openings < count) std::this_thread::yield();
  }
};

TEST(WorkerInTrouble, WhatWasFinishedInAnOutageLongerThanTheLeaseIsSettledAfterIt) {
  LongOutage outage;
  std::atomic<int> runs = 0;
  outage.kinds.add(inline_kind("counted", [&](Attempt& a) -> Ending {
    if (a.claim().phase == "publish") return Succeeded{a.claim().checkpoint};
    ++runs;
    outage.away = true;
    EXPECT_TRUE(a.checkpoint("all of it"));
    return FanOut{{}, "publish", false};
  }));
  const Uuid id = insert_one(outage.store, new_job("counted"));
  RunningWorker worker(outage.store, outage.kinds, LongOutage::options());
  outage.await_openings(2);
  outage.away = false;
  ASSERT_TRUE(outage.store.await_ended(1));
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(outage.store.get(id)->result, Json("all of it"));
  EXPECT_EQ(outage.store.get(id)->rescues, 0);
}

TEST(WorkerInTrouble, WhatWasFinishedIsSettledAfterAnOutageInWhichTheStoreHangs) {
  for (const char* hangs : {"exchange", "renew"}) {
    LongOutage outage;
    std::atomic<int> runs = 0;
    std::atomic<bool> ended = false, over = false;
    outage.store.fault = [&](std::string_view call) -> std::optional<Error> {
      if (call == "rescue") return Error{Code::kUnavailable, "the others have their time to return"};
      // What is asked in the outage is answered after it, when the lease is over by the store's clock.
      if (ended && call == hangs && !over.exchange(true)) outage.store.shift_clock_for_tests(1h);
      while (ended && !over) std::this_thread::yield();
      return std::nullopt;
    };
    outage.kinds.add(inline_kind("counted", [&](Attempt&) -> Ending {
      ++runs;
      ended = true;
      return Succeeded{"all of it"};
    }));
    const Uuid id = insert_one(outage.store, new_job("counted"));
    RunningWorker worker(outage.store, outage.kinds, LongOutage::options());
    ASSERT_TRUE(outage.store.await_ended(1)) << hangs;
    EXPECT_EQ(runs, 1) << hangs;
    EXPECT_EQ(outage.store.get(id)->result, Json("all of it"));
    EXPECT_EQ(outage.store.get(id)->rescues, 0);
  }
}

TEST(WorkerInTrouble, WhoStartsInAFleetRescuesNobodyBeforeTheOthersCouldReturn) {
  FaultyStore store;
  Kinds kinds;
  kinds.add(inline_kind("fine", [](Attempt&) -> Ending { return Succeeded{}; }));
  insert_one(store, new_job("fine"));
  WorkerOptions options = quick();
  options.housekeeping = 1ms;
  RunningWorker worker(store, kinds, options);
  ASSERT_TRUE(store.await(&FaultyStore::Calls::exchanges, 10));
  EXPECT_EQ(store.calls().rescues, 0);
}

TEST(WorkerInTrouble, TheStoreAnswersAgainWhenTheLoopHasSentWhatTheKeeperCouldNot) {
  const Logged logged;
  {
    FaultyStore store;
    std::atomic<std::thread::id> keeper;
    std::atomic<bool> refused = false;
    store.fault = [&](std::string_view call) -> std::optional<Error> {
      if (call != "report") return std::nullopt;
      if (!refused) keeper = std::this_thread::get_id();  // of what runs it alone sends
      if (keeper.load() != std::this_thread::get_id()) return std::nullopt;
      refused = true;
      return Error{Code::kUnavailable, "away"};
    };
    Kinds kinds;
    kinds.add(inline_kind("reports", [&](Attempt& a) -> Ending {
      a.progress(0.5);
      while (!refused) std::this_thread::yield();
      return Succeeded{};
    }));
    insert_one(store, new_job("reports"));
    RunningWorker worker(store, kinds);
    ASSERT_TRUE(store.await_ended(1));
    ASSERT_TRUE(store.await(&FaultyStore::Calls::rescues, store.calls().rescues + 3));  // the keeper goes on
  }
  EXPECT_NE(logged.text().find("the store does not answer"), std::string::npos);
  EXPECT_NE(logged.text().find("the store answers again"), std::string::npos) << logged.text();
}

TEST(WorkerInTrouble, WhoIsAskedToDrainInAnOutageStillSettlesWhatWasFinished) {
  LongOutage outage;
  outage.kinds.add(inline_kind("x", [&](Attempt&) -> Ending {
    outage.away = true;
    return Succeeded{};
  }));
  const Uuid id = insert_one(outage.store, new_job("x"));
  RunningWorker worker(outage.store, outage.kinds, LongOutage::options());
  outage.await_openings(1);
  worker->drain();
  outage.await_openings(3);
  outage.away = false;
  ASSERT_TRUE(worker.wait());
  EXPECT_EQ(outage.store.get(id)->state, State::kSucceeded);
}

TEST(WorkerInTrouble, TheOthersAreGivenTimeToReturnBeforeAnybodyIsRescued) {
  FaultyStore store;
  Kinds kinds;
  kinds.add(inline_kind("fine", [](Attempt&) -> Ending { return Succeeded{}; }));
  std::atomic<bool> away = false;
  std::atomic<int> exchanges = 0, rescues = 0;
  store.fault = [&](std::string_view call) -> std::optional<Error> {
    rescues += call == "rescue";
    if (!away || call != "exchange") return std::nullopt;
    ++exchanges;
    return Error{Code::kUnavailable, "away"};
  };
  RunningWorker worker(store, kinds);
  while (rescues < 3) std::this_thread::yield();  // many times a second
  away = true;
  while (exchanges < 2) std::this_thread::yield();
  const int before = rescues;
  while (exchanges < 5) std::this_thread::yield();
  away = false;
  insert_one(store, new_job("fine"));
  ASSERT_TRUE(store.await_ended(1));
  EXPECT_LE(rescues, before + 1) << "one may have been on its way";
}

TEST(WorkerInTrouble, SweepsAgainAndAgainAndIsToldToStopWithIt) {
  FaultyStore store;
  const Kinds kinds;
  int sweeps = 0;
  std::promise<void> third;
  WorkerOptions options = quick();
  options.sweep = [&](Store&, const std::function<bool()>& stop) -> Result<void> {
    if (++sweeps < 3) return {};
    third.set_value();
    while (!stop()) std::this_thread::yield();
    return fail(Code::kUnavailable, "the disk is away");
  };
  RunningWorker worker(store, kinds, options);
  third.get_future().wait();
  worker->drain();
  ASSERT_TRUE(worker.wait());
  EXPECT_EQ(sweeps, 3);
}

TEST(WorkerInTrouble, AWorkerThatDoesNotSweepForgetsNothing) {
  FaultyStore store;
  const Kinds kinds;
  ASSERT_TRUE(store.remove(insert_one(store, new_job("x"))));
  ASSERT_EQ(store.rescue(10).value(), 1);
  RunningWorker worker(store, kinds);
  worker->drain();
  ASSERT_TRUE(worker.wait());
  EXPECT_EQ(store.purged(10)->size(), 1u);
}

TEST(WorkerInTrouble, JobsOfADeadWorkerAreRescued) {
  FaultyStore store;
  Kinds kinds;
  kinds.add(inline_kind("x", [](Attempt&) -> Ending { return Succeeded{}; }));
  const Uuid id = insert_one(store, new_job("x"));
  const Session dead = *store.open_session({"elsewhere", 1, "0", 1, {}, 30s});
  ASSERT_EQ(store.exchange(dead, {}, ClaimRequest{1, 1, 1, {}, {}})->claimed.size(), 1u);
  store.shift_clock_for_tests(31s);
  RunningWorker worker(store, kinds);
  ASSERT_TRUE(store.await_ended(1));
  EXPECT_EQ(store.get(id)->rescues, 1);
}

}  // namespace
}  // namespace spool::test
