// What an owner may do to jobs: cancel, retry, remove.
#include <map>

#include "contract/store_contract.h"

namespace spool {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

NewJob child(std::string name) {
  return new_job("work", std::move(name));
}

TEST_P(StoreContract, WhatDoesNotRunIsCancelledAtOnce) {
  NewJob job = new_job("a");
  const Uuid available = insert(job);
  job.delay = seconds(60);
  const Uuid scheduled = insert(job);
  job.held = true;
  const Uuid held = insert(job);
  NewJob waiting = new_job("b");
  waiting.needs = {{scheduled, true}};
  const Uuid waits = insert(waiting);
  for (const Uuid& id : {available, waits, scheduled, held}) {
    must(store().cancel(id));
    EXPECT_EQ(state(id), State::kCancelled);
    must(store().cancel(id));
  }
  EXPECT_TRUE(claim().empty());
  EXPECT_EQ(code_of(store().cancel(Uuid::v7())), "not_found");
}

TEST_P(StoreContract, ARunningAttemptIsAskedToStopAndThenCancelled) {
  const Uuid id = insert(new_job("a"));
  const Claim claimed = claim_one();
  must(other().cancel(id));
  EXPECT_EQ(state(id), State::kRunning);
  EXPECT_TRUE(get(id).cancel_requested);
  EXPECT_EQ(must(store().renew(worker())).cancel, std::vector<Uuid>{id});
  const ProgressReport report{id, claimed.token, 0.5, nullptr, {}};
  EXPECT_TRUE(must(must(store().report(std::span(&report, 1))).at(0)));
  EXPECT_EQ(settle(claimed, Failed{broken("stopped")}), "ok");
  EXPECT_EQ(state(id), State::kCancelled);
  EXPECT_TRUE(must(store().renew(worker())).cancel.empty());
}

TEST_P(StoreContract, AfterACancelASuccessIsAcceptedAndNothingElse) {
  const std::vector<std::pair<Ending, State>> cases = {
      {Succeeded{}, State::kSucceeded},
      {FanOut{{child("x")}, "next", false}, State::kCancelled},
      {RetryLater{broken(), Duration(0)}, State::kCancelled},
      {Snooze{seconds(1)}, State::kCancelled},
      {Failed{broken()}, State::kCancelled},
      {Released{}, State::kCancelled},
  };
  for (const auto& [ending, end] : cases) {
    const Uuid id = insert(new_job("a"));
    const Claim claimed = claim_one();
    must(store().cancel(id));
    EXPECT_EQ(settle(claimed, ending), "ok");
    EXPECT_EQ(state(id), end) << "ending " << ending.index();
  }
  EXPECT_TRUE(claim().empty()) << "no child came of the fan-out";
}

TEST_P(StoreContract, ACancelledJobOfADeadWorkerEnds) {
  const Session mine = session(seconds(30));
  const Uuid id = insert(new_job("a"));
  must(store().exchange(mine, {}, slots(1)));
  must(store().cancel(id));
  pass(seconds(31));
  must(store().rescue());
  EXPECT_EQ(state(id), State::kCancelled);
}

TEST_P(StoreContract, CancellingATreeEndsTheParentLast) {
  const Uuid top = insert(new_job("film"));
  settle(claim_one(), FanOut{{child("runs"), child("queued")}, "assemble", false});
  const Claim runs = claim_one();
  must(store().cancel(top));
  EXPECT_EQ(state(top), State::kWaiting);
  EXPECT_TRUE(get(top).cancel_requested);
  EXPECT_TRUE(get(runs.job).cancel_requested);
  NewJob late = child("late");
  late.parent = top;
  EXPECT_EQ(insert_code(late), "conflict");
  EXPECT_EQ(settle(runs, Succeeded{}), "ok");
  EXPECT_EQ(state(runs.job), State::kSucceeded);
  EXPECT_EQ(state(top), State::kCancelled);
  EXPECT_TRUE(claim().empty());
}

TEST_P(StoreContract, ACancelledChildFailsItsParentByName) {
  const Uuid top = insert(new_job("film"));
  settle(claim_one(), FanOut{{child("one"), child("two")}, "assemble", false});
  const auto work = claim();
  must(store().cancel(work[0].job));
  settle(work[0], Released{});
  settle(work[1], Succeeded{});
  EXPECT_EQ(state(top), State::kFailed);
  EXPECT_NE(get(top).errors.at(0).error.message.find("one"), std::string::npos);
}

TEST_P(StoreContract, StartIsForLiveJobs) {
  const Uuid id = insert(new_job("a"));
  must(store().start(id));
  EXPECT_EQ(state(id), State::kAvailable);
  drain();
  EXPECT_EQ(code_of(store().start(id)), "conflict");
  EXPECT_EQ(code_of(store().start(Uuid::v7())), "not_found");
}

TEST_P(StoreContract, ARetryGivesAFailedJobFreshAttempts) {
  NewJob job = new_job("a");
  job.most_attempts = 1;
  const Uuid id = insert(job);
  Settlement s = settlement(claim_one(), RetryLater{broken(), Duration(0)});
  s.usage.cpu_seconds = 2;
  must(store().exchange(worker(), std::span(&s, 1), {}));
  EXPECT_EQ(state(id), State::kFailed);
  must(store().retry(id));
  EXPECT_EQ(state(id), State::kAvailable);
  EXPECT_EQ(get(id).attempts, 0);
  EXPECT_EQ(get(id).ended, std::nullopt);
  const Claim again = claim_one();
  EXPECT_EQ(again.attempt, 1);
  Settlement well = settlement(again, Succeeded{});
  well.usage.cpu_seconds = 3;
  must(store().exchange(worker(), std::span(&well, 1), {}));
  const Job read = get(id);
  EXPECT_EQ(read.state, State::kSucceeded);
  EXPECT_EQ(read.errors.size(), 1u) << "what went wrong stays known";
  EXPECT_EQ(read.usage.cpu_seconds, 5);
}

TEST_P(StoreContract, OnlyFailedAndCancelledJobsAreRetried) {
  const Uuid id = insert(new_job("a"));
  EXPECT_EQ(code_of(store().retry(id)), "conflict");
  const Claim claimed = claim_one();
  EXPECT_EQ(code_of(store().retry(id)), "conflict");
  settle(claimed, Succeeded{});
  EXPECT_EQ(code_of(store().retry(id)), "conflict");
  EXPECT_EQ(code_of(store().retry(Uuid::v7())), "not_found");
  const Uuid cancelled = insert(new_job("a"));
  must(store().cancel(cancelled));
  must(store().retry(cancelled));
  EXPECT_EQ(state(cancelled), State::kAvailable);
  EXPECT_FALSE(get(cancelled).cancel_requested);
}

TEST_P(StoreContract, RetryingAParentReopensWhatFailedBelowItAndKeepsTheRest) {
  const Uuid top = insert(new_job("film"));
  NewJob good = child("good");
  NewJob bad = child("bad");
  NewJob after = child("after");
  good.id = Uuid::v7();
  bad.id = Uuid::v7();
  after.id = Uuid::v7();
  after.needs = {{bad.id, false}, {good.id, false}};
  settle(claim_one(), FanOut{{good, bad, after}, "assemble", false});
  const auto work = claim();
  settle(work[0], Succeeded{{{"kept", true}}});
  settle(work[1], Failed{broken()});
  EXPECT_EQ(state(after.id), State::kFailed);
  EXPECT_EQ(state(top), State::kFailed);
  must(store().retry(top));
  EXPECT_EQ(state(top), State::kWaiting);
  EXPECT_EQ(get(top).phase, "assemble");
  EXPECT_EQ(state(good.id), State::kSucceeded);
  EXPECT_EQ(state(bad.id), State::kAvailable);
  EXPECT_EQ(state(after.id), State::kWaiting);
  const auto again = claim();
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].job, bad.id);
  settle(again[0], Succeeded{});
  settle(claim_one(), Succeeded{});
  const Claim assemble = claim_one();
  EXPECT_EQ(assemble.job, top);
  EXPECT_EQ(assemble.children.at(0).result, (Json{{"kept", true}}));
  settle(assemble, Succeeded{});
  EXPECT_EQ(state(top), State::kSucceeded);
}

TEST_P(StoreContract, RetryingAParentThatFailedItselfRepeatsOnlyItsPhase) {
  const Uuid top = insert(new_job("film"));
  settle(claim_one(), FanOut{{child("one")}, "assemble", false});
  settle(claim_one(), Succeeded{});
  settle(claim_one(), Failed{broken()});
  must(store().retry(top));
  const Claim again = claim_one();
  EXPECT_EQ(again.job, top);
  EXPECT_EQ(again.phase, "assemble");
  EXPECT_EQ(again.children.size(), 1u);
}

TEST_P(StoreContract, RetryingACancelledTreeRunsWhatWasLeft) {
  const Uuid top = insert(new_job("film"));
  settle(claim_one(), FanOut{{child("one"), child("two"), child("three")}, "assemble", false});
  settle(claim_one(), Succeeded{});
  must(store().cancel(top));
  EXPECT_EQ(state(top), State::kCancelled);
  must(store().retry(top));
  EXPECT_EQ(drain(), 3) << "two and three, and assemble";
  EXPECT_EQ(state(top), State::kSucceeded);
}

TEST_P(StoreContract, AFailedChildIsRetriedAloneWhileItsParentWaits) {
  const Uuid top = insert(new_job("film"));
  settle(claim_one(), FanOut{{child("one"), child("two")}, "assemble", false});
  const auto work = claim();
  settle(work[0], Failed{broken()});
  must(store().retry(work[0].job));
  settle(work[1], Succeeded{});
  EXPECT_EQ(state(top), State::kWaiting) << "it waits for the one that runs again";
  settle(claim_one(), Succeeded{});
  EXPECT_EQ(claim_one().phase, "assemble");
}

TEST_P(StoreContract, AChildOfAnEndedParentIsNotRetriedAlone) {
  insert(new_job("film"));
  settle(claim_one(), FanOut{{child("one")}, "assemble", false});
  const Claim work = claim_one();
  settle(work, Failed{broken()});
  EXPECT_EQ(code_of(store().retry(work.job)), "conflict");
  EXPECT_EQ(state(work.job), State::kFailed);
}

TEST_P(StoreContract, AJobWhoseNeedFailedIsNotRetriedAlone) {
  const Uuid a = insert(new_job("a"));
  NewJob b = new_job("b");
  b.needs = {{a, false}};
  const Uuid id = insert(b);
  settle(claim_one(), Failed{broken()});
  EXPECT_EQ(code_of(store().retry(id)), "conflict");
  must(store().retry(a));
  must(store().retry(id));
  EXPECT_EQ(state(id), State::kWaiting);
  EXPECT_EQ(drain(), 2);
}

TEST_P(StoreContract, ANeedThatRunsAgainWakesNobodyTwice) {
  const Uuid a = insert(new_job("a"));
  NewJob slow = new_job("slow");
  slow.delay = seconds(60);
  const Uuid other_need = insert(slow);
  NewJob b = new_job("b");
  b.needs = {{a, true}, {other_need, false}};
  const Uuid id = insert(b);
  settle(claim_one(), Failed{broken()});
  must(store().retry(a));
  settle(claim_one(), Failed{broken()});
  EXPECT_EQ(state(id), State::kWaiting) << "the other need is still open";
  pass(seconds(61));
  EXPECT_EQ(drain(), 2);
}

TEST_P(StoreContract, ARetryGivesAFreshDeadline) {
  NewJob job = new_job("film");
  job.deadline = seconds(100);
  const Uuid top = insert(job);
  settle(claim_one(), FanOut{{child("one")}, "assemble", false});
  pass(seconds(101));
  must(store().rescue());
  EXPECT_EQ(state(top), State::kFailed);
  must(store().retry(top));
  must(store().rescue());
  const Claim one = claim_one();
  EXPECT_GT(one.until_deadline.value(), seconds(90));
  settle(one, Succeeded{});
  pass(seconds(101));
  must(store().rescue());
  EXPECT_EQ(state(top), State::kFailed);
}

TEST_P(StoreContract, AUniqueKeyOfAJobThatIsBeingRemovedIsAConflictUntilItIsGone) {
  NewJob job = new_job("a");
  job.unique_key = "film";
  insert(job);
  const Claim running = claim_one();
  must(store().remove(running.job));
  const auto refused = insert_all({job})[0];
  ASSERT_EQ(code_of(refused), "conflict") << "what is hidden takes no new work";
  EXPECT_NE(refused.error().message.find("being removed"), std::string::npos) << refused.error().message;
  settle(running, Released{});
  const auto after = must(insert_all({job})[0]);
  EXPECT_FALSE(after.existed);
  EXPECT_EQ(state(after.id), State::kAvailable);
}

TEST_P(StoreContract, ARetryTakesItsUniqueKeyBackOrNotAtAll) {
  NewJob job = new_job("a");
  job.unique_key = "film";
  const Uuid first = insert(job);
  settle(claim_one(), Failed{broken()});
  const Uuid second = insert(job);
  EXPECT_EQ(code_of(store().retry(first)), "conflict");
  EXPECT_EQ(state(first), State::kFailed);
  EXPECT_EQ(drain(), 1);
  EXPECT_EQ(state(second), State::kSucceeded);
  must(store().retry(first));
  EXPECT_EQ(insert(job), first);
}

TEST_P(StoreContract, ARemovedJobIsNotSeenAnyMore) {
  const Uuid id = insert(new_job("a"));
  must(store().remove(id));
  EXPECT_EQ(code_of(store().get(id)), "not_found");
  EXPECT_TRUE(must(store().list({})).empty());
  EXPECT_TRUE(claim().empty());
  must(store().remove(id));
  must(store().remove(Uuid::v7()));
  for (const auto& result : {store().cancel(id), store().retry(id), store().start(id)})
    EXPECT_EQ(code_of(result), "not_found");
}

TEST_P(StoreContract, ARemovedTreeIsPurgedWhenItsLastAttemptIsGone) {
  NewJob root = new_job("film");
  root.id = Uuid::from_digest_of("film");
  insert(root);
  settle(claim_one(), FanOut{{child("runs"), child("queued")}, "assemble", false});
  const Claim runs = claim_one();
  must(store().remove(root.id));
  EXPECT_EQ(code_of(store().get(runs.job)), "not_found");
  EXPECT_EQ(must(store().renew(worker())).cancel, std::vector<Uuid>{runs.job});
  must(store().rescue());
  EXPECT_EQ(insert_code(root), "conflict") << "its attempt still runs";
  EXPECT_EQ(settle(runs, Succeeded{}), "ok");
  EXPECT_EQ(must(store().rescue()), 3);
  EXPECT_EQ(insert_code(root), "conflict") << "its objects may still be there";
  const std::vector<Uuid> gone = {root.id};
  must(store().forget_purged(gone));
  EXPECT_EQ(insert_code(root), "ok");
  EXPECT_TRUE(must(store().list({})).at(0).state == State::kAvailable);
}

TEST_P(StoreContract, ARemovedChildIsNoLongerCounted) {
  const Uuid top = insert(new_job("film"));
  settle(claim_one(), FanOut{{child("one"), child("two")}, "assemble", false});
  const auto work = claim();
  must(store().remove(work[0].job));
  settle(work[0], Failed{broken()});
  settle(work[1], Succeeded{});
  const Claim assemble = claim_one();
  EXPECT_EQ(assemble.job, top);
  EXPECT_EQ(assemble.children.size(), 1u);
}

TEST_P(StoreContract, RemovingAnEndedTreeForgetsItAll) {
  const Uuid top = insert(new_job("film"));
  settle(claim_one(), FanOut{{child("one")}, "assemble", false});
  drain();
  must(store().remove(top));
  EXPECT_EQ(must(store().rescue()), 2);
  EXPECT_TRUE(must(store().outcomes_since(0, 100)).empty());
  EXPECT_TRUE(must(store().counts()).empty());
}

TEST_P(StoreContract, ALargeRemovedTreeGoesPieceByPieceAndIsNeverSeenInPart) {
  NewJob root = new_job("film");
  root.id = Uuid::from_digest_of("film");
  insert(root);
  settle(claim_one(), FanOut{std::vector<NewJob>(24, child("part")), "assemble", false});
  drain();
  must(store().remove(root.id));
  EXPECT_EQ(must(store().rescue(10)), 10);
  EXPECT_TRUE(must(store().list({})).empty());
  EXPECT_EQ(insert_code(root), "conflict") << "a part of it is left";
  EXPECT_EQ(must(store().rescue(10)), 10);
  EXPECT_EQ(must(store().rescue(10)), 5);
  EXPECT_EQ(must(store().rescue(10)), 0);
  EXPECT_TRUE(must(store().outcomes_since(0, 100)).empty());
}

TEST_P(StoreContract, PurgedJobsAreKnownUntilTheirObjectsAreGone) {
  const Uuid removed = insert(new_job("film", "removed"));
  settle(claim_one(), FanOut{{child("part")}, "assemble", false});
  const Uuid part = claim_one().job;
  must(store().close_session(worker()));
  must(store().remove(removed));
  EXPECT_TRUE(must(store().purged(10)).empty()) << "their rows are still there";
  EXPECT_EQ(must(store().rescue()), 2);
  reopen();
  const auto all = must(store().purged(10));
  ASSERT_EQ(all.size(), 2u);
  std::map<Uuid, std::string> names;
  for (const PurgedJob& job : all) {
    EXPECT_EQ(job.root, removed);
    EXPECT_TRUE(job.with_outputs);
    names[job.id] = job.name;
  }
  EXPECT_EQ(names, (std::map<Uuid, std::string>{{removed, "removed"}, {part, "part"}}));
  EXPECT_EQ(must(store().purged(1)).size(), 1u);
  const std::vector<Uuid> gone = {part, Uuid::v7()};
  must(other().forget_purged(gone));
  ASSERT_EQ(must(store().purged(10)).size(), 1u);
  EXPECT_EQ(must(store().purged(10))[0].id, removed);
}

TEST_P(StoreContract, OfWhatIsPrunedThePublishedOutputsStay) {
  const Uuid old = insert(new_job("film"));
  drain();
  pass(std::chrono::hours(2));
  EXPECT_EQ(prune(std::chrono::hours(1), 10), 1);
  const auto pruned = must(store().purged(10));
  ASSERT_EQ(pruned.size(), 1u);
  EXPECT_EQ(pruned[0].id, old);
  EXPECT_FALSE(pruned[0].with_outputs);
}

TEST_P(StoreContract, SequenceNumbersOfOutcomesAreNotUsedTwice) {
  const Uuid id = insert(new_job("a"));
  drain();
  const auto last = must(store().outcomes_since(0, 10)).back().sequence;
  must(store().remove(id));
  must(store().rescue());
  reopen();
  insert(new_job("b"));
  const Session again = session(hours(1));
  const Claim claimed = must(store().exchange(again, {}, slots(1))).claimed.at(0);
  settle(claimed, Succeeded{});
  EXPECT_GT(must(store().outcomes_since(0, 10)).at(0).sequence, last);
}

}  // namespace
}  // namespace spool
