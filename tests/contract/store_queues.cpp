// What an operator does with a queue: pause, resume, clear, and retention.
#include <algorithm>

#include "contract/store_contract.h"
#include "queue/prune_all.h"

namespace spool {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

NewJob in_queue(const std::string& queue, int priority = 0) {
  NewJob job = new_job("a");
  job.queue = queue;
  job.priority = priority;
  return job;
}

QueueCounts counts_of(Store& store, const std::string& queue) {
  for (const QueueCounts& counts : must(store.counts()))
    if (counts.queue == queue) return counts;
  return {};
}

TEST_P(StoreContract, NothingOfAPausedQueueIsClaimed) {
  const Uuid night = insert(in_queue("night"));
  const Uuid day = insert(in_queue("day"));
  must(store().pause_queue("night"));
  must(store().pause_queue("night"));
  const auto claimed = must(other().exchange(worker(), {}, slots(10))).claimed;
  ASSERT_EQ(claimed.size(), 1u);
  EXPECT_EQ(claimed[0].job, day);
  EXPECT_EQ(state(night), State::kAvailable);
  must(other().resume_queue("night"));
  must(other().resume_queue("night"));
  EXPECT_EQ(claim_one().job, night);
}

TEST_P(StoreContract, APausedQueueIsPausedForOneLaneAsForSeveral) {
  insert(in_queue("night"));
  must(store().pause_queue("night"));
  EXPECT_TRUE(claim().empty());
  NewJob wide = in_queue("night");
  wide.slots = 2;
  insert(wide);
  EXPECT_TRUE(claim().empty());
}

TEST_P(StoreContract, WhatRunsInAPausedQueueEndsAndWakesAsEver) {
  NewJob first = in_queue("night"), second = in_queue("night");
  first.id = Uuid::v7();
  second.needs = {{first.id, false}};
  insert(first);
  const Uuid waits = insert(second);
  const Claim claimed = claim_one();
  must(store().pause_queue("night"));
  EXPECT_EQ(settle(claimed, Succeeded{}), "ok");
  EXPECT_EQ(state(waits), State::kAvailable);
  EXPECT_TRUE(claim().empty());
}

TEST_P(StoreContract, CountsTellAPausedQueueAlsoOneWithoutJobs) {
  insert(in_queue("day"));
  must(store().pause_queue("night"));
  EXPECT_TRUE(counts_of(store(), "night").paused);
  EXPECT_FALSE(counts_of(store(), "day").paused);
  EXPECT_EQ(must(store().counts()).size(), 2u);
}

TEST_P(StoreContract, AResumedQueueWakesWhoWaits) {
  insert(in_queue("night"));
  must(store().pause_queue("night"));
  store().wait(Duration(0));
  const auto began = BootClock::now();
  must(store().resume_queue("night"));
  store().wait(seconds(20));
  EXPECT_LT(BootClock::now() - began, seconds(15));
  EXPECT_EQ(claim().size(), 1u);
}

TEST_P(StoreContract, AQueueWithoutANameIsRefused) {
  EXPECT_EQ(code_of(store().pause_queue("")), "invalid_argument");
  EXPECT_EQ(code_of(store().resume_queue("a\nb")), "invalid_argument");
  EXPECT_EQ(code_of(store().clear_queue(std::string(201, 'a'), 1)), "invalid_argument");
}

TEST_P(StoreContract, ClearingAQueueCancelsWhatHasNotBegun) {
  NewJob delayed = in_queue("night"), held = in_queue("night"), needing = in_queue("night");
  const Uuid running = insert(in_queue("night"));
  const Claim claimed = claim_one();
  const Uuid available = insert(in_queue("night"));
  delayed.delay = hours(1);
  held.held = true;
  needing.needs = {{available, false}};
  const std::vector<Uuid> cancelled = {available, insert(delayed), insert(held), insert(needing)};
  const Uuid elsewhere = insert(in_queue("day"));
  EXPECT_GE(must(store().clear_queue("night", 100)), 3) << "what needs the others ends with them, or itself";
  for (const Uuid& id : cancelled) EXPECT_EQ(state(id), State::kCancelled);
  EXPECT_EQ(state(elsewhere), State::kAvailable);
  EXPECT_EQ(state(running), State::kRunning);
  EXPECT_FALSE(get(running).cancel_requested);
  EXPECT_EQ(settle(claimed, Succeeded{}), "ok");
  EXPECT_EQ(must(store().clear_queue("night", 100)), 0);
}

TEST_P(StoreContract, ClearingLeavesTreesAloneOfWhichAnythingHasBegun) {
  const Uuid film = insert(in_queue("night"));
  settle(claim_one(), FanOut{{new_job("work"), new_job("work")}, "assemble", false});
  const Uuid again = insert(in_queue("night", 1));
  settle(claim_one(), RetryLater{broken(), hours(1)});
  EXPECT_EQ(state(again), State::kScheduled);
  NewJob top = in_queue("night");
  top.held = true;
  const Uuid untouched = insert(top);
  NewJob part = new_job("part");
  part.parent = untouched;
  const Uuid below = insert(part);
  EXPECT_EQ(must(store().clear_queue("night", 100)), 1);
  EXPECT_EQ(state(film), State::kWaiting);
  EXPECT_EQ(state(again), State::kScheduled);
  EXPECT_EQ(state(untouched), State::kCancelled);
  EXPECT_EQ(state(below), State::kCancelled);
  EXPECT_EQ(claim().size(), 2u) << "the film's parts";
}

TEST_P(StoreContract, ALongQueueIsClearedPieceByPiece) {
  insert_all(std::vector<NewJob>(25, in_queue("night")));
  EXPECT_EQ(must(store().clear_queue("night", 10)), 10);
  EXPECT_EQ(must(store().clear_queue("night", 10)), 10);
  EXPECT_EQ(must(store().clear_queue("night", 10)), 5);
  EXPECT_EQ(counts_of(store(), "night").counts[static_cast<int>(State::kCancelled)], 25);
}

TEST_P(StoreContract, CountsTellSinceWhenTheFirstInLineIsReady) {
  EXPECT_EQ(counts_of(store(), "day").oldest_ready, std::nullopt);
  const Uuid first = insert(in_queue("day"));
  pass(minutes(1));
  NewJob wide = in_queue("day");
  wide.slots = 2;
  insert(wide);
  EXPECT_EQ(counts_of(store(), "day").oldest_ready, get(first).ready);
  settle(claim_one(), Snooze{hours(1)});
  EXPECT_NE(counts_of(store(), "day").oldest_ready, get(first).ready);
  claim();
  EXPECT_EQ(counts_of(store(), "day").oldest_ready, std::nullopt);
}

TEST_P(StoreContract, WhatHasJustBecomeReadyAtTheHeadHidesNobodyWhoWaits) {
  const Uuid film = insert(in_queue("day"));
  const Claim plan = claim_one();
  const Uuid waits = insert(in_queue("day"));
  pass(minutes(1));
  settle(plan, FanOut{{}, "assemble", false});
  EXPECT_GT(get(film).ready, get(waits).ready);
  EXPECT_EQ(counts_of(store(), "day").oldest_ready, get(waits).ready);
  EXPECT_EQ(claim_one().job, film);
}

TEST_P(StoreContract, PruneKeepsSoManyOfEachQueueThatEndedLast) {
  std::vector<Uuid> day, night;
  for (int i = 0; i < 5; ++i) day.push_back(insert(in_queue("day")));
  for (int i = 0; i < 2; ++i) night.push_back(insert(in_queue("night")));
  // The one that came first ends last.
  auto claimed = claim();
  std::reverse(claimed.begin(), claimed.end());
  for (const Claim& c : claimed) settle(c, Succeeded{});
  PruneRules rules;
  rules.keep = 2;
  EXPECT_EQ(must(store().prune(rules, 100)), 3);
  EXPECT_EQ(must(store().prune(rules, 100)), 0);
  std::vector<Uuid> left;
  for (const Job& job : must(store().list({}))) left.push_back(job.id);
  EXPECT_EQ(left, (std::vector{day[0], day[1], night[0], night[1]}));
  rules.queue = "night";
  rules.keep = 0;
  EXPECT_EQ(must(store().prune(rules, 100)), 2);
  EXPECT_EQ(must(store().list({})).size(), 2u);
}

TEST_P(StoreContract, PruneOfEachQueueLeavesThoseAloneThatAreExcepted) {
  for (const char* queue : {"day", "night", "archive"}) insert(in_queue(queue));
  drain();
  pass(hours(2));
  PruneRules rules;
  rules.except = {"archive", "nobodys", "night"};
  rules.age = hours(1);
  rules.keep = 0;
  EXPECT_EQ(must(store().prune(rules, 100)), 1);
  rules.except.push_back("day");
  EXPECT_EQ(must(store().prune(rules, 100)), 0);
  rules.except = {"night"};
  EXPECT_EQ(must(store().prune(rules, 100)), 1);
  const auto left = must(store().list({}));
  ASSERT_EQ(left.size(), 1u);
  EXPECT_EQ(left[0].queue, "night");
}

TEST_P(StoreContract, PruneTakesWhatEitherRuleSays) {
  insert(in_queue("day"));
  drain();
  pass(hours(2));
  for (int i = 0; i < 3; ++i) insert(in_queue("day"));
  drain();
  PruneRules rules;
  rules.age = hours(1);
  rules.keep = 2;
  EXPECT_EQ(must(store().prune(rules, 100)), 2);
  rules.keep = 10;
  EXPECT_EQ(must(store().prune(rules, 100)), 0);
  pass(hours(2));
  EXPECT_EQ(must(store().prune(rules, 1)), 1);
  EXPECT_EQ(must(store().prune(rules, 100)), 1);
}

TEST_P(StoreContract, PruneGoesByTheQueueOfTheRoot) {
  NewJob film = in_queue("day");
  insert(film);
  settle(claim_one(), FanOut{{new_job("work"), new_job("work")}, "assemble", false});
  drain();
  PruneRules rules;
  rules.queue = "default";
  rules.keep = 0;
  EXPECT_EQ(must(store().prune(rules, 100)), 0);
  rules.queue = "day";
  EXPECT_EQ(must(store().prune(rules, 100)), 3);
}

TEST_P(StoreContract, PruneWithOutputsTakesWhatWasPublishedToo) {
  insert(in_queue("day"));
  drain();
  PruneRules rules;
  rules.keep = 0;
  rules.with_outputs = true;
  EXPECT_EQ(must(store().prune(rules, 100)), 1);
  const auto purged = must(store().purged(10));
  ASSERT_EQ(purged.size(), 1u);
  EXPECT_TRUE(purged[0].with_outputs);
}

TEST_P(StoreContract, AllThatGoesIsPrunedPieceByPieceUntilSomebodyStopsIt) {
  insert_all(std::vector<NewJob>(1200, in_queue("night")));
  ASSERT_EQ(must(store().clear_queue("night", 2000)), 1200);
  PruneRules rules;
  rules.keep = 0;
  int asked = 0;
  const auto piece = must(prune_all(store(), rules, [&] { return ++asked > 1; }));
  EXPECT_GT(piece, 0);
  EXPECT_LT(piece, 1200);
  EXPECT_EQ(must(prune_all(store(), rules)), 1200 - piece);
  EXPECT_TRUE(must(store().list({})).empty());
  EXPECT_EQ(code_of(prune_all(store(), {})), "invalid_argument");
}

TEST_P(StoreContract, PruneWithoutARuleIsRefused) {
  EXPECT_EQ(code_of(store().prune({}, 100)), "invalid_argument");
  PruneRules rules;
  rules.keep = -1;
  EXPECT_EQ(code_of(store().prune(rules, 100)), "invalid_argument");
  rules.keep.reset();
  rules.age = seconds(-1);
  EXPECT_EQ(code_of(store().prune(rules, 100)), "invalid_argument");
}

// A job that needs three slots, and two workers that are kept busy by small ones: whoever comes to it first
// keeps its free slots for it.
TEST_P(StoreContract, AWideJobIsNotStarvedAmongSeveralWorkers) {
  struct Machine {
    Session session;
    std::vector<Claim> running;
    int free = 3;
  };
  std::vector<Machine> machines(2);
  for (Machine& machine : machines) machine.session = session(hours(10));
  for (int i = 0; i < 6; ++i) insert(new_job("small"));
  NewJob wide = new_job("wide");
  wide.slots = 3;
  const Uuid id = insert(wide);
  for (int turn = 0; turn < 20 && state(id) != State::kRunning; ++turn) {
    insert(new_job("small"));
    Machine& machine = machines[static_cast<std::size_t>(turn) % 2];
    std::vector<Settlement> done;
    if (!machine.running.empty()) {
      done.push_back(settlement(machine.running.back(), Succeeded{}));
      machine.free += machine.running.back().slots;
      machine.running.pop_back();
    }
    const Exchange exchanged = must(store().exchange(machine.session, done, slots(machine.free, 3)));
    for (const Claim& claimed : exchanged.claimed) {
      EXPECT_LE(claimed.slots, machine.free);
      machine.free -= claimed.slots;
      machine.running.push_back(claimed);
    }
  }
  EXPECT_EQ(state(id), State::kRunning);
}

}  // namespace
}  // namespace spool
