// Lists, counts, the log of outcomes, forgetting, and waiting for work.
#include <atomic>
#include <thread>

#include "contract/store_contract.h"

namespace spool {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

std::vector<Uuid> ids(const std::vector<Job>& jobs) {
  std::vector<Uuid> list;
  for (const Job& job : jobs) list.push_back(job.id);
  return list;
}

TEST_P(StoreContract, AListIsFilteredAndInTheOrderOfInsertion) {
  NewJob a = new_job("a");
  a.owner = "ada";
  NewJob b = new_job("b");
  b.queue = "slow";
  const Uuid first = insert(a);
  const Uuid second = insert(b);
  const Uuid third = insert(a);
  JobFilter filter;
  EXPECT_EQ(ids(must(store().list(filter))), (std::vector{first, second, third}));
  filter.kind = "a";
  EXPECT_EQ(ids(must(store().list(filter))), (std::vector{first, third}));
  filter.owner = "eve";
  EXPECT_TRUE(must(store().list(filter)).empty());
  filter = {};
  filter.queue = "slow";
  EXPECT_EQ(ids(must(store().list(filter))), std::vector{second});
}

TEST_P(StoreContract, AListGoesOnAfterItsCursor) {
  std::vector<Uuid> all;
  for (int i = 0; i < 7; ++i) {
    NewJob job = new_job("a");
    job.id = Uuid::from_digest_of(std::to_string(i));  // in no order
    all.push_back(insert(job));
  }
  std::vector<Uuid> seen;
  JobFilter page;
  page.most = 3;
  for (;;) {
    const auto jobs = must(store().list(page));
    if (jobs.empty()) break;
    for (const Job& job : jobs) seen.push_back(job.id);
    page.after = jobs.back().id;
  }
  EXPECT_EQ(seen, all);
  page.after = Uuid::v7();
  EXPECT_EQ(code_of(store().list(page)), "not_found");
}

TEST_P(StoreContract, AListOfTheNewestGoesBackFromItsCursor) {
  std::vector<Uuid> all;
  for (int i = 0; i < 5; ++i) all.push_back(insert(new_job("a")));
  JobFilter page;
  page.newest_first = true;
  page.most = 3;
  EXPECT_EQ(ids(must(store().list(page))), (std::vector{all[4], all[3], all[2]}));
  page.after = all[2];
  EXPECT_EQ(ids(must(store().list(page))), (std::vector{all[1], all[0]}));
}

TEST_P(StoreContract, AListOfIdsFromOneToAnotherHoldsBoth) {
  const auto id = [](std::string_view begin) {
    return must(Uuid::parse(fmt::format("{}-0000-4000-8000-000000000000", begin)));
  };
  for (const char* begin : {"ffffffff", "01a00000", "019fffff", "01a0ffff", "01a10000"}) {
    NewJob job = new_job("a");
    job.id = id(begin);
    insert(job);
  }
  JobFilter some;
  some.first = id("01a00000");
  some.last = id("01a0ffff");
  EXPECT_EQ(ids(must(store().list(some))), (std::vector{*some.first, *some.last}));
}

TEST_P(StoreContract, AListFindsEveryStateAndOnlyIt) {
  NewJob job = new_job("a");
  std::vector<std::pair<State, Uuid>> expected;
  expected.emplace_back(State::kSucceeded, insert(job));
  expected.emplace_back(State::kFailed, insert(job));
  expected.emplace_back(State::kRunning, insert(job));
  const auto claimed = claim();
  settle(claimed[0], Succeeded{});
  settle(claimed[1], Failed{broken()});
  expected.emplace_back(State::kCancelled, insert(job));
  must(store().cancel(expected.back().second));
  expected.emplace_back(State::kAvailable, insert(job));
  job.delay = seconds(5);
  expected.emplace_back(State::kScheduled, insert(job));
  job.held = true;
  expected.emplace_back(State::kCreated, insert(job));
  NewJob waiting = new_job("b");
  waiting.needs = {{expected.back().second, false}};
  expected.emplace_back(State::kWaiting, insert(waiting));
  for (const auto& [which, id] : expected) {
    JobFilter filter;
    filter.state = which;
    EXPECT_EQ(ids(must(store().list(filter))), std::vector{id}) << name(which);
    EXPECT_EQ(state(id), which);
    EXPECT_EQ(must(store().counts()).at(0).counts[static_cast<int>(which)], 1) << name(which);
  }
}

TEST_P(StoreContract, ATreeIsListedByItsRootAndItsParents) {
  const Uuid top = insert(new_job("film"));
  settle(claim_one(), FanOut{{new_job("step")}, "end", false});
  const Claim step = claim_one();
  settle(step, FanOut{{new_job("chunk"), new_job("chunk")}, "end", false});
  const Uuid stranger = insert(new_job("other"));
  JobFilter filter;
  filter.root = top;
  const auto tree = must(store().list(filter));
  ASSERT_EQ(tree.size(), 4u);
  EXPECT_EQ(tree[0].id, top);
  EXPECT_EQ(tree[3].root, top);
  EXPECT_EQ(tree[3].parent, step.job);
  filter = {};
  filter.parent = step.job;
  EXPECT_EQ(must(store().list(filter)).size(), 2u);
  filter = {};
  filter.roots_only = true;
  EXPECT_EQ(ids(must(store().list(filter))), (std::vector{top, stranger}));
  filter = {};
  filter.root = Uuid::v7();
  EXPECT_TRUE(must(store().list(filter)).empty());
}

TEST_P(StoreContract, CountsAreByQueue) {
  NewJob job = new_job("a");
  insert(job);
  insert(job);
  job.queue = "slow";
  insert(job);
  const auto counts = must(store().counts());
  ASSERT_EQ(counts.size(), 2u);
  EXPECT_EQ(counts[0].queue, "default");
  EXPECT_EQ(counts[0].counts[static_cast<int>(State::kAvailable)], 2);
  EXPECT_EQ(counts[1].counts[static_cast<int>(State::kAvailable)], 1);
}

TEST_P(StoreContract, OutcomesAreALogInTheOrderOfCommits) {
  const Uuid top = insert(new_job("film"));
  settle(claim_one(), FanOut{{new_job("work")}, "assemble", false});
  const Claim work = claim_one();
  settle(work, Failed{broken()});
  must(store().retry(top));
  settle(claim_one(), Succeeded{});
  settle(claim_one(), Succeeded{});
  const auto log = must(store().outcomes_since(0, 100));
  const std::vector<std::pair<Uuid, State>> expected = {
      {work.job, State::kFailed},    {top, State::kFailed},         {top, State::kWaiting},
      {work.job, State::kAvailable}, {work.job, State::kSucceeded}, {top, State::kSucceeded}};
  ASSERT_EQ(log.size(), expected.size());
  for (std::size_t i = 0; i < log.size(); ++i) {
    EXPECT_EQ(log[i].job, expected[i].first) << i;
    EXPECT_EQ(log[i].state, expected[i].second) << i;
    EXPECT_EQ(log[i].root, top);
    if (i > 0) {
      EXPECT_GT(log[i].sequence, log[i - 1].sequence);
      EXPECT_GE(log[i].at, log[i - 1].at);
    }
  }
  const auto rest = must(store().outcomes_since(log[3].sequence, 1));
  ASSERT_EQ(rest.size(), 1u);
  EXPECT_EQ(rest[0].sequence, log[4].sequence);
}

TEST_P(StoreContract, PruneForgetsTreesThatEndedLongAgo) {
  insert(new_job("old"));
  insert(new_job("old"));
  drain();
  pass(hours(2));
  const Uuid fresh = insert(new_job("fresh"));
  drain();
  const Uuid live = insert(new_job("live"));
  EXPECT_EQ(prune(hours(3), 100), 0);
  EXPECT_EQ(prune(hours(1), 1), 1);
  EXPECT_EQ(prune(hours(1), 100), 1);
  EXPECT_EQ(ids(must(store().list({}))), (std::vector{fresh, live}));
  EXPECT_EQ(must(store().outcomes_since(0, 100)).size(), 1u);
}

TEST_P(StoreContract, PruneTakesALargeTreePieceByPieceAndItIsNeverSeenInPart) {
  insert(new_job("film"));
  settle(claim_one(), FanOut{std::vector<NewJob>(24, new_job("work")), "assemble", false});
  drain();
  pass(hours(2));
  EXPECT_EQ(prune(hours(1), 10), 10);
  EXPECT_TRUE(must(store().list({})).empty());
  EXPECT_EQ(prune(hours(1), 10), 10);
  EXPECT_EQ(prune(hours(1), 10), 5);
  EXPECT_TRUE(must(store().outcomes_since(0, 100)).empty());
}

TEST_P(StoreContract, PruneLeavesChildrenOfLivingTrees) {
  insert(new_job("film"));
  settle(claim_one(), FanOut{{new_job("work"), new_job("work")}, "assemble", false});
  settle(claim_one(), Succeeded{});
  pass(hours(2));
  EXPECT_EQ(prune(hours(1), 100), 0);
  EXPECT_EQ(drain(), 2);
  pass(hours(2));
  EXPECT_EQ(prune(hours(1), 100), 3);
  EXPECT_TRUE(must(store().list({})).empty());
}

TEST_P(StoreContract, ANewJobWakesWhoWaits) {
  store().wait(Duration(0));
  const auto began = BootClock::now();
  std::thread thread([&] { insert(new_job("a")); });
  while (claim().empty()) store().wait(seconds(20));
  thread.join();
  EXPECT_LT(BootClock::now() - began, seconds(15));
}

TEST_P(StoreContract, AJobThatAnotherHandleInsertsWakesWhoWaits) {
  store().wait(Duration(0));
  Store& second = other();
  const auto began = BootClock::now();
  std::thread thread([&] {
    const NewJob job = new_job("a");
    must(second.insert(std::span(&job, 1)));
  });
  while (claim().empty()) store().wait(seconds(20));
  thread.join();
  EXPECT_LT(BootClock::now() - began, seconds(15));
}

TEST_P(StoreContract, AJobThatBecomesDueEndsTheWait) {
  NewJob job = new_job("a");
  job.delay = milliseconds(50);
  insert(job);
  const auto began = BootClock::now();
  while (claim().empty()) store().wait(seconds(20));
  EXPECT_LT(BootClock::now() - began, seconds(15));
}

TEST_P(StoreContract, AJobThatIsSoonDueEndsTheWaitOfAnotherHandle) {
  EXPECT_TRUE(claim().empty());
  NewJob job = new_job("a");
  job.delay = milliseconds(50);
  must(must(other().insert(std::span(&job, 1))).at(0));
  const auto began = BootClock::now();
  while (claim().empty()) store().wait(seconds(20));
  EXPECT_LT(BootClock::now() - began, seconds(15));
}

TEST_P(StoreContract, WakeEndsTheWaitOfEveryThread) {
  std::vector<std::thread> threads;
  std::atomic<int> waiting = 0, back = 0;
  const auto began = BootClock::now();
  for (int i = 0; i < 3; ++i)
    threads.emplace_back([&] {
      store().wait(Duration(0));
      ++waiting;
      while (back == 0) store().wait(seconds(20));
    });
  while (waiting < 3) std::this_thread::yield();
  back = 1;
  store().wake();
  for (std::thread& thread : threads) thread.join();
  EXPECT_LT(BootClock::now() - began, seconds(15));
}

TEST_P(StoreContract, AWakeThatCameBeforeTheWaitIsNotLost) {
  store().wait(Duration(0));
  store().wait(Duration(0));
  store().wake();
  const auto began = BootClock::now();
  store().wait(seconds(20));
  EXPECT_LT(BootClock::now() - began, seconds(15));
}

TEST_P(StoreContract, AWaitWithoutNewsEndsByItself) {
  store().wait(Duration(0));
  const auto began = BootClock::now();
  store().wait(milliseconds(20));
  EXPECT_LT(BootClock::now() - began, seconds(15));
}

TEST_P(StoreContract, TheClockIsTheStoresAndCanBeShiftedForTests) {
  const Time before = must(store().now());
  pass(hours(5));
  EXPECT_GE(must(store().now()), before + hours(5));
}

TEST_P(StoreContract, ManyThreadsMayUseOneHandle) {
  constexpr int kThreads = 4, kEach = 50;
  std::atomic<int> done = 0;
  std::vector<std::thread> threads;
  const Session mine = worker();
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < kEach; ++i) {
        const Uuid id = insert(new_job("a"));
        must(store().get(id));
        for (const Claim& c : must(store().exchange(mine, {}, slots(2))).claimed) {
          const Settlement s{c.job, c.token, Succeeded{}, {}, ""};
          done += code_of(must(store().exchange(mine, std::span(&s, 1), {})).settled.at(0)) == "ok";
        }
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(done + drain(), kThreads * kEach);
}

}  // namespace
}  // namespace spool
