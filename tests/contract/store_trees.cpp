// Parents and their children: fan-outs, phases, failures that travel upward.
#include <latch>
#include <thread>

#include "contract/store_contract.h"

namespace spool {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

NewJob child(std::string name, bool optional = false) {
  NewJob job = new_job("work", std::move(name));
  job.optional = optional;
  return job;
}

NewJob child_of(const Uuid& parent, std::string name) {
  NewJob job = child(std::move(name));
  job.parent = parent;
  return job;
}

TEST_P(StoreContract, AFanOutParksTheParentUntilItsChildrenEnded) {
  const Uuid parent = insert(new_job("film"));
  const Claim plan = claim_one();
  EXPECT_EQ(settle(plan, FanOut{{child("one"), child("two")}, "assemble", false}), "ok");
  EXPECT_EQ(state(parent), State::kWaiting);
  EXPECT_EQ(get(parent).phase, "assemble");
  const auto work = claim();
  ASSERT_EQ(work.size(), 2u);
  EXPECT_EQ(work[0].parent, parent);
  EXPECT_EQ(work[0].root, parent);
  settle(work[1], Succeeded{{{"n", 2}}});
  EXPECT_EQ(state(parent), State::kWaiting);
  settle(work[0], Succeeded{{{"n", 1}}});
  EXPECT_EQ(state(parent), State::kAvailable);
  const Claim assemble = claim_one();
  EXPECT_EQ(assemble.job, parent);
  EXPECT_EQ(assemble.phase, "assemble");
  EXPECT_EQ(assemble.attempt, 1) << "a new phase has fresh attempts";
  EXPECT_NE(assemble.token, plan.token);
  ASSERT_EQ(assemble.children.size(), 2u);
  EXPECT_EQ(assemble.children[0].name, "one") << "in the order of insertion, not of their ends";
  EXPECT_EQ(assemble.children[0].result, (Json{{"n", 1}}));
  EXPECT_EQ(assemble.children[0].token, work[0].token);
  EXPECT_EQ(assemble.children[1].result, (Json{{"n", 2}}));
  EXPECT_EQ(settle(assemble, Succeeded{}), "ok");
  EXPECT_EQ(state(parent), State::kSucceeded);
  EXPECT_TRUE(claim().empty());
}

TEST_P(StoreContract, ChildrenThatSettleAtOnceWakeTheParentOnce) {
  insert(new_job("film"));
  FanOut out{{}, "assemble", false};
  for (int i = 0; i < 50; ++i) out.children.push_back(child(std::to_string(i)));
  settle(claim_one(), out);
  std::vector<Settlement> all;
  for (const Claim& c : claim()) all.push_back(settlement(c, Succeeded{}));
  ASSERT_EQ(all.size(), 50u);
  const Exchange done = must(store().exchange(worker(), all, slots(10)));
  ASSERT_EQ(done.claimed.size(), 1u) << "woken in the same commit, and once";
  EXPECT_EQ(done.claimed[0].phase, "assemble");
}

TEST_P(StoreContract, LastSiblingsThatSettleThroughTwoHandlesLeaveNoParentWaiting) {
  const Session mine = worker();
  Store& second = other();
  for (int round = 0; round < 50; ++round) {
    const Uuid parent = insert(new_job("film"));
    settle(claim_one(), FanOut{{child("one"), child("two")}, "assemble", false});
    const auto work = claim();
    ASSERT_EQ(work.size(), 2u);
    std::latch together(2);
    const auto end = [&](Store& handle, const Claim& claimed) {
      const Settlement s = settlement(claimed, Succeeded{});
      together.arrive_and_wait();
      std::string code;
      do code = code_of(must(handle.exchange(mine, std::span(&s, 1), {})).settled.at(0));
      while (code == "unavailable");
      EXPECT_EQ(code, "ok");
    };
    std::thread thread([&] { end(second, work[1]); });
    end(store(), work[0]);
    thread.join();
    ASSERT_EQ(state(parent), State::kAvailable) << round;
    settle(claim_one(), Succeeded{});
  }
}

TEST_P(StoreContract, AnEmptyFanOutGoesOnToTheNextPhase) {
  const Uuid parent = insert(new_job("film"));
  settle(claim_one(), FanOut{{}, "second", false});
  EXPECT_EQ(state(parent), State::kAvailable);
  const Claim second = claim_one();
  EXPECT_EQ(second.phase, "second");
  settle(second, FanOut{{child("late")}, "third", false});
  settle(claim_one(), Succeeded{});
  const Claim third = claim_one();
  EXPECT_EQ(third.phase, "third");
  EXPECT_EQ(third.children.size(), 1u);
}

TEST_P(StoreContract, AFanOutIsWholeOrNotAtAll) {
  const Uuid parent = insert(new_job("film"));
  NewJob bad = child("bad");
  bad.slots = 0;
  EXPECT_EQ(settle(claim_one(), FanOut{{child("good"), bad}, "assemble", false}), "ok");
  EXPECT_EQ(state(parent), State::kFailed);
  EXPECT_EQ(get(parent).errors.at(0).error.code, Code::kInvalidArgument);
  EXPECT_NE(get(parent).errors.at(0).error.message.find("bad"), std::string::npos);
  EXPECT_EQ(must(store().list({})).size(), 1u) << "the good child is not there either";
  EXPECT_TRUE(claim().empty());
  insert(new_job("after"));
  EXPECT_EQ(claim().size(), 1u);
}

TEST_P(StoreContract, AFanOutThatIsRefusedSparesItsBatch) {
  insert(new_job("film"));
  const Uuid fine = insert(new_job("fine"));
  const auto claimed = claim(2);
  NewJob bad = child("bad");
  bad.queue = "a lane that is taken back";
  NewJob worse = bad;
  worse.kind = "";
  const std::vector<Settlement> batch = {settlement(claimed[0], FanOut{{bad, worse}, "assemble", false}),
                                         settlement(claimed[1], Succeeded{})};
  must(store().exchange(worker(), batch, {}));
  EXPECT_EQ(state(fine), State::kSucceeded);
  const Uuid again = insert(bad);
  EXPECT_EQ(claim_one().job, again);
}

TEST_P(StoreContract, ChildrenOfOneFanOutMayNeedEachOther) {
  insert(new_job("film"));
  NewJob first = child("first");
  first.id = Uuid::v7();
  NewJob second = child("second");
  second.needs = {{first.id, false}};
  settle(claim_one(), FanOut{{first, second}, "assemble", false});
  auto work = claim();
  ASSERT_EQ(work.size(), 1u);
  EXPECT_EQ(work[0].name, "first");
  settle(work[0], Succeeded{});
  work = claim();
  ASSERT_EQ(work.size(), 1u);
  EXPECT_EQ(work[0].name, "second");
  settle(work[0], Succeeded{});
  EXPECT_EQ(claim_one().phase, "assemble");
}

TEST_P(StoreContract, AFailedChildStopsNoSiblingAndFailsTheParentByName) {
  const Uuid parent = insert(new_job("film"));
  settle(claim_one(), FanOut{{child("left"), child("right")}, "assemble", false});
  const auto work = claim();
  settle(work[0], Failed{broken("bad frame")});
  EXPECT_EQ(state(parent), State::kWaiting);
  EXPECT_EQ(state(work[1].job), State::kRunning);
  EXPECT_FALSE(get(work[1].job).cancel_requested);
  settle(work[1], Succeeded{});
  const Job failed = get(parent);
  EXPECT_EQ(failed.state, State::kFailed);
  ASSERT_EQ(failed.errors.size(), 1u);
  const Error& error = failed.errors[0].error;
  EXPECT_EQ(error.code, Code::kCorruptInput);
  EXPECT_NE(error.message.find("left"), std::string::npos);
  EXPECT_NE(error.message.find("bad frame"), std::string::npos);
  EXPECT_EQ(error.message.find("right"), std::string::npos);
  EXPECT_TRUE(claim().empty());
}

TEST_P(StoreContract, AFailureTravelsUpThroughSeveralLevels) {
  const Uuid top = insert(new_job("pipeline"));
  settle(claim_one(), FanOut{{child("step")}, "end", false});
  settle(claim_one(), FanOut{{child("chunk")}, "assemble", false});
  settle(claim_one(), Failed{broken("deep down")});
  EXPECT_EQ(state(top), State::kFailed);
  EXPECT_NE(get(top).errors.at(0).error.message.find("deep down"), std::string::npos);
}

TEST_P(StoreContract, AnOptionalChildMayFail) {
  insert(new_job("film"));
  settle(claim_one(), FanOut{{child("must"), child("may", true)}, "assemble", false});
  const auto work = claim();
  settle(work[1], Failed{broken()});
  settle(work[0], Succeeded{});
  const Claim assemble = claim_one();
  ASSERT_EQ(assemble.children.size(), 2u);
  EXPECT_EQ(assemble.children[1].state, State::kFailed);
  EXPECT_TRUE(assemble.children[1].result.is_null());
}

TEST_P(StoreContract, FailFastCancelsTheSiblingsOfAFailedChild) {
  const Uuid parent = insert(new_job("film"));
  FanOut out{{child("bad"), child("runs"), child("may", true), child("queued")}, "assemble", true};
  settle(claim_one(), out);
  const auto work = claim(3);
  settle(work[2], Failed{broken("optional ones do not count")});
  EXPECT_FALSE(get(work[1].job).cancel_requested);
  settle(work[0], Failed{broken("bad frame")});
  JobFilter queued;
  queued.parent = parent;
  EXPECT_EQ(must(store().list(queued)).at(3).state, State::kCancelled);
  EXPECT_TRUE(get(work[1].job).cancel_requested);
  EXPECT_EQ(state(parent), State::kWaiting) << "the parent ends last";
  settle(work[1], Failed{broken("stopped")});
  EXPECT_EQ(state(work[1].job), State::kCancelled);
  EXPECT_EQ(state(parent), State::kFailed);
  const std::string message = get(parent).errors.at(0).error.message;
  EXPECT_LT(message.find("bad frame"), message.find("runs")) << message;
}

TEST_P(StoreContract, ManyFailedChildrenAreCountedAndAFewNamed) {
  const Uuid parent = insert(new_job("film"));
  FanOut out{{}, "assemble", false};
  for (int i = 0; i < 30; ++i) out.children.push_back(child("chunk " + std::to_string(i)));
  settle(claim_one(), out);
  for (const Claim& c : claim()) settle(c, Failed{broken()});
  const std::string message = get(parent).errors.at(0).error.message;
  EXPECT_NE(message.find("30"), std::string::npos) << message;
  EXPECT_LT(message.size(), 1000u);
}

TEST_P(StoreContract, ChildrenInsertedBelowAJobAreWaitedFor) {
  NewJob root = new_job("pipeline");
  root.id = Uuid::v7();
  const auto results = insert_all({root, child_of(root.id, "one"), child_of(root.id, "two")});
  for (const auto& result : results) EXPECT_EQ(code_of(result), "ok");
  EXPECT_EQ(state(root.id), State::kWaiting);
  insert(child_of(root.id, "three"));
  const auto work = claim();
  ASSERT_EQ(work.size(), 3u);
  for (const Claim& c : work) settle(c, Succeeded{});
  const Claim top = claim_one();
  EXPECT_EQ(top.job, root.id);
  EXPECT_EQ(top.phase, "");
  EXPECT_EQ(top.children.size(), 3u);
}

TEST_P(StoreContract, BelowARunningOrEndedJobNothingIsInserted) {
  const Uuid parent = insert(new_job("film"));
  const Claim running = claim_one();
  EXPECT_EQ(insert_code(child_of(parent, "one")), "conflict");
  settle(running, Succeeded{});
  EXPECT_EQ(insert_code(child_of(parent, "one")), "conflict");
  EXPECT_EQ(must(store().list({})).size(), 1u);
}

TEST_P(StoreContract, BelowAHeldJobAllIsHeldUntilTheTreeIsStarted) {
  NewJob root = new_job("pipeline");
  root.held = true;
  const Uuid id = insert(root);
  const Uuid one = insert(child_of(id, "one"));
  EXPECT_EQ(state(one), State::kCreated);
  EXPECT_TRUE(claim().empty());
  must(store().start(id));
  EXPECT_EQ(state(one), State::kAvailable);
  EXPECT_EQ(state(id), State::kWaiting);
  settle(claim_one(), Succeeded{});
  EXPECT_EQ(claim_one().job, id);
}

TEST_P(StoreContract, ChildrenOfAFanOutStandWhereTheirParentStands) {
  NewJob root = new_job("film");
  root.owner = "ada";
  root.queue = "media";
  root.tags = {"gpu", "big"};
  root.priority = 3;
  insert(root);
  ClaimRequest want = slots(100);
  want.queues = {"media"};
  want.tags = {"big", "gpu"};
  const auto claim_there = [&] { return must(store().exchange(worker(), {}, want)).claimed; };
  NewJob eve = child("eve");
  eve.owner = "eve";
  eve.queue = "other";
  eve.tags = {"tape"};
  eve.priority = 1000;
  NewJob wide = child("wide");
  wide.slots = 2;
  settle(claim_there().at(0), FanOut{{eve, wide}, "assemble", false});
  const auto work = claim_there();
  ASSERT_EQ(work.size(), 2u);
  for (const Claim& claimed : work) {
    const Job job = get(claimed.job);
    EXPECT_EQ(claimed.owner, "ada");
    EXPECT_EQ(job.owner, "ada");
    EXPECT_EQ(job.queue, "media");
    EXPECT_EQ(job.tags, (std::vector<std::string>{"big", "gpu"}));
    EXPECT_EQ(job.priority, 3);
    settle(claimed, FanOut{{child("below")}, "", false});
  }
  EXPECT_EQ(work[1].slots, 2) << "its width is its own";
  for (const Claim& below : claim_there()) EXPECT_EQ(get(below.job).owner, "ada");
}

TEST_P(StoreContract, ATreeKeepsItsPlaceInLineUntilItHasEnded) {
  const auto order = [&](int free) {
    std::vector<std::string> names;
    for (const Claim& c : claim(free)) names.push_back(c.name);
    return names;
  };
  using Names = std::vector<std::string>;
  insert(new_job("film", "first"));
  const Claim plan = claim_one();
  pass(seconds(1));
  insert(new_job("film", "second"));
  pass(seconds(1));
  settle(plan, FanOut{{child("one"), child("two")}, "assemble", false});
  const auto work = claim(2);
  EXPECT_EQ(work.at(0).name + work.at(1).name, "onetwo") << "its parts before what came meanwhile";
  settle(work[0], RetryLater{{Code::kInternal, "once more", 0}, seconds(5)});
  pass(seconds(10));
  const Claim again = claim_one();
  EXPECT_EQ(again.name, "one") << "and again after a failure";
  settle(again, Succeeded{});
  settle(work[1], Succeeded{});
  EXPECT_EQ(order(1), Names{"first"}) << "and its last phase";
  EXPECT_EQ(order(1), Names{"second"});
}

TEST_P(StoreContract, ATreeThatIsDueLaterHasItsPlaceByThen) {
  NewJob later = new_job("film", "later");
  later.delay = seconds(10);
  const Uuid top = insert(later);
  pass(seconds(5));
  insert(new_job("film", "now"));
  insert(child_of(top, "part"));
  pass(seconds(10));
  insert(new_job("film", "last"));
  std::string names;
  for (const Claim& c : claim()) names += c.name + " ";
  EXPECT_EQ(names, "now part last ");
}

TEST_P(StoreContract, WhatIsPutOffGoesToTheEndOfTheLine) {
  const auto next = [&](int free = 1) {
    std::string names;
    for (const Claim& c : claim(free)) names += c.name;
    return names;
  };
  const Uuid film = insert(new_job("film", "first"));
  const Claim put_off = claim_one();
  insert(new_job("film", "second"));
  pass(seconds(1));
  settle(put_off, Snooze{Duration(0)});
  insert(new_job("film", "third"));
  EXPECT_EQ(next(), "second") << "else who snoozes again and again would keep all others from their turn";
  const Claim again = claim_one();
  EXPECT_EQ(again.job, film);
  settle(again, Snooze{seconds(10)});
  pass(seconds(5));
  insert(new_job("film", "fourth"));
  pass(seconds(6));
  insert(new_job("film", "fifth"));
  EXPECT_EQ(next(2), "thirdfourth");
  const Claim due = claim_one();
  EXPECT_EQ(due.job, film);
  settle(due, FanOut{{child("part")}, "assemble", false});
  EXPECT_EQ(next(2), "partfifth") << "its parts have the place that it has now";
}

TEST_P(StoreContract, AHeldTreeHasItsPlaceFromItsStartOn) {
  NewJob held = new_job("film", "held");
  held.held = true;
  const Uuid top = insert(held);
  insert(child_of(top, "part"));
  pass(seconds(1));
  insert(new_job("film", "first"));
  pass(seconds(1));
  must(store().start(top));
  pass(seconds(1));
  insert(new_job("film", "last"));
  std::string names;
  for (const Claim& c : claim()) names += c.name + " ";
  EXPECT_EQ(names, "first part last ");
}

TEST_P(StoreContract, ATreesDeadlineEndsAllOfIt) {
  NewJob root = new_job("film");
  root.deadline = seconds(100);
  const Uuid id = insert(root);
  settle(claim_one(), FanOut{{child("runs"), child("queued")}, "assemble", false});
  const Claim runs = claim_one();
  EXPECT_LE(runs.until_deadline.value(), seconds(100));
  EXPECT_EQ(runs.timeout, std::nullopt) << "a deadline is no timeout: the kind's counts still";
  pass(seconds(101));
  must(store().rescue());
  EXPECT_EQ(state(id), State::kWaiting) << "the parent ends last";
  EXPECT_EQ(must(store().renew(worker())).past_deadline, std::vector<Uuid>{runs.job});
  settle(runs, Released{});
  JobFilter tree;
  tree.root = id;
  for (const Job& job : must(store().list(tree))) {
    EXPECT_EQ(job.state, State::kFailed);
    EXPECT_EQ(job.errors.at(0).error.code, Code::kTimeout);
  }
}

TEST_P(StoreContract, AChildsOwnDeadlineCannotExceedItsTrees) {
  NewJob root = new_job("film");
  root.deadline = seconds(100);
  insert(root);
  NewJob slow = child("slow");
  slow.deadline = hours(1);
  NewJob quick = child("quick");
  quick.deadline = seconds(10);
  settle(claim_one(), FanOut{{slow, quick}, "assemble", false});
  const auto work = claim();
  EXPECT_LE(work[0].until_deadline.value(), seconds(100));
  EXPECT_LE(work[1].until_deadline.value(), seconds(10));
}

TEST_P(StoreContract, AnAttemptOfALaterPhaseThatIsRepeatedSeesTheChildrenAgain) {
  insert(new_job("film"));
  settle(claim_one(), FanOut{{child("one")}, "assemble", false});
  settle(claim_one(), Succeeded{});
  settle(claim_one(), RetryLater{broken(), Duration(0)});
  const Claim again = claim_one();
  EXPECT_EQ(again.phase, "assemble");
  EXPECT_EQ(again.attempt, 2);
  EXPECT_EQ(again.children.size(), 1u);
}

}  // namespace
}  // namespace spool
