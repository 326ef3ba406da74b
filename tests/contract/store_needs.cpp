// Edges between siblings: who waits for whom.
#include "contract/store_contract.h"

namespace spool {
namespace {

using std::chrono::seconds;

NewJob needing(std::string name, std::vector<Need> needs) {
  NewJob job = new_job("step", std::move(name));
  job.id = Uuid::v7();
  job.needs = std::move(needs);
  return job;
}

TEST_P(StoreContract, AJobWaitsForAllItNeeds) {
  const NewJob a = needing("a", {});
  const NewJob b = needing("b", {});
  const NewJob c = needing("c", {{a.id, false}, {b.id, true}});
  for (const auto& result : insert_all({a, b, c})) EXPECT_EQ(code_of(result), "ok");
  EXPECT_EQ(state(c.id), State::kWaiting);
  EXPECT_EQ(get(c.id).needs.size(), 2u);
  EXPECT_EQ(get(c.id).needs[1].job, b.id);
  EXPECT_TRUE(get(c.id).needs[1].ignore_failure);
  const auto first = claim();
  ASSERT_EQ(first.size(), 2u);
  settle(first[0], Succeeded{});
  EXPECT_EQ(state(c.id), State::kWaiting);
  settle(first[1], Succeeded{});
  EXPECT_EQ(claim_one().job, c.id);
}

TEST_P(StoreContract, NeedsThatEndInOneBatchWakeOnce) {
  const NewJob a = needing("a", {});
  const NewJob b = needing("b", {});
  const NewJob c = needing("c", {{a.id, false}, {b.id, false}});
  insert_all({a, b, c});
  const auto first = claim();
  const std::vector<Settlement> both = {settlement(first[0], Succeeded{}), settlement(first[1], Succeeded{})};
  const Exchange done = must(store().exchange(worker(), both, slots(10)));
  ASSERT_EQ(done.claimed.size(), 1u);
  EXPECT_EQ(done.claimed[0].job, c.id);
}

TEST_P(StoreContract, ANeedThatSucceededBeforeIsNoNeed) {
  const Uuid a = insert(new_job("a"));
  drain();
  const NewJob b = needing("b", {{a, false}});
  insert(b);
  EXPECT_EQ(state(b.id), State::kAvailable);
}

TEST_P(StoreContract, WhatNeedsAFailedJobFailsWithoutRunningAndSoOn) {
  const NewJob a = needing("a", {});
  const NewJob b = needing("b", {{a.id, false}});
  const NewJob c = needing("c", {{b.id, false}});
  insert_all({a, b, c});
  settle(claim_one(), Failed{broken()});
  EXPECT_EQ(state(b.id), State::kFailed);
  EXPECT_EQ(state(c.id), State::kFailed);
  EXPECT_EQ(get(b.id).attempts, 0);
  EXPECT_NE(get(b.id).errors.at(0).error.message.find("needs a"), std::string::npos);
}

TEST_P(StoreContract, WhatNeedsACancelledJobIsCancelled) {
  const NewJob a = needing("a", {});
  const NewJob b = needing("b", {{a.id, false}});
  insert_all({a, b});
  must(store().cancel(a.id));
  EXPECT_EQ(state(b.id), State::kCancelled);
}

TEST_P(StoreContract, AFailureThatIsIgnoredIsAnEndLikeOthers) {
  const NewJob a = needing("a", {});
  const NewJob b = needing("b", {{a.id, true}});
  insert_all({a, b});
  settle(claim_one(), Failed{broken()});
  EXPECT_EQ(claim_one().job, b.id);
}

TEST_P(StoreContract, WhatNeedsAJobThatHadFailedFailsAtOnce) {
  const Uuid a = insert(new_job("a"));
  settle(claim_one(), Failed{broken()});
  const NewJob b = needing("b", {{a, false}});
  const NewJob c = needing("c", {{a, true}});
  const NewJob d = needing("d", {{b.id, false}});
  insert_all({b, c, d});
  EXPECT_EQ(state(b.id), State::kFailed);
  EXPECT_EQ(state(c.id), State::kAvailable);
  EXPECT_EQ(state(d.id), State::kFailed);
}

TEST_P(StoreContract, ANeedMustExist) {
  const NewJob a = needing("a", {{Uuid::v7(), false}});
  EXPECT_EQ(insert_code(a), "not_found");
}

TEST_P(StoreContract, ANeedOnALaterJobOfTheBatchDoesNotExistYet) {
  const NewJob later = needing("later", {});
  const auto results = insert_all({needing("early", {{later.id, false}}), later});
  EXPECT_EQ(code_of(results[0]), "not_found");
  EXPECT_EQ(code_of(results[1]), "ok");
}

TEST_P(StoreContract, ANeedOnARefusedJobOfTheBatchIsRefusedToo) {
  NewJob bad = needing("bad", {});
  bad.slots = -1;
  const auto results = insert_all({bad, needing("b", {{bad.id, false}})});
  EXPECT_EQ(code_of(results[0]), "invalid_argument");
  EXPECT_EQ(code_of(results[1]), "not_found");
}

TEST_P(StoreContract, OnlySiblingsCanNeedEachOther) {
  const NewJob root = needing("root", {});
  NewJob child = needing("child", {});
  child.parent = root.id;
  insert_all({root, child});
  NewJob upward = needing("upward", {{root.id, false}});
  upward.parent = root.id;
  EXPECT_EQ(insert_code(upward), "invalid_argument") << "it would wait for its parent, which waits for it";
  EXPECT_EQ(insert_code(needing("aunt", {{child.id, false}})), "invalid_argument");
}

TEST_P(StoreContract, ANeedCannotBeNamedTwice) {
  const NewJob a = needing("a", {});
  EXPECT_EQ(code_of(insert_all({a, needing("b", {{a.id, false}, {a.id, true}})})[1]), "invalid_argument");
}

TEST_P(StoreContract, ADelayRunsWhileNeedsAreOpen) {
  const NewJob a = needing("a", {});
  NewJob b = needing("b", {{a.id, false}});
  b.delay = seconds(60);
  NewJob c = needing("c", {{a.id, false}});
  c.delay = seconds(10);
  insert_all({a, b, c});
  pass(seconds(30));
  settle(claim_one(), Succeeded{});
  EXPECT_EQ(state(b.id), State::kScheduled);
  EXPECT_EQ(state(c.id), State::kAvailable);
  pass(seconds(31));
  EXPECT_EQ(claim().size(), 2u);
}

TEST_P(StoreContract, AHeldJobWithOpenNeedsWaitsAfterItsStart) {
  const NewJob a = needing("a", {});
  NewJob b = needing("b", {{a.id, false}});
  b.held = true;
  NewJob c = b;
  c.id = Uuid::v7();
  insert_all({a, b, c});
  must(store().start(b.id));
  EXPECT_EQ(state(b.id), State::kWaiting);
  settle(claim_one(), Succeeded{});
  EXPECT_EQ(state(b.id), State::kAvailable);
  EXPECT_EQ(state(c.id), State::kCreated) << "its needs ended, its owner has not started it";
  must(store().start(c.id));
  EXPECT_EQ(claim().size(), 2u);
}

}  // namespace
}  // namespace spool
