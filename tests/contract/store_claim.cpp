// Who gets which job, and in which order.
#include <set>
#include <thread>

#include "contract/store_contract.h"

namespace spool {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

TEST_P(StoreContract, AClaimHoldsWhatAnAttemptNeeds) {
  NewJob job = new_job("encode", "chunk");
  job.args = {{"crf", 23}};
  job.owner = "ada";
  job.slots = 2;
  job.timeout = seconds(10);
  job.most_attempts = 4;
  const Uuid id = insert(job);
  const Claim claimed = claim(2).at(0);
  EXPECT_EQ(claimed.job, id);
  EXPECT_EQ(claimed.root, id);
  EXPECT_EQ(claimed.parent, std::nullopt);
  EXPECT_FALSE(claimed.token.is_nil());
  EXPECT_EQ(claimed.kind, "encode");
  EXPECT_EQ(claimed.name, "chunk");
  EXPECT_EQ(claimed.owner, "ada");
  EXPECT_EQ(claimed.args, job.args);
  EXPECT_EQ(claimed.phase, "");
  EXPECT_EQ(claimed.attempt, 1);
  EXPECT_EQ(claimed.most_attempts, 4);
  EXPECT_EQ(claimed.slots, 2);
  EXPECT_EQ(claimed.timeout, Duration(seconds(10)));
  EXPECT_TRUE(claimed.checkpoint.is_null());
  EXPECT_TRUE(claimed.children.empty());
  const Job running = get(id);
  EXPECT_EQ(running.state, State::kRunning);
  EXPECT_EQ(running.worker, "here:7");
  EXPECT_EQ(running.token, claimed.token);
  EXPECT_EQ(running.attempts, 1);
  EXPECT_TRUE(running.claimed.has_value());
}

TEST_P(StoreContract, AJobIsClaimedOnce) {
  insert(new_job("a"));
  EXPECT_EQ(claim().size(), 1u);
  EXPECT_TRUE(claim().empty());
  EXPECT_TRUE(must(other().exchange(worker(), {}, slots(10))).claimed.empty());
}

TEST_P(StoreContract, WithoutFreeSlotsNothingIsClaimed) {
  insert(new_job("a"));
  EXPECT_TRUE(claim(0).empty());
  EXPECT_EQ(must(store().counts()).at(0).counts[static_cast<int>(State::kAvailable)], 1);
}

TEST_P(StoreContract, AClaimTakesNoMoreThanItHasSlotsFor) {
  for (int i = 0; i < 5; ++i) insert(new_job("a"));
  EXPECT_EQ(claim(3).size(), 3u);
  ClaimRequest want = slots(10);
  want.most_jobs = 1;
  EXPECT_EQ(must(store().exchange(worker(), {}, want)).claimed.size(), 1u);
}

TEST_P(StoreContract, JobsComeInTheOrderOfTheirInsertion) {
  std::vector<Uuid> ids;
  for (int i = 0; i < 20; ++i) ids.push_back(insert(new_job("a")));
  std::vector<Uuid> claimed;
  for (int i = 0; i < 4; ++i)
    for (const Claim& c : claim(5)) claimed.push_back(c.job);
  EXPECT_EQ(claimed, ids);
}

TEST_P(StoreContract, APriorityStepIsWorthFiveMinutesOfWaiting) {
  const Uuid old = insert(new_job("old"));
  pass(minutes(4));
  NewJob urgent = new_job("urgent");
  urgent.priority = 1;
  const Uuid first = insert(urgent);
  pass(minutes(2));
  const Uuid too_late = insert(urgent);
  const auto claimed = claim();
  ASSERT_EQ(claimed.size(), 3u);
  EXPECT_EQ(claimed[0].job, first);
  EXPECT_EQ(claimed[1].job, old) << "nobody starves";
  EXPECT_EQ(claimed[2].job, too_late);
}

TEST_P(StoreContract, TheOrderHoldsOverSeveralLanes) {
  std::vector<Uuid> ids;
  for (int i = 0; i < 12; ++i) {
    NewJob job = new_job("a");
    job.queue = i % 3 == 0 ? "x" : "y";
    if (i % 4 == 0) job.tags = {"gpu"};
    ids.push_back(insert(job));
    pass(seconds(1));
  }
  ClaimRequest want = slots(12);
  want.tags = {"gpu", "more"};
  std::vector<Uuid> claimed;
  for (const Claim& c : must(store().exchange(worker(), {}, want)).claimed) claimed.push_back(c.job);
  EXPECT_EQ(claimed, ids);
}

TEST_P(StoreContract, AWorkerGetsOnlyJobsOfItsQueues) {
  NewJob job = new_job("a");
  job.queue = "x";
  insert(job);
  job.queue = "y";
  const Uuid mine = insert(job);
  ClaimRequest want = slots(10);
  want.queues = {"y", "z"};
  const auto claimed = must(store().exchange(worker(), {}, want)).claimed;
  ASSERT_EQ(claimed.size(), 1u);
  EXPECT_EQ(claimed[0].job, mine);
}

TEST_P(StoreContract, AWorkerMustHaveAllTagsOfAJob) {
  NewJob job = new_job("a");
  job.tags = {"gpu", "big"};
  insert(job);
  ClaimRequest want = slots(10);
  want.tags = {"gpu"};
  EXPECT_TRUE(must(store().exchange(worker(), {}, want)).claimed.empty());
  want.tags = {"big", "gpu", "ssd"};
  EXPECT_EQ(must(store().exchange(worker(), {}, want)).claimed.size(), 1u);
}

TEST_P(StoreContract, APollFindsWhatAnyClaimFinds) {
  const auto poll = [&] {
    ClaimRequest want = slots(1);
    want.poll = true;
    std::string names;
    for (const Claim& c : must(store().exchange(worker(), {}, want)).claimed) names += c.name;
    return names;
  };
  EXPECT_EQ(poll(), "");
  insert(new_job("a", "there"));
  EXPECT_EQ(poll(), "there");
  EXPECT_EQ(poll(), "");
  NewJob later = new_job("a", "later");
  later.delay = minutes(1);
  insert(later);
  EXPECT_EQ(poll(), "");
  pass(minutes(1));
  EXPECT_EQ(poll(), "later");
  NewJob late = new_job("a", "late");
  late.deadline = minutes(1);
  late.tags = {"nowhere"};
  const Uuid id = insert(late);
  pass(minutes(2));
  EXPECT_EQ(poll(), "");
  EXPECT_EQ(state(id), State::kFailed);
  must(store().close_session(worker()));
  ClaimRequest want = slots(1);
  want.poll = true;
  EXPECT_EQ(code_of(store().exchange(worker(), {}, want)), "lease_lost");
}

TEST_P(StoreContract, AWideJobAtTheHeadReservesSlots) {
  insert(new_job("small"));
  NewJob wide = new_job("wide");
  wide.slots = 4;
  const Uuid id = insert(wide);
  insert(new_job("small"));
  const auto first = must(store().exchange(worker(), {}, slots(3, 4))).claimed;
  ASSERT_EQ(first.size(), 1u) << "the two slots left over are kept for the wide job";
  EXPECT_EQ(settle(first[0], Succeeded{}), "ok");
  const auto second = must(store().exchange(worker(), {}, slots(4, 4))).claimed;
  ASSERT_EQ(second.size(), 1u);
  EXPECT_EQ(second[0].job, id);
}

TEST_P(StoreContract, AJobWiderThanTheWorkerHoldsNobodyUp) {
  NewJob wide = new_job("wide");
  wide.slots = 9;
  insert(wide);
  const Uuid small = insert(new_job("small"));
  const auto claimed = must(store().exchange(worker(), {}, slots(2, 8))).claimed;
  ASSERT_EQ(claimed.size(), 1u);
  EXPECT_EQ(claimed[0].job, small);
}

TEST_P(StoreContract, AnotherHandleSeesWhatWasInserted) {
  const Uuid id = insert(new_job("a"));
  const auto claimed = must(other().exchange(worker(), {}, slots(1))).claimed;
  ASSERT_EQ(claimed.size(), 1u);
  EXPECT_EQ(claimed[0].job, id);
  NewJob fresh = new_job("a");
  fresh.queue = "a queue that the other handle has not met";
  insert(fresh);
  EXPECT_EQ(must(other().exchange(worker(), {}, slots(1))).claimed.size(), 1u);
}

TEST_P(StoreContract, HandlesThatClaimAtOnceShareTheJobs) {
  constexpr int kJobs = 400;
  std::vector<NewJob> jobs(kJobs, new_job("a"));
  insert_all(jobs);
  const Session mine = worker();
  std::vector<Uuid> got[2];
  const auto work = [&](Store& handle, std::vector<Uuid>& into) {
    for (;;) {
      const auto claimed = must(handle.exchange(mine, {}, slots(3))).claimed;
      if (claimed.empty()) return;
      for (const Claim& c : claimed) into.push_back(c.job);
    }
  };
  Store& second = other();
  std::thread thread([&] { work(second, got[1]); });
  work(store(), got[0]);
  thread.join();
  std::set<Uuid> all(got[0].begin(), got[0].end());
  all.insert(got[1].begin(), got[1].end());
  EXPECT_EQ(all.size(), static_cast<std::size_t>(kJobs));
  EXPECT_EQ(got[0].size() + got[1].size(), static_cast<std::size_t>(kJobs)) << "none was claimed twice";
}

TEST_P(StoreContract, AClaimTellsItsTimeoutAndWhatIsLeftUntilTheDeadline) {
  NewJob job = new_job("a");
  job.timeout = seconds(60);
  job.deadline = seconds(100);
  insert(job);
  pass(seconds(70));
  const Claim claimed = claim_one();
  EXPECT_EQ(claimed.timeout, Duration(seconds(60)));
  ASSERT_TRUE(claimed.until_deadline.has_value());
  EXPECT_LE(*claimed.until_deadline, seconds(30));
  EXPECT_GT(*claimed.until_deadline, seconds(25));
}

TEST_P(StoreContract, WithoutADeadlineThereIsNothingToBeLate) {
  NewJob in_a_tree = new_job("a");
  in_a_tree.unique_key = "k";
  insert(new_job("a"));
  insert(in_a_tree);
  for (const Claim& claimed : claim(2)) {
    EXPECT_EQ(claimed.until_deadline, std::nullopt);
    EXPECT_EQ(claimed.timeout, std::nullopt);
  }
}

TEST_P(StoreContract, ADeadlineAloneIsNoTimeout) {
  NewJob job = new_job("a");
  job.deadline = seconds(100);
  insert(job);
  const Claim claimed = claim_one();
  EXPECT_EQ(claimed.timeout, std::nullopt);
  EXPECT_LE(claimed.until_deadline.value(), seconds(100));
}

}  // namespace
}  // namespace spool
