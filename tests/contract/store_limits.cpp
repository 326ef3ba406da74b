// Limits of queues and keys: how many run at once, how many start in a period. See queue/limit.h.
#include <fmt/format.h>

#include <atomic>
#include <thread>

#include "contract/store_contract.h"

namespace spool {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

NewJob keyed(const std::string& key, int priority = 0) {
  NewJob job = new_job("a");
  job.limit_key = key;
  job.priority = priority;
  return job;
}

NewJob queued(const std::string& queue, const std::string& key = "") {
  NewJob job = keyed(key);
  job.queue = queue;
  return job;
}

Limit at_once(LimitScope scope, std::string name, int concurrency) {
  return {scope, std::move(name), concurrency, {}};
}
Limit at_once(std::string key, int concurrency) {
  return at_once(LimitScope::kKey, std::move(key), concurrency);
}
Limit per_minute(std::string key, int count, int burst = 1) {
  return {LimitScope::kKey, std::move(key), {}, Rate{count, minutes(1), burst}};
}

TEST_P(StoreContract, NoMoreJobsOfAKeyRunAtOnceThanItsLimit) {
  must(store().set_limit(at_once("ada", 2)));
  std::vector<Uuid> ids;
  for (int i = 0; i < 4; ++i) ids.push_back(insert(keyed("ada")));
  const Uuid other_key = insert(keyed("bob"));
  const Uuid no_key = insert(new_job("a"));
  const auto first = claim();
  ASSERT_EQ(first.size(), 4u);
  EXPECT_EQ(first[0].job, ids[0]);
  EXPECT_EQ(first[1].job, ids[1]);
  EXPECT_EQ(first[2].job, other_key);
  EXPECT_EQ(first[3].job, no_key);
  EXPECT_TRUE(claim().empty());
  settle(first[0], Succeeded{});
  const auto second = claim();
  ASSERT_EQ(second.size(), 1u);
  EXPECT_EQ(second[0].job, ids[2]);
}

TEST_P(StoreContract, AJobOverALimitWaitsAndSaysSo) {
  must(store().set_limit(at_once("ada", 1)));
  const Uuid first = insert(keyed("ada")), second = insert(keyed("ada"));
  EXPECT_EQ(get(first).limit_key, "ada");
  EXPECT_EQ(state(first), State::kAvailable);
  EXPECT_FALSE(get(first).limited);
  EXPECT_EQ(state(second), State::kWaiting);
  EXPECT_TRUE(get(second).limited);
  const QueueCounts counts = must(other().counts()).at(0);
  EXPECT_EQ(counts.counts[static_cast<int>(State::kAvailable)], 1);
  EXPECT_EQ(counts.counts[static_cast<int>(State::kWaiting)], 1);
  EXPECT_EQ(counts.limited, 1);
}

TEST_P(StoreContract, ALimitOfAQueueIsTheSameForAllItsJobs) {
  must(store().set_limit(at_once(LimitScope::kQueue, "night", 2)));
  NewJob wide = queued("night");
  wide.slots = 2;
  insert(queued("night"));
  insert(wide);
  insert(queued("night", "ada"));
  insert(queued("day"));
  EXPECT_EQ(claim().size(), 3u);
  EXPECT_TRUE(claim().empty());
}

TEST_P(StoreContract, APlaceComesBackHoweverAnAttemptEnds) {
  must(store().set_limit(at_once("ada", 1)));
  for (int i = 0; i < 6; ++i) insert(keyed("ada"));
  const std::vector<Ending> endings = {Succeeded{}, Failed{broken()}, RetryLater{broken(), hours(1)},
                                       Snooze{hours(1)}, FanOut{{new_job("work")}, "x", false}};
  for (const Ending& ending : endings) {
    const auto claimed = claim();
    ASSERT_EQ(claimed.size(), 1u) << ending.index();
    EXPECT_EQ(settle(claimed[0], ending), "ok");
  }
  EXPECT_EQ(claim().size(), 1u);
  EXPECT_TRUE(claim().empty()) << "the child of the fan-out has its parent's key";
}

TEST_P(StoreContract, AReleasedJobIsTheFirstToGetItsPlaceAgain) {
  must(store().set_limit(at_once("ada", 1)));
  const Uuid first = insert(keyed("ada"));
  insert(keyed("ada"));
  settle(claim_one(), Released{});
  EXPECT_EQ(state(first), State::kAvailable);
  EXPECT_EQ(claim_one().job, first);
  EXPECT_TRUE(claim().empty());
}

TEST_P(StoreContract, ADeadWorkersPlacesComeBack) {
  must(store().set_limit(at_once("ada", 2)));
  for (int i = 0; i < 3; ++i) insert(keyed("ada"));
  const Session mine = session(seconds(30));
  EXPECT_EQ(must(store().exchange(mine, {}, slots(10))).claimed.size(), 2u);
  pass(seconds(31));
  must(other().rescue());
  EXPECT_EQ(claim().size(), 2u);
  EXPECT_TRUE(claim().empty());
  EXPECT_EQ(must(store().limits()).at(0).taken, 2);
}

TEST_P(StoreContract, AClosedSessionsPlacesComeBack) {
  must(store().set_limit(at_once("ada", 1)));
  insert(keyed("ada"));
  const Session mine = session();
  EXPECT_EQ(must(store().exchange(mine, {}, slots(10))).claimed.size(), 1u);
  must(other().close_session(mine));
  EXPECT_EQ(claim().size(), 1u);
}

TEST_P(StoreContract, CancellingWhatHoldsAPlaceOrWaitsForOneLetsTheNextGoOn) {
  must(store().set_limit(at_once("ada", 1)));
  std::vector<Uuid> ids;
  for (int i = 0; i < 4; ++i) ids.push_back(insert(keyed("ada")));
  must(store().cancel(ids[1]));
  EXPECT_EQ(state(ids[1]), State::kCancelled);
  must(store().cancel(ids[0]));
  EXPECT_EQ(state(ids[2]), State::kAvailable);
  must(store().remove(ids[2]));
  EXPECT_EQ(claim_one().job, ids[3]);
  must(store().cancel(ids[3]));
  EXPECT_TRUE(claim().empty());
  EXPECT_EQ(must(store().limits()).at(0).taken, 1) << "it still runs";
}

TEST_P(StoreContract, PlacesAreGivenInTheOrderOfRank) {
  must(store().set_limit(at_once("ada", 1)));
  insert(keyed("ada"));
  const Claim running = claim_one();
  const Uuid usual = insert(keyed("ada"));
  const Uuid urgent = insert(keyed("ada", 1));
  settle(running, Succeeded{});
  EXPECT_EQ(claim_one().job, urgent);
  EXPECT_EQ(state(usual), State::kWaiting);
}

TEST_P(StoreContract, AJobWaitsForAllItsLimitsAndHoldsNoneMeanwhile) {
  must(store().set_limit(at_once(LimitScope::kQueue, "night", 2)));
  must(store().set_limit(at_once("ada", 1)));
  const Uuid one = insert(queued("night", "ada"));
  const Uuid two = insert(queued("night", "ada"));
  const Uuid three = insert(queued("night", "bob"));
  const Uuid four = insert(queued("night", "bob"));
  const Uuid five = insert(queued("day", "ada"));
  EXPECT_EQ(state(one), State::kAvailable);
  EXPECT_EQ(state(two), State::kWaiting) << "for the place of ada";
  EXPECT_EQ(state(three), State::kAvailable) << "nobody holds a place of the queue for what cannot run";
  EXPECT_EQ(state(four), State::kWaiting) << "for the place of the queue";
  EXPECT_EQ(state(five), State::kWaiting);
  const auto claimed = claim();
  ASSERT_EQ(claimed.size(), 2u);
  settle(claimed[1], Succeeded{});
  EXPECT_EQ(state(four), State::kAvailable);
  EXPECT_EQ(state(two), State::kWaiting);
  settle(claimed[0], Succeeded{});
  EXPECT_EQ(state(two), State::kAvailable);
  EXPECT_EQ(state(five), State::kWaiting);
  drain();
  EXPECT_EQ(state(five), State::kSucceeded);
}

TEST_P(StoreContract, JobsThatBecomeAvailableLaterAskForAPlaceThen) {
  must(store().set_limit(at_once("ada", 1)));
  NewJob held = keyed("ada"), delayed = keyed("ada"), needing = keyed("ada");
  held.held = true;
  held.id = Uuid::v7();
  delayed.delay = seconds(10);
  needing.needs = {{held.id, true}};
  insert(held);
  const Uuid later = insert(delayed), last = insert(needing);
  const Uuid now = insert(keyed("ada"));
  EXPECT_EQ(claim_one().job, now);
  must(store().start(held.id));
  EXPECT_TRUE(get(held.id).limited);
  EXPECT_FALSE(get(last).limited);
  pass(seconds(10));
  EXPECT_TRUE(claim().empty());
  EXPECT_TRUE(get(later).limited);
  must(store().cancel(held.id));
  EXPECT_TRUE(get(last).limited);
}

TEST_P(StoreContract, ALimitedJobThatGetsAChildWaitsForThatInstead) {
  must(store().set_limit(at_once("ada", 1)));
  insert(keyed("ada"));
  const Uuid parent = insert(keyed("ada"));
  NewJob child = new_job("child");
  child.parent = parent;
  insert(child);
  EXPECT_EQ(state(parent), State::kWaiting);
  EXPECT_FALSE(get(parent).limited);
  auto claimed = claim();
  ASSERT_EQ(claimed.size(), 2u);
  settle(claimed[1], Succeeded{});
  EXPECT_TRUE(get(parent).limited);
  settle(claimed[0], Succeeded{});
  EXPECT_EQ(claim_one().job, parent);
}

TEST_P(StoreContract, ALimitThatIsSetLaterKeepsBackWhatHasNotStarted) {
  std::vector<Uuid> ids;
  for (int i = 0; i < 5; ++i) ids.push_back(insert(keyed("ada")));
  const auto running = claim(2);
  must(store().set_limit(at_once("ada", 3)));
  EXPECT_EQ(state(ids[2]), State::kAvailable);
  EXPECT_EQ(state(ids[3]), State::kWaiting);
  EXPECT_EQ(state(ids[4]), State::kWaiting);
  must(store().set_limit(at_once("ada", 1)));
  EXPECT_EQ(state(ids[2]), State::kWaiting);
  EXPECT_EQ(state(ids[0]), State::kRunning) << "what runs goes on";
  settle(running[0], Succeeded{});
  EXPECT_TRUE(claim().empty());
  settle(running[1], Succeeded{});
  EXPECT_EQ(claim_one().job, ids[2]);
}

TEST_P(StoreContract, ALimitThatIsRaisedOrRemovedLetsGo) {
  must(store().set_limit(at_once("ada", 1)));
  std::vector<Uuid> ids;
  for (int i = 0; i < 4; ++i) ids.push_back(insert(keyed("ada")));
  must(other().set_limit(at_once("ada", 2)));
  EXPECT_EQ(state(ids[1]), State::kAvailable);
  EXPECT_EQ(state(ids[2]), State::kWaiting);
  must(store().remove_limit(LimitScope::kKey, "ada"));
  EXPECT_EQ(claim().size(), 4u);
  insert(keyed("ada"));
  EXPECT_EQ(must(other().exchange(worker(), {}, slots(10))).claimed.size(), 1u);
}

TEST_P(StoreContract, AnotherHandleKnowsALimitAtOnce) {
  insert(keyed("ada"));
  EXPECT_EQ(must(other().exchange(worker(), {}, slots(10))).claimed.size(), 1u);
  must(store().set_limit(at_once("ada", 1)));
  const NewJob job = keyed("ada");
  const Uuid id = must(must(other().insert(std::span(&job, 1))).at(0)).id;
  EXPECT_EQ(state(id), State::kWaiting);
}

TEST_P(StoreContract, ALimitWithAStarIsOneForEachKeyAndTheClosestNameCounts) {
  must(store().set_limit(at_once("film-*", 1)));
  must(store().set_limit(at_once("film-big", 3)));
  for (int i = 0; i < 4; ++i)
    for (const char* key : {"film-a", "film-b", "film-big", "book"}) insert(keyed(key));
  EXPECT_EQ(claim().size(), 1u + 1 + 3 + 4);
  must(store().remove_limit(LimitScope::kKey, "film-big"));
  EXPECT_TRUE(claim().empty());
  const auto uses = must(store().limits());
  ASSERT_EQ(uses.size(), 1u);
  EXPECT_EQ(uses[0].taken, 5);
  EXPECT_EQ(uses[0].waiting, 3 + 3 + 1);
}

TEST_P(StoreContract,
       ALimitWithAStarMayCountForManyKeys) {  // each step within the time that a store may take to answer
  constexpr int kKeys = 20'000, kBatch = 1000;
  std::vector<NewJob> batch;
  for (int i = 0; i < kKeys; ++i) {
    batch.push_back(keyed(fmt::format("user {}", i)));
    if (batch.size() < kBatch) continue;
    must(store().insert(batch));
    batch.clear();
  }
  must(store().set_limit(at_once("user *", 0)));
  EXPECT_TRUE(claim().empty());
  must(store().set_limit(at_once("user *", 1)));
  const Uuid second = insert(keyed("user 0"));
  EXPECT_EQ(must(store().limits()).at(0).taken, kKeys);
  EXPECT_EQ(must(store().limits()).at(0).waiting, 1);
  const Claim first = claim_one();
  EXPECT_NE(first.job, second);
  settle(first, Succeeded{});
  EXPECT_EQ(state(second), State::kAvailable);
  must(store().remove_limit(LimitScope::kKey, "user *"));
  EXPECT_EQ(state(second), State::kAvailable);
}

TEST_P(StoreContract, ALimitOfZeroLetsNothingRun) {
  must(store().set_limit(at_once("ada", 0)));
  const Uuid id = insert(keyed("ada"));
  EXPECT_TRUE(claim().empty());
  must(store().rescue());
  EXPECT_TRUE(get(id).limited);
  must(store().set_limit(at_once("ada", 1)));
  EXPECT_EQ(claim_one().job, id);
}

TEST_P(StoreContract, LimitsAreListedWithWhatTheyHoldAndKeepBack) {
  Limit both = at_once(LimitScope::kQueue, "night", 2);
  both.rate = Rate{5, hours(1), 3};
  must(store().set_limit(at_once("ada", 1)));
  must(store().set_limit(both));
  for (int i = 0; i < 3; ++i) insert(queued("night", "ada"));
  claim();
  const auto uses = must(other().limits());
  ASSERT_EQ(uses.size(), 2u);
  EXPECT_EQ(uses[0].limit, both);
  EXPECT_EQ(uses[0].taken, 1);
  EXPECT_EQ(uses[0].waiting, 2);
  EXPECT_EQ(uses[1].limit, at_once("ada", 1));
  EXPECT_EQ(uses[1].taken, 1);
  EXPECT_EQ(uses[1].waiting, 2);
}

TEST_P(StoreContract, ALimitThatMakesNoSenseIsRefused) {
  EXPECT_EQ(code_of(store().set_limit({})), "invalid_argument");
  EXPECT_EQ(code_of(store().set_limit(at_once("ada", -1))), "invalid_argument");
  EXPECT_EQ(code_of(store().set_limit(per_minute("ada", 0))), "invalid_argument");
  EXPECT_EQ(code_of(store().set_limit(at_once("a*b", 1))), "invalid_argument");
  EXPECT_EQ(code_of(store().remove_limit(LimitScope::kKey, "ada")), "not_found");
  must(store().set_limit(at_once("ada", 1)));
  EXPECT_EQ(code_of(store().remove_limit(LimitScope::kQueue, "ada")), "not_found");
  EXPECT_EQ(insert_code(keyed(std::string(201, 'k'))), "invalid_argument");
  EXPECT_EQ(insert_code(keyed("a\nb")), "invalid_argument");
}

TEST_P(StoreContract, TheSameIdWithAnotherLimitKeyIsAnotherJob) {
  NewJob job = keyed("ada");
  job.id = Uuid::v7();
  insert(job);
  EXPECT_EQ(insert_code(job), "ok");
  job.limit_key = "bob";
  EXPECT_EQ(insert_code(job), "conflict");
}

TEST_P(StoreContract, ARateLetsOneStartAtATimeAndTheNextWhenItsTimeHasCome) {
  must(store().set_limit(per_minute("ada", 6)));
  std::vector<Uuid> ids;
  for (int i = 0; i < 4; ++i) ids.push_back(insert(keyed("ada")));
  EXPECT_EQ(claim_one().job, ids[0]);
  EXPECT_TRUE(claim().empty());
  pass(seconds(9));
  EXPECT_TRUE(claim().empty());
  pass(seconds(1));
  EXPECT_EQ(claim_one().job, ids[1]);
  EXPECT_TRUE(claim().empty());
}

TEST_P(StoreContract, WhatWasNotStartedInTimeIsNotMadeUpForButForTheBurst) {
  must(store().set_limit(per_minute("ada", 6, 2)));
  for (int i = 0; i < 6; ++i) insert(keyed("ada"));
  pass(hours(1));
  must(store().rescue());
  EXPECT_EQ(claim().size(), 2u);
  EXPECT_TRUE(claim().empty());
  pass(seconds(10));
  EXPECT_EQ(claim().size(), 1u);
}

TEST_P(StoreContract, ARateCountsStartsAndNotEnds) {
  must(store().set_limit(per_minute("ada", 6)));
  for (int i = 0; i < 3; ++i) insert(keyed("ada"));
  settle(claim_one(), Succeeded{});
  EXPECT_TRUE(claim().empty());
  pass(seconds(10));
  settle(claim_one(), Released{});
  EXPECT_TRUE(claim().empty()) << "who was given back starts again";
  pass(seconds(10));
  EXPECT_EQ(claim().size(), 1u);
}

TEST_P(StoreContract, ALaterPhaseIsNoStart) {
  must(store().set_limit(per_minute("ada", 6)));
  const Uuid first = insert(keyed("ada"));
  settle(claim_one(), FanOut{{new_job("part")}, "publish", false});
  pass(seconds(10));
  settle(claim_one(), Succeeded{});  // with its parent's key
  EXPECT_TRUE(claim().empty()) << "but it waits for its turn";
  pass(seconds(10));
  EXPECT_EQ(claim_one().job, first);
  const Uuid second = insert(keyed("ada"));
  EXPECT_EQ(claim_one().job, second);
  insert(keyed("ada"));
  EXPECT_TRUE(claim().empty());
}

TEST_P(StoreContract, WhatIsCancelledBeforeItStartedCostsNoRate) {
  must(store().set_limit(per_minute("ada", 1)));
  const Uuid first = insert(keyed("ada")), second = insert(keyed("ada"));
  EXPECT_EQ(state(first), State::kAvailable);
  must(store().cancel(first));
  EXPECT_EQ(claim_one().job, second);
}

TEST_P(StoreContract, ARateAndAConcurrencyBothHold) {
  Limit both = per_minute("ada", 6, 3);
  both.concurrency = 2;
  must(store().set_limit(both));
  for (int i = 0; i < 5; ++i) insert(keyed("ada"));
  const auto first = claim();
  ASSERT_EQ(first.size(), 2u);
  settle(first[0], Succeeded{});
  EXPECT_EQ(claim().size(), 1u) << "the burst's third";
  settle(first[1], Succeeded{});
  EXPECT_TRUE(claim().empty());
  pass(seconds(10));
  EXPECT_EQ(claim().size(), 1u);
  pass(seconds(60));
  EXPECT_TRUE(claim().empty()) << "two run";
}

TEST_P(StoreContract, AChangedRateGoesOnWhereItWas) {
  must(store().set_limit(per_minute("ada", 1)));
  for (int i = 0; i < 3; ++i) insert(keyed("ada"));
  claim_one();
  must(store().set_limit(per_minute("ada", 6)));
  EXPECT_TRUE(claim().empty());
  pass(minutes(1));
  EXPECT_EQ(claim().size(), 1u);
  pass(seconds(10));
  EXPECT_EQ(claim().size(), 1u);
}

TEST_P(StoreContract, ARateIsRememberedWhileNobodyWaits) {
  must(store().set_limit(per_minute("ada", 1)));
  insert(keyed("ada"));
  drain();
  must(store().rescue());
  insert(keyed("ada"));
  EXPECT_TRUE(claim().empty());
  pass(minutes(1));
  EXPECT_EQ(claim().size(), 1u);
}

TEST_P(StoreContract, WhoWaitsIsWokenWhenARateLetsTheNextStart) {
  must(store().set_limit({LimitScope::kKey, "ada", {}, Rate{1, std::chrono::milliseconds(300), 1}}));
  insert(keyed("ada"));
  insert(keyed("ada"));
  claim_one();
  const auto began = BootClock::now();
  while (claim().empty()) store().wait(seconds(20));
  EXPECT_LT(BootClock::now() - began, seconds(15));
}

TEST_P(StoreContract, ManyHandlesNeverRunMoreThanALimitTogether) {
  constexpr int kJobs = 120, kPlaces = 3;
  must(store().set_limit(at_once(LimitScope::kQueue, "night", kPlaces)));
  must(store().set_limit(at_once("k*", 2)));
  std::vector<NewJob> jobs;
  for (int i = 0; i < kJobs; ++i) jobs.push_back(queued("night", "k" + std::to_string(i % 3)));
  insert_all(jobs);
  const Session mine = worker();
  std::atomic<int> running{0}, most{0}, ended{0};
  const auto work = [&](Store& handle) {
    std::vector<Settlement> done;
    while (ended < kJobs) {
      // What is settled here may run elsewhere before this thread goes on: counted before, not after.
      running -= static_cast<int>(done.size());
      ended += static_cast<int>(done.size());
      const Exchange turn = must(handle.exchange(mine, done, slots(2)));
      done.clear();
      const int now = running += static_cast<int>(turn.claimed.size());
      for (int seen = most; seen < now && !most.compare_exchange_weak(seen, now);) continue;
      for (const Claim& claimed : turn.claimed) done.push_back(settlement(claimed, Succeeded{}));
    }
    if (!done.empty()) must(handle.exchange(mine, done, {}));
  };
  Store& second = other();
  std::thread thread([&] { work(second); });
  work(store());
  thread.join();
  EXPECT_LE(most, kPlaces);
  EXPECT_EQ(ended, kJobs);
  const auto uses = must(store().limits());
  for (const LimitUse& use : uses) {
    EXPECT_EQ(use.taken, 0) << use.limit.name;
    EXPECT_EQ(use.waiting, 0) << use.limit.name;
  }
}

}  // namespace
}  // namespace spool
