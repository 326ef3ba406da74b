// How attempts end, and that only the one that holds the token may say so.
#include <algorithm>
#include <limits>

#include "contract/store_contract.h"

namespace spool {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

TEST_P(StoreContract, ASuccessKeepsItsResultAndToken) {
  const Uuid id = insert(new_job("a"));
  const Claim claimed = claim_one();
  Settlement s = settlement(claimed, Succeeded{{{"frames", 240}}});
  s.usage = {1.5, 1000, 20, 30};
  EXPECT_EQ(code_of(must(store().exchange(worker(), std::span(&s, 1), {})).settled.at(0)), "ok");
  reopen();
  const Job job = get(id);
  EXPECT_EQ(job.state, State::kSucceeded);
  EXPECT_EQ(job.result, (Json{{"frames", 240}}));
  EXPECT_EQ(job.token, claimed.token);
  EXPECT_EQ(job.attempts, 1);
  EXPECT_EQ(job.progress, 1);
  EXPECT_EQ(job.usage.cpu_seconds, 1.5);
  EXPECT_EQ(job.usage.peak_memory_bytes, 1000);
  EXPECT_TRUE(job.claimed && job.ended);
  EXPECT_LE(*job.claimed, *job.ended);
  EXPECT_TRUE(job.errors.empty());
}

TEST_P(StoreContract, AWrongTokenSettlesNothing) {
  const Uuid id = insert(new_job("a"));
  Claim claimed = claim_one();
  const Token right = claimed.token;
  claimed.token = Token::random();
  EXPECT_EQ(settle(claimed, Succeeded{}), "lease_lost");
  EXPECT_EQ(state(id), State::kRunning);
  claimed.token = right;
  EXPECT_EQ(settle(claimed, Succeeded{}), "ok");
}

TEST_P(StoreContract, AnAttemptIsSettledOnce) {
  const Uuid id = insert(new_job("a"));
  const Claim claimed = claim_one();
  const std::vector<Settlement> twice = {settlement(claimed, Succeeded{{{"n", 1}}}),
                                         settlement(claimed, Succeeded{{{"n", 2}}})};
  const auto settled = must(store().exchange(worker(), twice, {})).settled;
  EXPECT_EQ(code_of(settled[0]), "ok");
  EXPECT_EQ(code_of(settled[1]), "lease_lost");
  EXPECT_EQ(settle(claimed, Failed{broken()}), "lease_lost");
  EXPECT_EQ(get(id).result, (Json{{"n", 1}}));
  EXPECT_EQ(state(id), State::kSucceeded);
}

TEST_P(StoreContract, ATokenOfAnEarlierAttemptIsStale) {
  const Uuid id = insert(new_job("a"));
  const Claim first = claim_one();
  settle(first, Released{});
  const Claim second = claim_one();
  EXPECT_NE(first.token, second.token);
  EXPECT_EQ(settle(first, Succeeded{}), "lease_lost");
  const ProgressReport late{id, first.token, 0.9, nullptr, Json{{"at", 1}}};
  EXPECT_EQ(code_of(must(store().report(std::span(&late, 1))).at(0)), "lease_lost");
  EXPECT_EQ(get(id).progress, 0);
  EXPECT_TRUE(get(id).checkpoint.is_null());
}

TEST_P(StoreContract, ASettlementOfAnUnknownJobIsALostLease) {
  Claim claimed;
  claimed.job = Uuid::v7();
  claimed.token = Token::random();
  EXPECT_EQ(settle(claimed, Succeeded{}), "lease_lost");
}

// Stores may work on many settlements at once: each must still be as if it had come alone.
TEST_P(StoreContract, ALargeBatchOfAllEndingsIsWhatItsPartsAre) {
  constexpr std::size_t kJobs = 90;
  insert_all(std::vector<NewJob>(kJobs, new_job("a")));
  const auto claimed = claim(kJobs);
  ASSERT_EQ(claimed.size(), kJobs);
  NewJob orphan = new_job("child");
  orphan.needs = {{Uuid::v7(), false}};
  std::vector<Settlement> batch;
  std::vector<std::string> expected;
  std::vector<State> states;
  const auto add = [&](const Claim& of, Ending ending, std::string code) {
    batch.push_back(settlement(of, std::move(ending)));
    expected.push_back(std::move(code));
  };
  for (std::size_t i = 0; i < kJobs; ++i) {
    Claim stale = claimed[i];
    stale.token = Token::random();
    if (i % 9 == 2) add(stale, Succeeded{}, "lease_lost");
    switch (i % 10) {
      case 6:
        add(claimed[i], Failed{broken()}, "ok");
        states.push_back(State::kFailed);
        break;
      case 7:
        add(claimed[i], FanOut{{new_job("child")}, "next", false}, "ok");
        states.push_back(State::kWaiting);
        break;
      case 8:
        add(claimed[i], FanOut{{new_job("child"), orphan}, "next", false}, "ok");
        states.push_back(State::kFailed);
        break;
      case 9:
        add(claimed[i], Snooze{minutes(1)}, "ok");
        states.push_back(State::kScheduled);
        break;
      default:
        add(claimed[i], Succeeded{{{"n", i}}}, "ok");
        states.push_back(State::kSucceeded);
    }
    if (i % 9 == 4) add(claimed[i], Succeeded{}, "lease_lost");
  }
  const auto settled = must(store().exchange(worker(), batch, {})).settled;
  ASSERT_EQ(settled.size(), expected.size());
  for (std::size_t i = 0; i < settled.size(); ++i) EXPECT_EQ(code_of(settled[i]), expected[i]) << i;
  std::vector<Uuid> ended, said;
  for (std::size_t i = 0; i < kJobs; ++i) {
    const Job job = get(claimed[i].job);
    EXPECT_EQ(job.state, states[i]) << i;
    EXPECT_EQ(job.result, states[i] == State::kSucceeded ? (Json{{"n", i}}) : Json(nullptr)) << i;
    if (spool::ended(job.state)) ended.push_back(job.id);
  }
  for (const OutcomeRecord& outcome : must(store().outcomes_since(0, 1000))) said.push_back(outcome.job);
  std::sort(said.begin(), said.end());  // of one commit; ids ascend as they were inserted
  EXPECT_EQ(said, ended);
  EXPECT_EQ(claim(1000).size(), kJobs / 10);  // the children
}

TEST_P(StoreContract, OneBadSettlementInABatchFailsAlone) {
  const Uuid a = insert(new_job("a"));
  const Uuid b = insert(new_job("b"));
  const auto claimed = claim(2);
  Claim wrong = claimed[0];
  wrong.token = Token::random();
  const std::vector<Settlement> batch = {settlement(wrong, Succeeded{}), settlement(claimed[1], Succeeded{}),
                                         settlement(claimed[0], Failed{broken()})};
  const auto settled = must(store().exchange(worker(), batch, {})).settled;
  EXPECT_EQ(code_of(settled[0]), "lease_lost");
  EXPECT_EQ(code_of(settled[1]), "ok");
  EXPECT_EQ(code_of(settled[2]), "ok");
  EXPECT_EQ(state(a), State::kFailed);
  EXPECT_EQ(state(b), State::kSucceeded);
}

TEST_P(StoreContract, SettlingAndClaimingAreOneCall) {
  for (int i = 0; i < 3; ++i) insert(new_job("a"));
  const auto claimed = claim(1);
  const Settlement s = settlement(claimed[0], Succeeded{});
  const Exchange both = must(store().exchange(worker(), std::span(&s, 1), slots(1)));
  EXPECT_EQ(code_of(both.settled.at(0)), "ok");
  EXPECT_EQ(both.claimed.size(), 1u);
}

TEST_P(StoreContract, AFailureIsKeptWithItsAttempt) {
  const Uuid id = insert(new_job("a"));
  const Claim claimed = claim_one();
  Settlement s = settlement(claimed, Failed{Error{Code::kCorruptInput, "no moov", -42}});
  s.usage = {2, 5, 6, 7};
  s.log_tail = "line\nlast line";
  must(store().exchange(worker(), std::span(&s, 1), {}));
  const Job job = get(id);
  EXPECT_EQ(job.state, State::kFailed);
  ASSERT_EQ(job.errors.size(), 1u);
  EXPECT_EQ(job.errors[0].attempt, 1);
  EXPECT_EQ(job.errors[0].error, (Error{Code::kCorruptInput, "no moov", -42}));
  EXPECT_EQ(job.errors[0].worker, "here:7");
  EXPECT_EQ(job.errors[0].log_tail, "line\nlast line");
  EXPECT_EQ(job.errors[0].usage.bytes_read, 6);
  EXPECT_LE(job.errors[0].began, job.errors[0].ended);
  EXPECT_EQ(job.usage.cpu_seconds, 2);
}

TEST_P(StoreContract, OfALogTheLast16KiBAreKept) {
  const Uuid id = insert(new_job("a"));
  Settlement s = settlement(claim_one(), Failed{broken()});
  s.log_tail = std::string(kMostLogTailBytes, 'x') + "the end";
  must(store().exchange(worker(), std::span(&s, 1), {}));
  const std::string kept = get(id).errors.at(0).log_tail;
  EXPECT_EQ(kept.size(), kMostLogTailBytes);
  EXPECT_TRUE(kept.ends_with("the end"));
}

TEST_P(StoreContract, ARetryWaitsAndThenIsTheNextAttempt) {
  const Uuid id = insert(new_job("a"));
  settle(claim_one(), RetryLater{broken(), seconds(30)});
  Job job = get(id);
  EXPECT_EQ(job.state, State::kScheduled);
  EXPECT_EQ(job.attempts, 1);
  EXPECT_EQ(job.errors.size(), 1u);
  EXPECT_TRUE(claim().empty());
  pass(seconds(31));
  const Claim second = claim_one();
  EXPECT_EQ(second.attempt, 2);
  EXPECT_EQ(settle(second, Succeeded{}), "ok");
  EXPECT_EQ(get(id).attempts, 2);
}

TEST_P(StoreContract, ARetryWithoutATimeBacksOff) {
  const Uuid id = insert(new_job("a"));
  settle(claim_one(), RetryLater{broken(), {}});
  const Job job = get(id);
  EXPECT_EQ(job.state, State::kScheduled);
  const Time now = must(store().now());
  EXPECT_GT(job.ready, now);
  EXPECT_LT(job.ready, now + seconds(3));
}

TEST_P(StoreContract, ARetryAtOnceIsAvailableAtOnce) {
  const Uuid id = insert(new_job("a"));
  settle(claim_one(), RetryLater{broken(), Duration(0)});
  EXPECT_EQ(state(id), State::kAvailable);
  EXPECT_EQ(claim().size(), 1u);
}

TEST_P(StoreContract, WhenAttemptsAreUsedUpARetryIsAFailure) {
  NewJob job = new_job("a");
  job.most_attempts = 2;
  const Uuid id = insert(job);
  settle(claim_one(), RetryLater{broken("first"), Duration(0)});
  settle(claim_one(), RetryLater{broken("second"), Duration(0)});
  const Job read = get(id);
  EXPECT_EQ(read.state, State::kFailed);
  ASSERT_EQ(read.errors.size(), 2u);
  EXPECT_EQ(read.errors[1].error.message, "second");
  EXPECT_EQ(read.errors[1].attempt, 2);
  EXPECT_EQ(read.attempts, 2);
}

TEST_P(StoreContract, ASnoozeChargesNothing) {
  NewJob job = new_job("a");
  job.most_attempts = 1;
  const Uuid id = insert(job);
  for (int i = 0; i < 5; ++i) {
    const Claim claimed = claim_one();
    EXPECT_EQ(claimed.attempt, 1);
    settle(claimed, Snooze{seconds(10)});
    EXPECT_EQ(state(id), State::kScheduled);
    EXPECT_EQ(get(id).attempts, 0);
    pass(seconds(11));
  }
  EXPECT_TRUE(get(id).errors.empty());
}

TEST_P(StoreContract, AReleasedJobKeepsItsPlaceInTheLine) {
  NewJob job = new_job("a");
  job.most_attempts = 1;
  const Uuid first = insert(job);
  pass(seconds(1));
  insert(new_job("b"));
  const Claim claimed = claim_one();
  EXPECT_EQ(claimed.job, first);
  settle(claimed, Released{});
  EXPECT_EQ(state(first), State::kAvailable);
  const Claim again = claim_one();
  EXPECT_EQ(again.job, first);
  EXPECT_EQ(again.attempt, 1) << "draining charges nothing";
}

TEST_P(StoreContract, AResultThatIsTooLargeIsAFailure) {
  const Uuid id = insert(new_job("a"));
  EXPECT_EQ(settle(claim_one(), Succeeded{Json(std::string(kMostResultBytes, 'x'))}), "ok");
  EXPECT_EQ(state(id), State::kFailed);
  EXPECT_EQ(get(id).errors.at(0).error.code, Code::kLimitExceeded);
}

TEST_P(StoreContract, UsageIsSummedOverAttemptsAndMemoryIsThePeak) {
  const Uuid id = insert(new_job("a"));
  const auto attempt = [&](Ending ending, Usage usage) {
    Settlement s = settlement(claim_one(), std::move(ending));
    s.usage = usage;
    must(store().exchange(worker(), std::span(&s, 1), {}));
  };
  attempt(RetryLater{broken(), Duration(0)}, {1, 500, 10, 1});
  attempt(Snooze{Duration(0)}, {1, 100, 10, 1});
  attempt(Succeeded{}, {1, 300, 10, 1});
  const Usage usage = get(id).usage;
  EXPECT_EQ(usage.cpu_seconds, 3);
  EXPECT_EQ(usage.peak_memory_bytes, 500);
  EXPECT_EQ(usage.bytes_read, 30);
  EXPECT_EQ(usage.bytes_written, 3);
}

TEST_P(StoreContract, ProgressNeverFallsAndSurvivesAttempts) {
  const Uuid id = insert(new_job("a"));
  const Claim first = claim_one();
  const auto say = [&](const Claim& c, double fraction, Json detail = nullptr) {
    const ProgressReport one{c.job, c.token, fraction, std::move(detail), {}};
    return must(must(store().report(std::span(&one, 1))).at(0));
  };
  EXPECT_FALSE(say(first, 0.5, {{"frames", 10}}));
  EXPECT_FALSE(say(first, 0.25));
  EXPECT_EQ(get(id).progress, 0.5);
  EXPECT_EQ(get(id).progress_detail, (Json{{"frames", 10}}));
  settle(first, RetryLater{broken(), Duration(0)});
  EXPECT_EQ(get(id).progress, 0.5);
  const Claim second = claim_one();
  say(second, 0.1, {{"frames", 2}});
  EXPECT_EQ(get(id).progress, 0.5);
  EXPECT_EQ(get(id).progress_detail, (Json{{"frames", 2}}));
  say(second, 7);
  EXPECT_EQ(get(id).progress, 1);
  say(second, std::numeric_limits<double>::quiet_NaN());
  EXPECT_EQ(get(id).progress, 1);
}

TEST_P(StoreContract, ACheckpointIsGivenToTheNextAttempt) {
  const Uuid id = insert(new_job("a"));
  const Claim first = claim_one();
  const ProgressReport report{id, first.token, {}, nullptr, Json{{"segment", 4}}};
  must(must(store().report(std::span(&report, 1))).at(0));
  EXPECT_EQ(get(id).checkpoint, (Json{{"segment", 4}}));
  settle(first, RetryLater{broken(), Duration(0)});
  reopen();
  EXPECT_EQ(claim_one().checkpoint, (Json{{"segment", 4}}));
}

TEST_P(StoreContract, ACheckpointLargerThan64KiBIsRefusedAlone) {
  const Uuid a = insert(new_job("a"));
  const Uuid b = insert(new_job("b"));
  const auto claimed = claim(2);
  const std::vector<ProgressReport> reports = {
      {a, claimed[0].token, 0.5, nullptr, Json(std::string(kMostCheckpointBytes, 'x'))},
      {b, claimed[1].token, 0.5, nullptr, Json("small")}};
  const auto results = must(store().report(reports));
  EXPECT_EQ(code_of(results[0]), "limit_exceeded");
  EXPECT_EQ(code_of(results[1]), "ok");
  EXPECT_EQ(get(a).progress, 0) << "a refused report changes nothing";
  EXPECT_EQ(get(b).checkpoint, Json("small"));
}

TEST_P(StoreContract, PastItsDeadlineAWaitingJobFails) {
  NewJob job = new_job("a");
  job.deadline = seconds(60);
  job.held = true;
  const Uuid held = insert(job);
  job.held = false;
  job.delay = hours(1);
  const Uuid delayed = insert(job);
  job.delay = seconds(0);
  const Uuid available = insert(job);
  pass(seconds(59));
  must(store().rescue());
  EXPECT_EQ(state(available), State::kAvailable);
  pass(seconds(2));
  EXPECT_GE(must(store().rescue()), 3);
  for (const Uuid& id : {held, delayed, available}) {
    EXPECT_EQ(state(id), State::kFailed);
    EXPECT_EQ(get(id).errors.at(0).error.code, Code::kTimeout);
  }
}

TEST_P(StoreContract, AClaimNeverHandsOutWhatIsPastItsDeadline) {
  NewJob job = new_job("a");
  job.deadline = seconds(60);
  const Uuid id = insert(job);
  pass(minutes(2));
  EXPECT_TRUE(claim().empty());
  EXPECT_EQ(state(id), State::kFailed);
}

TEST_P(StoreContract, PastItsDeadlineARunningJobIsAskedToStopAndFails) {
  NewJob job = new_job("a");
  job.deadline = seconds(60);
  const Uuid id = insert(job);
  const Claim claimed = claim_one();
  EXPECT_TRUE(must(store().renew(worker())).past_deadline.empty());
  pass(seconds(61));
  EXPECT_EQ(must(store().renew(worker())).past_deadline, std::vector<Uuid>{id}) << "known before any sweep";
  const ProgressReport report{id, claimed.token, 0.1, nullptr, {}};
  EXPECT_TRUE(must(must(store().report(std::span(&report, 1))).at(0)));
  must(store().rescue());
  EXPECT_EQ(must(store().renew(worker())).past_deadline, std::vector<Uuid>{id});
  EXPECT_EQ(settle(claimed, RetryLater{broken(), Duration(0)}), "ok");
  EXPECT_EQ(state(id), State::kFailed);
  EXPECT_EQ(get(id).errors.back().error.code, Code::kTimeout);
}

TEST_P(StoreContract, ASuccessJustAfterTheDeadlineIsASuccess) {
  NewJob job = new_job("a");
  job.deadline = seconds(60);
  const Uuid id = insert(job);
  const Claim claimed = claim_one();
  pass(seconds(61));
  must(store().rescue());
  EXPECT_EQ(settle(claimed, Succeeded{}), "ok");
  EXPECT_EQ(state(id), State::kSucceeded);
}

}  // namespace
}  // namespace spool
