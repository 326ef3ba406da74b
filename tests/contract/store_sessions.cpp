// Workers come, go and die; their jobs do not.
#include "contract/store_contract.h"

namespace spool {
namespace {

using std::chrono::seconds;

TEST_P(StoreContract, ASessionIsSeenWithWhatItRuns) {
  const Session mine = session(seconds(30));
  NewJob job = new_job("a", "chunk");
  job.slots = 2;
  const Uuid id = insert(job);
  insert(job);
  must(store().exchange(mine, {}, slots(2)));
  const auto seen = must(other().sessions());
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].session.id, mine.id);
  EXPECT_EQ(seen[0].worker.host, "here");
  EXPECT_EQ(seen[0].worker.pid, 7);
  EXPECT_EQ(seen[0].worker.slots, 8);
  EXPECT_EQ(seen[0].worker.lease, seconds(30));
  ASSERT_EQ(seen[0].running.size(), 1u);
  EXPECT_EQ(seen[0].running[0].job, id);
  EXPECT_EQ(seen[0].running[0].kind, "a");
  EXPECT_EQ(seen[0].running[0].name, "chunk");
  EXPECT_EQ(seen[0].running[0].slots, 2);
  EXPECT_EQ(seen[0].running[0].claimed, get(id).claimed);
  EXPECT_GT(seen[0].expires, must(store().now()));
}

TEST_P(StoreContract, AWorkerThatIsAskedToDrainLearnsItAtItsNextRenewal) {
  const Session mine = session(seconds(30)), another = session(seconds(30));
  insert(new_job("a"));
  const Claim claimed = must(store().exchange(mine, {}, slots(1))).claimed.at(0);
  EXPECT_FALSE(must(store().renew(mine)).drain);
  must(other().drain(mine));
  must(other().drain(mine));
  const auto seen = must(store().sessions());
  EXPECT_TRUE(seen.at(0).draining);
  EXPECT_FALSE(seen.at(1).draining);
  const Renewed renewed = must(store().renew(mine));
  EXPECT_TRUE(renewed.drain);
  EXPECT_TRUE(renewed.cancel.empty());
  EXPECT_TRUE(renewed.past_deadline.empty());
  EXPECT_TRUE(must(store().renew(mine)).drain);
  EXPECT_FALSE(must(store().renew(another)).drain);
  EXPECT_EQ(settle(claimed, Succeeded{}), "ok") << "what it runs comes to its end";
}

TEST_P(StoreContract, ARenewalIsNotQuietWhileThereIsSomethingToLookFor) {
  const Session mine = session(seconds(60));
  const bool looks = must(store().renew(mine)).quiet;  // a store that does not look never says so
  const auto quiet = [&] { return must(store().renew(mine)).quiet; };

  insert(new_job("a"));
  const Claim claimed = must(store().exchange(mine, {}, slots(1))).claimed.at(0);
  EXPECT_EQ(quiet(), looks) << "what runs is its worker's";
  const Settlement snoozed = settlement(claimed, Snooze{seconds(10)});
  must(store().exchange(mine, std::span(&snoozed, 1), ClaimRequest{}));
  EXPECT_EQ(quiet(), looks);
  pass(seconds(11));
  EXPECT_FALSE(quiet()) << "a job is due";
  must(store().cancel(claimed.job));
  EXPECT_EQ(quiet(), looks);

  session(seconds(5));
  EXPECT_EQ(quiet(), looks);
  pass(seconds(6));
  EXPECT_FALSE(quiet()) << "a lease is over";
  must(store().rescue());
  EXPECT_EQ(quiet(), looks);

  NewJob late = new_job("late");
  late.deadline = seconds(1);
  const Uuid late_one = insert(late);
  EXPECT_EQ(quiet(), looks);
  pass(seconds(2));
  EXPECT_FALSE(quiet()) << "a deadline has passed";
  must(store().cancel(late_one));
  EXPECT_EQ(quiet(), looks);

  must(store().remove(late_one));
  EXPECT_FALSE(quiet()) << "a removed job is to be purged";
  must(store().rescue());
  EXPECT_FALSE(quiet()) << "its objects are to be swept";
  must(store().forget_purged(std::span(&late_one, 1)));
  EXPECT_EQ(quiet(), looks);

  Limit limit;
  limit.scope = LimitScope::kQueue;
  limit.name = "limited";
  limit.concurrency = 0;
  must(store().set_limit(limit));
  EXPECT_EQ(quiet(), looks);
  NewJob limited = new_job("a");
  limited.queue = "limited";
  const Uuid waits = insert(limited);
  EXPECT_FALSE(quiet()) << "somebody waits for a place of a limit";
  must(store().cancel(waits));
  must(store().remove_limit(limit.scope, limit.name));
  must(store().rescue());
  EXPECT_EQ(quiet(), looks);

  Schedule schedule;
  schedule.name = "nightly";
  schedule.cron = "0 3 * * *";
  schedule.zone = "UTC";
  schedule.job = new_job("a");
  schedule.next = must(store().now()) + seconds(50);
  must(store().put_schedule(schedule));
  EXPECT_EQ(quiet(), looks);
  pass(seconds(25));
  EXPECT_FALSE(quiet()) << "it ticks before the next renewal, or soon after it";
}

TEST_P(StoreContract, OnlyAWorkerThatIsThereCanBeAskedToDrain) {
  EXPECT_EQ(code_of(store().drain(Session{Uuid::v7()})), "not_found");
  const Session mine = session(seconds(30));
  must(store().close_session(mine));
  EXPECT_EQ(code_of(store().drain(mine)), "not_found");
}

TEST_P(StoreContract, ALeaseThatIsRenewedLives) {
  const Session mine = session(seconds(30));
  insert(new_job("a"));
  const Claim claimed = must(store().exchange(mine, {}, slots(1))).claimed.at(0);
  for (int i = 0; i < 5; ++i) {
    pass(seconds(20));
    must(store().renew(mine));
    EXPECT_EQ(must(store().rescue()), 0);
  }
  EXPECT_EQ(settle(claimed, Succeeded{}), "ok");
}

TEST_P(StoreContract, JobsOfALostLeaseAreAvailableAgainAndTheOldAttemptIsFenced) {
  const Session mine = session(seconds(30));
  const Uuid id = insert(new_job("a"));
  const Claim lost = must(store().exchange(mine, {}, slots(1))).claimed.at(0);
  pass(seconds(31));
  EXPECT_EQ(state(id), State::kRunning);
  must(store().rescue());
  EXPECT_EQ(state(id), State::kAvailable);
  EXPECT_EQ(get(id).rescues, 1);
  EXPECT_EQ(get(id).attempts, 0) << "losing a worker charges no attempt";
  EXPECT_EQ(settle(lost, Succeeded{}), "lease_lost");
  const ProgressReport report{id, lost.token, 0.5, nullptr, {}};
  EXPECT_EQ(code_of(must(store().report(std::span(&report, 1))).at(0)), "lease_lost");
  const Claim again = claim_one();
  EXPECT_EQ(again.attempt, 1);
  EXPECT_NE(again.token, lost.token);
  EXPECT_EQ(settle(lost, Succeeded{}), "lease_lost");
  EXPECT_EQ(settle(again, Succeeded{}), "ok");
  EXPECT_EQ(get(id).errors.at(0).error.code, Code::kCrashed);
  EXPECT_EQ(get(id).errors.at(0).worker, "here:7");
}

TEST_P(StoreContract, AWorkerThatComesBackLateLearnsThatItsLeaseIsLost) {
  const Session mine = session(seconds(30));
  const Uuid id = insert(new_job("a"));
  const Claim lost = must(store().exchange(mine, {}, slots(1))).claimed.at(0);
  pass(seconds(31));
  EXPECT_EQ(code_of(store().renew(mine)), "lease_lost");
  EXPECT_EQ(code_of(store().renew(mine)), "lease_lost") << "the session is gone for good";
  EXPECT_EQ(state(id), State::kRunning) << "what it has finished may be settled by its next one";
  EXPECT_EQ(must(store().rescue()), 1);
  const Settlement s = settlement(lost, Succeeded{});
  EXPECT_EQ(code_of(store().exchange(mine, std::span(&s, 1), slots(5))), "lease_lost");
  EXPECT_EQ(state(id), State::kAvailable);
  EXPECT_TRUE(must(store().sessions()).empty());
}

TEST_P(StoreContract, AnExchangeUnderALostLeaseChangesNothing) {
  const Session mine = session(seconds(30));
  const Uuid id = insert(new_job("a"));
  insert(new_job("b"));
  const Claim lost = must(store().exchange(mine, {}, slots(1))).claimed.at(0);
  pass(seconds(31));
  const Settlement s = settlement(lost, Succeeded{});
  EXPECT_EQ(code_of(store().exchange(mine, std::span(&s, 1), slots(5))), "lease_lost");
  EXPECT_EQ(state(id), State::kRunning);
  EXPECT_EQ(claim().size(), 1u) << "nothing was claimed for it";
  const Session next = session(seconds(30));
  EXPECT_EQ(code_of(must(store().exchange(next, std::span(&s, 1), slots(0))).settled.at(0)), "ok");
  EXPECT_EQ(get(id).rescues, 0);
}

TEST_P(StoreContract, WhatWasFinishedUnderALostLeaseCountsUntilItIsRescued) {
  const Session mine = session(seconds(30));
  const std::vector<Uuid> ids = {insert(new_job("a")), insert(new_job("b"))};
  const std::vector<Claim> claims = must(store().exchange(mine, {}, slots(2))).claimed;
  ASSERT_EQ(claims.size(), 2u);
  pass(seconds(31));
  const Session next = session(seconds(30));
  const auto settled_by_next = [&](const Claim& claim) {
    const Settlement s = settlement(claim, Succeeded{});
    return code_of(must(store().exchange(next, std::span(&s, 1), slots(0))).settled.at(0));
  };
  EXPECT_EQ(settled_by_next(claims[0]), "ok");
  must(store().rescue());
  EXPECT_EQ(settled_by_next(claims[1]), "lease_lost");
  EXPECT_EQ(get(ids[0]).state, State::kSucceeded);
  EXPECT_EQ(get(ids[0]).rescues, 0);
  EXPECT_EQ(get(ids[1]).rescues, 1);
}

TEST_P(StoreContract, ASessionThatNeverWasIsALostLease) {
  EXPECT_EQ(code_of(store().renew(Session{Uuid::v7()})), "lease_lost");
  EXPECT_EQ(code_of(store().exchange(Session{Uuid::v7()}, {}, slots(1))), "lease_lost");
}

TEST_P(StoreContract, ClosingASessionGivesItsJobsBackUnharmed) {
  const Session mine = session();
  NewJob job = new_job("a");
  job.most_attempts = 1;
  const Uuid id = insert(job);
  const Claim held = must(store().exchange(mine, {}, slots(1))).claimed.at(0);
  must(store().close_session(mine));
  must(store().close_session(mine));
  const Job back = get(id);
  EXPECT_EQ(back.state, State::kAvailable);
  EXPECT_EQ(back.rescues, 0);
  EXPECT_TRUE(back.errors.empty());
  EXPECT_EQ(settle(held, Succeeded{}), "lease_lost");
  EXPECT_EQ(claim_one().attempt, 1);
  EXPECT_EQ(must(store().sessions()).size(), 1u) << "only the one that claimed last";
}

// As after an exchange whose answer was lost: the worker knows of one claim, and not of the other.
TEST_P(StoreContract, AHeirHasTheAttemptsThatAreKnownAndTheOthersComeBack) {
  const Session mine = session(), heir = session();
  NewJob job = new_job("a");
  job.most_attempts = 1;
  const Uuid known = insert(job), unknown = insert(job);
  const auto claimed = must(store().exchange(mine, {}, slots(2))).claimed;
  ASSERT_EQ(claimed.size(), 2u);
  must(store().drain(mine));
  for (int i = 0; i < 2; ++i) must(store().hand_over(mine, heir, std::span(&claimed[0].token, 1)));

  EXPECT_EQ(state(known), State::kRunning);
  const Job back = get(unknown);
  EXPECT_EQ(back.state, State::kAvailable);
  EXPECT_EQ(back.rescues, 0);
  EXPECT_TRUE(back.errors.empty());
  EXPECT_EQ(code_of(store().renew(mine)), "lease_lost");
  EXPECT_EQ(code_of(store().exchange(mine, {}, slots(1))), "lease_lost") << "one that is still on its way";
  EXPECT_TRUE(must(store().renew(heir)).drain);
  EXPECT_EQ(settle(claimed[1], Succeeded{}), "lease_lost");
  const Settlement done{claimed[0].job, claimed[0].token, Succeeded{}, {}, {}};
  const Exchange exchanged = must(store().exchange(heir, std::span(&done, 1), slots(2)));
  EXPECT_TRUE(exchanged.settled.at(0).has_value());
  EXPECT_EQ(state(known), State::kSucceeded);
  ASSERT_EQ(exchanged.claimed.size(), 1u);
  EXPECT_EQ(exchanged.claimed[0].attempt, 1);
}

TEST_P(StoreContract, NothingIsHandedOverWhenALeaseIsLost) {
  const Session lost = session(seconds(30));
  insert(new_job("a"));
  const auto claimed = must(store().exchange(lost, {}, slots(1))).claimed;
  const std::span<const Token> known(&claimed.at(0).token, 1);
  EXPECT_EQ(code_of(store().hand_over(lost, Session{Uuid::v7()}, known)), "lease_lost");
  EXPECT_EQ(must(store().sessions()).size(), 1u);
  pass(seconds(31));
  const Session heir = session(seconds(30));
  EXPECT_EQ(code_of(store().hand_over(lost, heir, known)), "lease_lost");
  must(store().rescue());
  EXPECT_EQ(get(claimed[0].job).rescues, 1);
  EXPECT_EQ(code_of(store().hand_over(lost, heir, known)), "lease_lost") << "it is gone";
  must(store().hand_over(lost, heir, {}));
}

TEST_P(StoreContract, ClosingASessionWhoseLeaseIsLostChargesTheLoss) {
  const Session mine = session(seconds(30));
  const Uuid id = insert(new_job("a"));
  must(store().exchange(mine, {}, slots(1)));
  pass(seconds(31));
  must(store().close_session(mine));
  const Job back = get(id);
  EXPECT_EQ(back.state, State::kAvailable);
  EXPECT_EQ(back.rescues, 1);
  EXPECT_EQ(back.errors.at(0).error.code, Code::kCrashed);
  must(store().close_session(mine));
  EXPECT_EQ(get(id).rescues, 1);
  EXPECT_TRUE(must(store().sessions()).empty());
}

TEST_P(StoreContract, APoisonJobEndsAfterTwentyLostWorkers) {
  const Uuid id = insert(new_job("a"));
  for (int i = 1; i <= kRescueLimit; ++i) {
    ASSERT_EQ(state(id), State::kAvailable) << "loss " << i;
    const Session mine = session(seconds(30));
    must(store().exchange(mine, {}, slots(1)));
    pass(seconds(31));
    must(store().rescue());
  }
  const Job job = get(id);
  EXPECT_EQ(job.state, State::kFailed);
  EXPECT_EQ(job.errors.back().error.code, Code::kCrashed);
  EXPECT_EQ(job.attempts, 1);
}

TEST_P(StoreContract, NewProgressForgetsLostWorkers) {
  const Uuid id = insert(new_job("a"));
  for (int i = 1; i <= 2 * kRescueLimit; ++i) {
    ASSERT_EQ(state(id), State::kAvailable) << "loss " << i;
    const Session mine = session(seconds(30));
    const Claim claimed = must(store().exchange(mine, {}, slots(1))).claimed.at(0);
    ProgressReport report{id, claimed.token, {}, nullptr, {}};
    if (i % 4 == 0) report.fraction = i / 100.0;
    if (i % 4 == 2) report.checkpoint = Json(i);
    must(must(store().report(std::span(&report, 1))).at(0));
    pass(seconds(31));
    must(store().rescue());
    EXPECT_LE(get(id).rescues, 2);
  }
}

TEST_P(StoreContract, TheSameProgressAgainIsNotNew) {
  const Uuid id = insert(new_job("a"));
  for (int i = 1; i <= 3; ++i) {
    const Session mine = session(seconds(30));
    const Claim claimed = must(store().exchange(mine, {}, slots(1))).claimed.at(0);
    const ProgressReport report{id, claimed.token, 0.5, {{"try", i}}, Json("here")};
    must(must(store().report(std::span(&report, 1))).at(0));
    pass(seconds(31));
    must(store().rescue());
    EXPECT_EQ(get(id).rescues, i);
  }
}

TEST_P(StoreContract, RescueLeavesTheLivingAlone) {
  const Session dead = session(seconds(10));
  const Session living = session(seconds(100));
  insert(new_job("a"));
  insert(new_job("b"));
  must(store().exchange(dead, {}, slots(1)));
  const Claim kept = must(store().exchange(living, {}, slots(1))).claimed.at(0);
  pass(seconds(50));
  must(other().rescue());
  EXPECT_EQ(state(kept.job), State::kRunning);
  EXPECT_EQ(must(store().sessions()).size(), 1u);
  EXPECT_EQ(must(other().rescue()), 0);
}

TEST_P(StoreContract, ARescueEndsItsTurnAndTheNextOneGoesOn) {
  const Session dead = session(seconds(10));
  insert_all(std::vector<NewJob>(25, new_job("held by the dead")));
  must(store().exchange(dead, {}, slots(100)));
  NewJob later = new_job("due");
  later.delay = seconds(5);
  insert_all(std::vector<NewJob>(5, later));
  pass(seconds(11));
  EXPECT_EQ(must(store().rescue(10)), 10);
  EXPECT_EQ(must(store().rescue(10)), 10);
  EXPECT_EQ(must(store().rescue(10)), 10);
  EXPECT_EQ(must(store().rescue(10)), 0);
  EXPECT_TRUE(must(store().sessions()).empty());
  EXPECT_EQ(claim().size(), 30u);
}

TEST_P(StoreContract, RescueMovesJobsWhoseTimeHasCome) {
  NewJob job = new_job("a");
  job.delay = seconds(5);
  const Uuid id = insert(job);
  EXPECT_EQ(must(store().rescue()), 0);
  pass(seconds(6));
  EXPECT_EQ(must(store().rescue()), 1);
  EXPECT_EQ(state(id), State::kAvailable);
}

TEST_P(StoreContract, ALeaseOfNothingIsRefused) {
  WorkerInfo info;
  info.lease = Duration(0);
  EXPECT_EQ(code_of(store().open_session(info)), "invalid_argument");
  EXPECT_TRUE(must(store().sessions()).empty());
}

}  // namespace
}  // namespace spool
