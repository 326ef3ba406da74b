#include "queue/worker.h"

#include <gtest/gtest.h>

#include <atomic>

#include "worker/worker_fixture.h"

namespace spool::test {
namespace {

TEST(Worker, AJobRunsAndItsResultIsStored) {
  FaultyStore store;
  Kinds kinds;
  kinds.add(inline_kind("double",
                        [](Attempt& a) -> Ending { return Succeeded{2 * a.claim().args["n"].get<int>()}; }));
  NewJob job = new_job("double");
  job.args["n"] = 21;
  const Uuid id = insert_one(store, job);
  RunningWorker worker(store, kinds);
  ASSERT_TRUE(store.await_ended(1));
  EXPECT_EQ(store.get(id)->result, Json(42));
}

TEST(Worker, ItClaimsNoMoreThanItHasFreeSlotsFor) {
  FaultyStore store;
  Kinds kinds;
  std::atomic<int> running = 0, most = 0;
  kinds.add(inline_kind("busy", [&](Attempt& a) -> Ending {
    const int now = running += a.claim().slots;
    int seen = most;
    while (now > seen && !most.compare_exchange_weak(seen, now)) {
    }
    std::this_thread::yield();
    running -= a.claim().slots;
    return Succeeded{};
  }));
  std::vector<NewJob> jobs(300, new_job("busy"));
  for (std::size_t i = 0; i < jobs.size(); i += 3) jobs[i].slots = 2;
  ASSERT_TRUE(store.insert(jobs));
  RunningWorker worker(store, kinds, quick(3));
  ASSERT_TRUE(store.await_ended(300));
  EXPECT_LE(most, 3);
  // With two exchanges on their way the store may hear of a claim before it hears of an end.
  EXPECT_LE(store.most_slots(), 3 * store.exchanges_at_once());
}

TEST(Worker, AnExceptionIsAFailedAttemptAndNotTheEndOfTheWorker) {
  FaultyStore store;
  Kinds kinds;
  kinds.add(inline_kind("throws", [](Attempt& a) -> Ending {
    a.log("about to throw");
    if (a.claim().attempt == 1) throw std::runtime_error("oh no");
    if (a.claim().attempt == 2) throw 7;
    return Succeeded{};
  }));
  const Uuid id = insert_one(store, new_job("throws"));
  RunningWorker worker(store, kinds);
  ASSERT_TRUE(store.await_ended(1));
  const Job job = *store.get(id);
  EXPECT_EQ(job.state, State::kSucceeded);
  ASSERT_EQ(job.errors.size(), 2u);
  EXPECT_EQ(job.errors[0].error.message, "'throws' threw an exception: oh no");
  EXPECT_EQ(job.errors[0].log_tail, "about to throw\n");
  EXPECT_EQ(job.errors[1].error.message, "'throws' threw something that is no exception");
}

TEST(Worker, AFanOutRunsItsChildrenAndThenTheNextPhase) {
  FaultyStore store;
  Kinds kinds;
  Kind parent = inline_kind("sum", [](Attempt& a) -> Ending {
    if (a.claim().phase.empty()) {
      FanOut out{std::vector<NewJob>(3, new_job("one")), "add"};
      return out;
    }
    int sum = 0;
    for (const ChildResult& child : a.claim().children) sum += child.result.get<int>();
    return Succeeded{sum};
  });
  parent.fan_out = {{"one"}, 3};
  kinds.add(parent);
  kinds.add(inline_kind("one", [](Attempt&) -> Ending { return Succeeded{1}; }));
  const Uuid id = insert_one(store, new_job("sum"));
  RunningWorker worker(store, kinds);
  ASSERT_TRUE(store.await_ended(4));
  EXPECT_EQ(store.get(id)->result, Json(3));
}

TEST(Worker, AFanOutAgainstTheRuleFailsTheJob) {
  FaultyStore store;
  Kinds kinds;
  Kind parent = inline_kind("greedy", [](Attempt&) -> Ending { return FanOut{{new_job("exec")}, "x"}; });
  parent.fan_out = {{"greedy"}, 10};
  kinds.add(parent);
  kinds.add(inline_kind("exec", [](Attempt&) -> Ending { return Succeeded{}; }));
  const Uuid id = insert_one(store, new_job("greedy"));
  RunningWorker worker(store, kinds);
  ASSERT_TRUE(store.await_ended(1));
  ASSERT_EQ(store.get(id)->state, State::kFailed);
  EXPECT_EQ(store.get(id)->errors[0].error.message, "'greedy' may not fan out to 'exec'");
}

TEST(Worker, AResultThatCannotBeStoredFailsItsJobAlone) {
  FaultyStore store;
  Kinds kinds;
  kinds.add(
      inline_kind("large", [](Attempt&) -> Ending { return Succeeded{std::string(kMostResultBytes, 'x')}; }));
  const Uuid id = insert_one(store, new_job("large"));
  RunningWorker worker(store, kinds);
  ASSERT_TRUE(store.await_ended(1));
  EXPECT_EQ(store.get(id)->state, State::kFailed);
  EXPECT_EQ(store.get(id)->errors[0].error.code, Code::kLimitExceeded);
}

TEST(Worker, AnUnknownKindIsPutOffAndChargesNothing) {
  FaultyStore store;
  Kinds kinds;
  kinds.add(inline_kind("known", [](Attempt&) -> Ending { return Succeeded{}; }));
  const Uuid unknown = insert_one(store, new_job("from the future"));
  insert_one(store, new_job("known"));
  RunningWorker worker(store, kinds);
  ASSERT_TRUE(store.await_ended(1));
  worker->drain();
  ASSERT_TRUE(worker.wait());
  EXPECT_EQ(store.get(unknown)->state, State::kScheduled);
  EXPECT_EQ(store.get(unknown)->attempts, 0);
}

TEST(Worker, AKindWithoutAnExecutorHereIsPutOffAndChargesNothing) {
  FaultyStore store;
  Kinds kinds;
  kinds.add(inline_kind("known", [](Attempt&) -> Ending { return Succeeded{}; }));
  Kind kind = inline_kind("media", [](Attempt&) -> Ending { return Succeeded{}; });
  kind.placement = Placement::kProcess;
  kinds.add(kind);
  const Uuid media = insert_one(store, new_job("media"));
  insert_one(store, new_job("known"));
  RunningWorker worker(store, kinds);
  ASSERT_TRUE(store.await_ended(1));
  worker->drain();
  ASSERT_TRUE(worker.wait());
  EXPECT_EQ(store.get(media)->state, State::kScheduled);
  EXPECT_EQ(store.get(media)->attempts, 0);
}

TEST(Worker, ItSaysWhichJobsItMayClaimAndWhichItCanRun) {
  FaultyStore store;
  Kinds kinds;
  kinds.add(inline_kind("here", [](Attempt&) -> Ending { return Succeeded{}; }));
  Kind elsewhere = inline_kind("elsewhere", [](Attempt&) -> Ending { return Succeeded{}; });
  elsewhere.placement = Placement::kProcess;
  kinds.add(elsewhere);
  WorkerOptions options = quick(2);
  options.queues = {"night"};
  options.tags = {"gpu", "big"};
  RunningWorker worker(store, kinds, options);
  Job job;
  job.kind = "here";
  job.queue = "night";
  job.tags = {"big"};
  job.slots = 2;
  EXPECT_TRUE(worker->may_claim(job));
  EXPECT_TRUE(worker->can_run(job));
  Job other = job;
  other.queue = "day";
  EXPECT_FALSE(worker->may_claim(other));
  other = job;
  other.tags = {"big", "licence"};
  EXPECT_FALSE(worker->may_claim(other));
  other = job;
  other.slots = 3;
  EXPECT_FALSE(worker->may_claim(other));
  for (const char* kind : {"elsewhere", "unknown"}) {
    other.kind = kind;
    EXPECT_FALSE(worker->can_run(other)) << kind;
  }
}

TEST(Worker, DrainingLetsFinishWhatRunsAndClaimsNoMore) {
  FaultyStore store;
  Kinds kinds;
  Gate gate;
  kinds.add(inline_kind("wait", [&](Attempt&) -> Ending {
    gate.wait_inside();
    return Succeeded{};
  }));
  const Uuid first = insert_one(store, new_job("wait"));
  RunningWorker worker(store, kinds, quick(1));
  gate.await_entered();
  const Uuid second = insert_one(store, new_job("wait"));
  worker->drain();
  gate.open();
  ASSERT_TRUE(worker.wait());
  EXPECT_EQ(store.get(first)->state, State::kSucceeded);
  EXPECT_EQ(store.get(second)->state, State::kAvailable);
  EXPECT_EQ(store.calls().closed, 1);
}

TEST(Worker, AskedToDrainThroughItsStoreItDoes) {
  FaultyStore store;
  Kinds kinds;
  Gate gate;
  kinds.add(inline_kind("wait", [&](Attempt&) -> Ending {
    gate.wait_inside();
    return Succeeded{};
  }));
  const Uuid first = insert_one(store, new_job("wait"));
  WorkerOptions options = quick(1);
  options.lease = 1s;
  RunningWorker worker(store, kinds, options);
  gate.await_entered();
  const Uuid second = insert_one(store, new_job("wait"));
  ASSERT_TRUE(store.drain(store.sessions()->at(0).session));
  ASSERT_TRUE(store.await_drains(2)) << "the second comes when the first is known";
  gate.open();
  ASSERT_TRUE(worker.wait());
  EXPECT_EQ(store.get(first)->state, State::kSucceeded);
  EXPECT_EQ(store.get(second)->state, State::kAvailable);
  EXPECT_EQ(store.calls().closed, 1);
}

TEST(Worker, StoppingInterruptsWhatRunsWaitsForWhenItHasBeenAskedToStop) {
  FaultyStore store;
  Kinds kinds;
  Gate gate;
  kinds.add(inline_kind("wait", [&](Attempt& a) -> Ending {
    gate.wait_inside();
    EXPECT_TRUE(a.stop_token().stop_requested());
    return Failed{{Code::kCancelled, "interrupted"}};
  }));
  const Uuid id = insert_one(store, new_job("wait"));
  WorkerOptions options = quick();
  options.interrupt = [&] { gate.open(); };
  RunningWorker worker(store, kinds, options);
  gate.await_entered();
  worker->drain();
  worker->stop();
  ASSERT_TRUE(worker.wait());
  EXPECT_EQ(store.get(id)->state, State::kAvailable);
  EXPECT_EQ(store.get(id)->attempts, 0);
}

TEST(Worker, StoppingAsksWhatRunsAndReleasesItUncharged) {
  FaultyStore store;
  Kinds kinds;
  Gate gate;
  gate.open();
  kinds.add(inline_kind("wait", [&](Attempt& a) -> Ending {
    gate.wait_inside();
    await_stop(a);
    return Failed{{Code::kInternal, "whatever"}};
  }));
  const Uuid id = insert_one(store, new_job("wait"));
  RunningWorker worker(store, kinds);
  gate.await_entered();
  worker->stop();
  ASSERT_TRUE(worker.wait());
  EXPECT_EQ(store.get(id)->state, State::kAvailable);
  EXPECT_EQ(store.get(id)->attempts, 0);
  EXPECT_TRUE(store.get(id)->errors.empty());
}

TEST(Worker, AHandlerThatDoesNotListenIsLeftBehindAndItsJobReleased) {
  FaultyStore store;
  Kinds kinds;
  Gate gate;
  kinds.add(inline_kind("deaf", [&](Attempt&) -> Ending {
    gate.wait_inside();
    return Succeeded{};
  }));
  const Uuid id = insert_one(store, new_job("deaf"));
  WorkerOptions options = quick();
  options.grace = -5s + 50ms;  // with the last patience on top
  RunningWorker worker(store, kinds, options);
  gate.await_entered();
  worker->stop();
  ASSERT_TRUE(worker.wait());
  EXPECT_EQ(store.get(id)->state, State::kAvailable);
  EXPECT_EQ(store.get(id)->rescues, 0) << "an orderly end charges nothing";
  gate.open();
}

TEST(Worker, ItRunsUntilItIsToldThatItIsEnough) {
  FaultyStore store;
  Kinds kinds;
  kinds.add(inline_kind("tick", [](Attempt&) -> Ending { return Succeeded{}; }));
  Worker worker(store, kinds, quick());
  InlineExecutor executor(worker.events(), nullptr);
  worker.use(Placement::kInline, executor);
  for (int round = 0; round < 2; ++round) {
    const Uuid id = insert_one(store, new_job("tick"));
    ASSERT_TRUE(worker.run([&] { return ended(store.get(id)->state); }));
  }
  EXPECT_EQ(store.calls().closed, 2);
}

TEST(Worker, AnAttemptPastItsTimeoutIsStoppedAndTriedAgain) {
  FaultyStore store;
  Kinds kinds;
  kinds.add(inline_kind("slow", [](Attempt& a) -> Ending {
    if (a.claim().attempt > 1) return Succeeded{};
    await_stop(a);
    return Succeeded{};  // finished all the same: it counts
  }));
  kinds.add(inline_kind("slower", [](Attempt& a) -> Ending {
    await_stop(a);
    return Failed{{Code::kInternal, "whatever"}};
  }));
  NewJob slow = new_job("slow"), slower = new_job("slower");
  slow.timeout = slower.timeout = 20ms;
  slower.most_attempts = 2;
  const Uuid one = insert_one(store, slow), two = insert_one(store, slower);
  RunningWorker worker(store, kinds);
  ASSERT_TRUE(store.await_ended(2));
  EXPECT_EQ(store.get(one)->state, State::kSucceeded);
  EXPECT_EQ(store.get(one)->attempts, 1);
  EXPECT_EQ(store.get(two)->state, State::kFailed);
  ASSERT_EQ(store.get(two)->errors.size(), 2u);
  EXPECT_EQ(store.get(two)->errors[0].error.code, Code::kTimeout);
}

TEST(Worker, AKindsOwnTimeoutCountsWhereTheJobHasNone) {
  FaultyStore store;
  Kinds kinds;
  Kind kind = inline_kind("slow", [](Attempt& a) -> Ending {
    await_stop(a);
    return Failed{{Code::kInternal, ""}};
  });
  kind.timeout = 20ms;
  kinds.add(kind);
  NewJob job = new_job("slow");
  job.most_attempts = 1;
  const Uuid id = insert_one(store, job);
  RunningWorker worker(store, kinds);
  ASSERT_TRUE(store.await_ended(1));
  EXPECT_EQ(store.get(id)->errors[0].error.message, "ran longer than its timeout");
}

TEST(Worker, ADeadlineFarAwayDoesNotStretchAKindsTimeout) {
  FaultyStore store;
  Kinds kinds;
  Kind kind = inline_kind("hangs", [](Attempt& a) -> Ending {
    await_stop(a);
    return Failed{{Code::kInternal, ""}};
  });
  kind.timeout = 20ms;
  kinds.add(kind);
  NewJob job = new_job("hangs");
  job.most_attempts = 1;
  job.deadline = 48h;
  const Uuid id = insert_one(store, job);
  RunningWorker worker(store, kinds);
  ASSERT_TRUE(store.await_ended(1));
  EXPECT_EQ(store.get(id)->errors[0].error.message, "ran longer than its timeout");
}

TEST(Worker, ACancelledAttemptLearnsItFromItsNextReport) {
  FaultyStore store;
  Kinds kinds;
  kinds.add(inline_kind("talks", [&](Attempt& a) -> Ending {
    EXPECT_TRUE(store.cancel(a.claim().job));
    EXPECT_TRUE(a.checkpoint({{"at", 1}}));
    await_stop(a);
    return RetryLater{{Code::kInternal, "whatever"}, {}};
  }));
  const Uuid id = insert_one(store, new_job("talks"));
  RunningWorker worker(store, kinds);  // its lease is long: no renewal comes first
  ASSERT_TRUE(store.await_ended(1));
  EXPECT_EQ(store.get(id)->state, State::kCancelled);
}

TEST(Worker, ASilentCancelledAttemptLearnsItFromTheRenewal) {
  FaultyStore store;
  Kinds kinds;
  kinds.add(inline_kind("silent", [&](Attempt& a) -> Ending {
    EXPECT_TRUE(store.cancel(a.claim().job));
    await_stop(a);
    return Succeeded{};
  }));
  insert_one(store, new_job("silent"));
  WorkerOptions options = quick();
  options.lease = 300ms;
  RunningWorker worker(store, kinds, options);
  ASSERT_TRUE(store.await_ended(1));
}

TEST(Worker, WhatAJobSaidLastIsStoredBeforeItsEnding) {
  FaultyStore store;
  Kinds kinds;
  kinds.add(inline_kind("talks", [](Attempt& a) -> Ending {
    if (a.claim().attempt == 2) return Succeeded{a.claim().checkpoint};
    for (int i = 0; i <= 100; ++i) a.progress(0.005 * i, {{"frames", i}});
    EXPECT_TRUE(a.checkpoint({{"at", 100}}));
    EXPECT_TRUE(a.checkpoint({{"at", 101}}));
    a.progress(0.6, {{"frames", 120}});
    return RetryLater{{Code::kUnavailable, "again"}, {}};
  }));
  const Uuid id = insert_one(store, new_job("talks"));
  WorkerOptions options = quick();
  options.report = 1h;
  RunningWorker worker(store, kinds, options);
  ASSERT_TRUE(store.await_ended(1));
  EXPECT_EQ(store.get(id)->result, (Json{{"at", 101}}));
  EXPECT_EQ(store.get(id)->progress_detail, (Json{{"frames", 120}}));
  EXPECT_LE(store.calls().reports, 3);
}

TEST(Worker, ACheckpointThatIsTooLargeIsRefusedAtOnce) {
  FaultyStore store;
  Kinds kinds;
  kinds.add(inline_kind("hoards", [](Attempt& a) -> Ending {
    const auto kept = a.checkpoint(std::string(kMostCheckpointBytes, 'x'));
    return kept ? Ending(Succeeded{}) : Ending(Failed{kept.error()});
  }));
  const Uuid id = insert_one(store, new_job("hoards"));
  RunningWorker worker(store, kinds);
  ASSERT_TRUE(store.await_ended(1));
  EXPECT_EQ(store.get(id)->errors[0].error.code, Code::kLimitExceeded);
}

TEST(Worker, FollowUpsComeAfterCommitsAndAreCoalescedPerParent) {
  FaultyStore store;
  Kinds kinds;
  Kind parent = inline_kind("film", [](Attempt& a) -> Ending {
    if (!a.claim().phase.empty()) return Succeeded{};
    return FanOut{std::vector<NewJob>(50, new_job("chunk")), "join"};
  });
  parent.fan_out = {{"chunk"}, 50};
  kinds.add(parent);
  Gate gate;
  std::atomic<int> calls = 0;
  std::atomic<bool> committed = true;
  Kind chunk = inline_kind("chunk", [](Attempt&) -> Ending { return Succeeded{}; });
  chunk.follow_up = [&](Store& s, const Claim& claim) {
    if (!ended(s.get(claim.job)->state)) committed = false;
    ++calls;
    gate.wait_inside();
    throw std::runtime_error("of no consequence");
  };
  kinds.add(chunk);
  insert_one(store, new_job("film"));
  RunningWorker worker(store, kinds);
  ASSERT_TRUE(store.await_ended(51));
  gate.open();
  worker->drain();
  ASSERT_TRUE(worker.wait());
  EXPECT_TRUE(committed);
  // One that was held, and one for all that came meanwhile; all in one when it began after the last commit.
  EXPECT_GE(calls, 1);
  EXPECT_LE(calls, 2);
}

TEST(Worker, ACommittedCheckpointIsFollowedUpWhileTheAttemptStillRuns) {
  FaultyStore store;
  Kinds kinds;
  Gate gate;
  std::promise<Json> seen;
  Kind kind = inline_kind("grows", [&](Attempt& a) -> Ending {
    EXPECT_TRUE(a.checkpoint({{"segments", 1}}));
    gate.wait_inside();
    return Succeeded{};
  });
  std::atomic<bool> first = true;
  kind.follow_up = [&](Store& s, const Claim& claim) {
    if (first.exchange(false)) seen.set_value(s.get(claim.job)->checkpoint);
  };
  kinds.add(kind);
  insert_one(store, new_job("grows"));
  RunningWorker worker(store, kinds);
  EXPECT_EQ(seen.get_future().get(), (Json{{"segments", 1}}));
  gate.open();
  ASSERT_TRUE(store.await_ended(1));
}

TEST(Worker, AHandlerThatBlocksDoesNotHoldUpTheOthers) {
  FaultyStore store;
  Kinds kinds;
  Gate gate;
  kinds.add(inline_kind("blocks", [&](Attempt&) -> Ending {
    gate.wait_inside();
    return Succeeded{};
  }));
  kinds.add(inline_kind("quick", [](Attempt&) -> Ending { return Succeeded{}; }));
  ASSERT_TRUE(store.insert(std::vector<NewJob>(10, new_job("blocks"))));
  ASSERT_TRUE(store.insert(std::vector<NewJob>(100, new_job("quick"))));
  RunningWorker worker(store, kinds, quick(12));
  ASSERT_TRUE(store.await_ended(100));
  gate.open();
  ASSERT_TRUE(store.await_ended(110));
}

TEST(Worker, AQuietFleetIsNotLookedAfterBeforeARenewalSaysSo) {
  using Calls = FaultyStore::Calls;
  FaultyStore store;
  store.quiet = true;
  std::counting_semaphore<> sweeps{0};
  WorkerOptions options = quick();
  options.lease = 300ms;
  options.poll = 1ms;
  options.sweep = [&](Store&, const std::function<bool()>&) -> Result<void> {
    sweeps.release();
    return {};
  };
  Kinds kinds;
  RunningWorker worker(store, kinds, options);
  ASSERT_TRUE(store.await(&Calls::renewals, 3));  // what was due when the first one said so has been done
  const Calls before = store.calls();
  ASSERT_TRUE(store.await(&Calls::renewals, before.renewals + 3));
  EXPECT_EQ(store.calls().rescues, before.rescues);
  EXPECT_EQ(store.calls().schedules, before.schedules);

  while (sweeps.try_acquire()) {
  }
  store.quiet = false;
  EXPECT_TRUE(store.await(&Calls::rescues, before.rescues + 1)) << "at once, and now and then";
  EXPECT_TRUE(store.await(&Calls::schedules, before.schedules + 1));
  EXPECT_TRUE(sweeps.try_acquire_for(30s));
}

}  // namespace
}  // namespace spool::test
