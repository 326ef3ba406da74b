#include "contract/postgres_backend.h"
#include "contract/store_contract.h"

namespace spool {
namespace {

INSTANTIATE_TEST_SUITE_P(Postgres, StoreContract, testing::Values(&postgres_backend));
INSTANTIATE_TEST_SUITE_P(PgBouncer, StoreContract, testing::Values(&bouncer_backend));

// What no other store has: the locks of docs/decisions/postgres_locks.md.
class PostgresLocks : public testing::Test {
 protected:
  Session open_session() {
    WorkerInfo worker;
    worker.host = "here";
    worker.slots = 1;
    return must(store_->open_session(worker));
  }
  Result<Exchange> claim(Session session) {
    ClaimRequest want;
    want.slots = want.all_slots = 1;
    return store_->exchange(session, {}, want);
  }

  PostgresBackend backend_;
  postgres::Connection db_{postgres::Conninfo(backend_.url())};
  std::unique_ptr<Store> store_ = backend_.open();
};

TEST_F(PostgresLocks, NothingIsClaimedForASessionThatIsBeingEnded) {
  const NewJob job = new_job("a");
  must(must(store_->insert(std::span(&job, 1))).at(0));
  const Session session = open_session();
  db_.run("BEGIN");
  db_.run("SELECT 1 FROM spool.session FOR UPDATE");
  EXPECT_EQ(code_of(claim(session)), "lease_lost");
  db_.run("COMMIT");
  EXPECT_EQ(must(claim(session)).claimed.size(), 1u);
}

TEST_F(PostgresLocks, ARenewalOfAnIdleFleetIsQuiet) {
  const Session session = open_session();
  EXPECT_TRUE(must(store_->renew(session)).quiet);
  EXPECT_TRUE(must(store_->renew(open_session())).quiet);
}

TEST_F(PostgresLocks, APollThatFindsNothingIsNoExchange) {
  const Session session = open_session();
  ClaimRequest want;
  want.slots = want.all_slots = 1;
  want.poll = true;
  db_.run("ALTER FUNCTION spool.exchange RENAME TO not_asked");
  EXPECT_TRUE(must(store_->exchange(session, {}, want)).claimed.empty());
  db_.run("ALTER FUNCTION spool.not_asked RENAME TO exchange");
  const NewJob job = new_job("a");
  must(must(store_->insert(std::span(&job, 1))).at(0));
  EXPECT_EQ(must(store_->exchange(session, {}, want)).claimed.size(), 1u);
}

// A claim may begin behind what is known to be gone; what is found there later is the next claim's at the
// head.
TEST_F(PostgresLocks, WhatIsBehindAMarkIsLeftToAClaimAtTheHead) {
  const std::vector<NewJob> jobs(2, new_job("a"));
  must(store_->insert(jobs));
  db_.run("UPDATE spool.ready SET rank = rank - 1000000 WHERE seq = (SELECT min(seq) FROM spool.ready)");
  const auto claimed = [&](const char* marks) {
    postgres::Rows rows = db_.query(
        fmt::format("SELECT cardinality(seqs) FROM spool.claim(1, 0, 10, 10, 10, '{{}}', '{{}}', {})", marks)
            .c_str());
    return rows.next() ? rows.i32(0) : -1;
  };
  EXPECT_EQ(claimed("ARRAY(SELECT DISTINCT lane FROM spool.ready), ARRAY(SELECT max(rank) FROM spool.ready)"),
            1);
  EXPECT_EQ(claimed("'{}', '{}'"), 1);
}

TEST_F(PostgresLocks, AJobOfATransactionThatCommitsLateIsFound) {
  const Session session = open_session();
  const NewJob first = new_job("first"), next = new_job("next");
  must(store_->insert(std::span(&first, 1)));  // their lane is there
  EXPECT_EQ(must(claim(session)).claimed.size(), 1u);
  db_.run("BEGIN");
  db_.run("SELECT spool.enqueue('late')");
  must(store_->insert(std::span(&next, 1)));
  EXPECT_EQ(must(claim(session)).claimed.size(), 1u);
  db_.run("COMMIT");
  const Exchange exchanged = must(claim(session));
  ASSERT_EQ(exchanged.claimed.size(), 1u);
  EXPECT_EQ(exchanged.claimed[0].kind, "late");
}

// Jobs by SQL find the job of their id where insert() would.
class PostgresEnqueue : public PostgresLocks {
 protected:
  // "ok", or the code of its refusal. `options` is an expression.
  std::string enqueue(const std::string& options) {
    try {
      db_.run(("SELECT spool.enqueue('a', '{}', " + options + ")").c_str());
    } catch (const postgres::StoreError& e) {
      return std::string(name(e.error.code));
    }
    return "ok";
  }
  std::size_t count() { return must(store_->list({})).size(); }
};

TEST_F(PostgresEnqueue, TheSameIdWithTheSameLabelsIsOneJob) {
  NewJob job = new_job("a");
  job.id = Uuid::from_digest_of("mine");
  job.labels = {{"film", "tears"}, {"no", 7}};
  must(must(store_->insert(std::span(&job, 1))).at(0));
  const auto with_labels = [&](const char* labels) {
    return fmt::format(R"('{{"id": "{}", "labels": {}}}')", job.id.text(), labels);
  };
  EXPECT_EQ(enqueue(with_labels(R"({"no": 7, "film": "tears"})")), "ok");
  EXPECT_EQ(enqueue(with_labels(R"({"no": 8, "film": "tears"})")), "conflict");
  EXPECT_EQ(enqueue(with_labels("{}")), "conflict");
  EXPECT_EQ(count(), 1u);
}

TEST_F(PostgresEnqueue, TheSameIdWithTheSameMomentIsOneJobBeforeAndAfterIt) {
  NewJob job = new_job("a");
  job.id = Uuid::from_digest_of("mine");
  const auto at = [&](const std::string& moment) {
    return fmt::format("jsonb_build_object('id', '{}', 'run_at', {})", job.id.text(), moment);
  };
  EXPECT_EQ(enqueue(at("'2100-01-01 00:00+00'")), "ok");
  EXPECT_EQ(enqueue(at("'2100-01-01 01:00+01'")), "ok");
  EXPECT_EQ(enqueue(at("'2100-01-01 00:01+00'")), "conflict");
  job.id = Uuid::from_digest_of("another");
  job.delay = std::chrono::minutes(1);
  must(must(store_->insert(std::span(&job, 1))).at(0));
  db_.run("UPDATE spool.job SET created = created - 3600000000 WHERE id = $1", job.id);
  const std::string moment = fmt::format(
      "(SELECT 'epoch'::timestamptz + (created + delay) * interval '1 microsecond' FROM spool.job WHERE id = "
      "'{}')",
      job.id.text());
  EXPECT_EQ(enqueue(at(moment)), "ok");
  EXPECT_EQ(enqueue(at(moment + " - interval '1 second'")), "conflict");
  EXPECT_EQ(count(), 2u);
}

// An application that cancels in a transaction of its own, and does not end it, holds up that tree alone.
class PostgresHeldTree : public PostgresLocks {
 protected:
  Uuid insert(NewJob job) { return must(must(store_->insert(std::span(&job, 1))).at(0)).id; }
  void cancel_and_stay(Uuid job) {
    db_.run("BEGIN");
    db_.run("SELECT spool.cancel($1)", job);
  }
  std::vector<Claim> claim_all(Session session) {
    ClaimRequest want;
    want.slots = want.all_slots = 10;
    return must(store_->exchange(session, {}, want)).claimed;
  }
  static Settlement end_of(const Claim& claim) { return {claim.job, claim.token, Succeeded{}, {}, {}}; }
};

TEST_F(PostgresHeldTree, OthersAreSettledAndItIsLater) {
  const Uuid held = insert(new_job("a"));
  insert(new_job("b"));
  insert(new_job("c"));
  const Session session = open_session();
  const std::vector<Claim> claimed = claim_all(session);
  ASSERT_EQ(claimed.size(), 3u);
  cancel_and_stay(held);
  const Uuid waiting = insert(new_job("d"));

  const std::vector<ProgressReport> reports = {
      {.job = held, .token = claimed[0].token, .fraction = 0.5, .detail = {}, .checkpoint = Json(1)},
      {.job = claimed[1].job, .token = claimed[1].token, .fraction = 0.5, .detail = {}, .checkpoint = {}}};
  const auto answers = must(store_->report(reports));
  EXPECT_EQ(code_of(answers[0]), "unavailable");
  EXPECT_EQ(code_of(answers[1]), "ok");
  const std::vector<Settlement> ends = {end_of(claimed[0]), end_of(claimed[1]), end_of(claimed[2])};
  ClaimRequest want;
  want.slots = want.all_slots = 1;
  const Exchange exchanged = must(store_->exchange(session, ends, want));
  EXPECT_EQ(code_of(exchanged.settled[0]), "unavailable");
  EXPECT_EQ(code_of(exchanged.settled[1]), "ok");
  EXPECT_EQ(code_of(exchanged.settled[2]), "ok");
  ASSERT_EQ(exchanged.claimed.size(), 1u);
  EXPECT_EQ(exchanged.claimed[0].job, waiting);

  db_.run("COMMIT");
  EXPECT_EQ(code_of(must(store_->report(std::span(reports).first(1)))[0]), "ok");
  EXPECT_EQ(code_of(must(store_->exchange(session, std::span(ends).first(1), {})).settled[0]), "ok");
  EXPECT_EQ(must(store_->get(held)).state, State::kSucceeded);
}

TEST_F(PostgresHeldTree, OnlyWhatWakesItIsLater) {
  const Uuid needed = insert(new_job("a"));
  insert(new_job("b"));
  NewJob next = new_job("c");
  next.needs = {{needed, false}};
  const Uuid held = insert(next);
  const Session session = open_session();
  const std::vector<Claim> claimed = claim_all(session);
  ASSERT_EQ(claimed.size(), 2u);
  db_.run("BEGIN");
  db_.run("SELECT 1 FROM spool.job j WHERE j.id = $1 FOR NO KEY UPDATE", held);
  const Uuid waiting = insert(new_job("d"));

  const std::vector<Settlement> ends = {end_of(claimed[0]), end_of(claimed[1])};
  ClaimRequest want;
  want.slots = want.all_slots = 1;
  const Exchange exchanged = must(store_->exchange(session, ends, want));
  EXPECT_EQ(code_of(exchanged.settled[0]), "unavailable");
  EXPECT_EQ(code_of(exchanged.settled[1]), "ok");
  ASSERT_EQ(exchanged.claimed.size(), 1u);
  EXPECT_EQ(exchanged.claimed[0].job, waiting);
  EXPECT_EQ(must(store_->get(needed)).state, State::kRunning);

  db_.run("COMMIT");
  EXPECT_EQ(code_of(must(store_->exchange(session, std::span(ends).first(1), {})).settled[0]), "ok");
  EXPECT_EQ(must(store_->get(needed)).state, State::kSucceeded);
  EXPECT_EQ(must(store_->get(held)).state, State::kAvailable);
}

TEST_F(PostgresHeldTree, LimitsAreNotChangedMeanwhileAndTheFleetGoesOn) {
  const Limit limit{LimitScope::kKey, "customer*", 1, {}};
  must(store_->set_limit(limit));
  NewJob job = new_job("a");
  job.limit_key = "customer 1";
  const Session session = open_session();
  insert(job);
  const Uuid waits = insert(job);
  cancel_and_stay(waits);
  const auto refused = [&](const Result<void>& answer) {
    ASSERT_EQ(code_of(answer), "unavailable");
    EXPECT_NE(
        answer.error().message.find("nothing was changed: a transaction that is open in another program"),
        std::string::npos)
        << answer.error().message;
  };
  refused(store_->set_limit({LimitScope::kQueue, "default", 5, {}}));
  refused(store_->remove_limit(LimitScope::kKey, "customer*"));
  EXPECT_EQ(claim_all(session).size(), 1u);
  db_.run("COMMIT");
  must(store_->remove_limit(LimitScope::kKey, "customer*"));
  EXPECT_TRUE(must(store_->limits()).empty());
}

TEST_F(PostgresHeldTree, ItsDeadlineHoldsUpNobody) {
  NewJob late = new_job("a");
  late.deadline = std::chrono::seconds(10);
  late.held = true;
  const Uuid held = insert(late);
  const Session session = open_session();
  cancel_and_stay(held);
  store_->shift_clock_for_tests(std::chrono::seconds(11));
  insert(new_job("b"));
  EXPECT_EQ(claim_all(session).size(), 1u);
  EXPECT_EQ(must(store_->rescue(100)), 0);
  db_.run("COMMIT");
  EXPECT_EQ(must(store_->get(held)).state, State::kCancelled);
}

TEST_F(PostgresHeldTree, OfADeadWorkersJobsTheOthersAreRescued) {
  const Uuid held = insert(new_job("a"));
  const Uuid other = insert(new_job("b"));
  ASSERT_EQ(claim_all(open_session()).size(), 2u);
  cancel_and_stay(held);
  store_->shift_clock_for_tests(std::chrono::minutes(2));
  EXPECT_EQ(must(store_->rescue(100)), 1);
  EXPECT_EQ(must(store_->get(other)).state, State::kAvailable);
  db_.run("COMMIT");
  EXPECT_EQ(must(store_->rescue(100)), 1);
  EXPECT_EQ(must(store_->get(held)).state, State::kCancelled);
  EXPECT_TRUE(must(store_->sessions()).empty());
}

TEST_F(PostgresHeldTree, AWorkerThatGoesLeavesItToItsLease) {
  const Uuid held = insert(new_job("a"));
  const Uuid other = insert(new_job("b"));
  const Session session = open_session();
  ASSERT_EQ(claim_all(session).size(), 2u);
  cancel_and_stay(held);
  must(store_->close_session(session));
  EXPECT_EQ(must(store_->get(other)).state, State::kAvailable);
  db_.run("COMMIT");
  EXPECT_EQ(must(store_->sessions()).size(), 1u);
  store_->shift_clock_for_tests(std::chrono::minutes(2));
  EXPECT_EQ(must(store_->rescue(100)), 1);
  EXPECT_EQ(must(store_->get(held)).state, State::kCancelled);
}

// An application that made the first job of a lane, and leaves its transaction open, holds up nobody: there
// may be more lanes of a kind.
class PostgresLanes : public PostgresLocks {
 protected:
  Uuid insert(Store& store, const NewJob& job) {
    return must(must(store.insert(std::span(&job, 1))).at(0)).id;
  }
  std::int64_t count(const char* of) {
    postgres::Rows rows = db_.query(fmt::format("SELECT count(*) FROM spool.{}", of).c_str());
    return rows.next() ? rows.i64(0) : -1;
  }
  // In the order of the claims.
  std::vector<std::string> claimed_kinds(Session session) {
    ClaimRequest want;
    want.slots = want.all_slots = 100;
    std::vector<std::string> kinds;
    for (const Claim& claim : must(store_->exchange(session, {}, want)).claimed) kinds.push_back(claim.kind);
    return kinds;
  }
  using Kinds = std::vector<std::string>;
};

TEST_F(PostgresLanes, NobodyWaitsForTheTransactionThatMakesOne) {
  const Session session = open_session();
  db_.run("BEGIN");
  db_.run("SELECT spool.enqueue('held')");
  postgres::Connection other{postgres::Conninfo(backend_.url())};
  other.run("SELECT spool.enqueue('sql')");
  insert(*store_, new_job("plain"));
  NewJob keyed = new_job("keyed");
  keyed.unique_key = "k";
  insert(*store_, keyed);
  EXPECT_EQ(claimed_kinds(session), (Kinds{"sql", "plain", "keyed"}));

  db_.run("COMMIT");
  EXPECT_EQ(claimed_kinds(session), Kinds{"held"});
  EXPECT_EQ(count("lane"), 2);
  insert(*backend_.open(), new_job("next"));    // in the first of the two
  insert(*store_, new_job("of the old lane"));  // in the one that this handle knows
  EXPECT_EQ(claimed_kinds(session), (Kinds{"next", "of the old lane"}));
  EXPECT_EQ(count("lane"), 2);
}

TEST_F(PostgresLanes, OneIsMadeWhenNobodyHoldsIt) {
  insert(*store_, new_job("a"));
  insert(*backend_.open(), new_job("b"));
  db_.run("SELECT spool.enqueue('c')");
  EXPECT_EQ(count("lane"), 1);
}

TEST_F(PostgresLanes, OneThatWasRolledBackIsMadeAgain) {
  const Session session = open_session();
  db_.run("BEGIN");
  db_.run("SELECT spool.enqueue('undone')");
  insert(*store_, new_job("first"));
  db_.run("ROLLBACK");
  insert(*store_, new_job("second"));
  db_.run("SELECT spool.enqueue('third')");
  EXPECT_EQ(claimed_kinds(session), (Kinds{"first", "second", "third"}));
  EXPECT_EQ(count("lane"), 1);
}

TEST_F(PostgresLanes, AJobIsTheSameInEitherOfTwo) {
  NewJob job = new_job("a");
  job.id = Uuid::v7();
  db_.run("BEGIN");
  db_.run("SELECT spool.enqueue('held')");
  insert(*store_, job);
  db_.run("COMMIT");
  EXPECT_TRUE(must(must(store_->insert(std::span(&job, 1))).at(0)).existed);
  job.priority = 1;
  EXPECT_EQ(code_of(must(store_->insert(std::span(&job, 1))).at(0)), "conflict");
}

TEST_F(PostgresLanes, OneThatIsGoneIsMadeAgain) {  // of a database that was put back
  const Session session = open_session();
  insert(*store_, new_job("a"));
  EXPECT_EQ(claimed_kinds(session), Kinds{"a"});
  db_.run("DELETE FROM spool.lane");
  insert(*store_, new_job("b"));
  EXPECT_EQ(claimed_kinds(session), Kinds{"b"});
}

TEST_F(PostgresLanes, NobodyWaitsForTheTransactionThatMakesALineOfALimit) {
  Limit limit;
  limit.scope = LimitScope::kKey;
  limit.name = "customer*";
  limit.concurrency = 1;
  must(store_->set_limit(limit));
  NewJob job = new_job("mine");
  job.limit_key = "customer 1";
  const Session session = open_session();
  db_.run("BEGIN");
  db_.run("SELECT spool.enqueue('held', '{}', '{\"limit_key\": \"customer 1\"}')");
  insert(*store_, job);
  EXPECT_EQ(claimed_kinds(session), Kinds{"mine"});
  NewJob later = job;
  later.delay = std::chrono::seconds(1);
  insert(*store_, later);
  store_->shift_clock_for_tests(std::chrono::seconds(2));
  db_.run("COMMIT");
  EXPECT_EQ(claimed_kinds(session), Kinds{}) << "the key has one place";
  EXPECT_EQ(must(store_->limits()).at(0).waiting, 2);
  EXPECT_EQ(count("limit_line"), 2);
}

TEST_F(PostgresLanes, ALineOfALimitStaysAsLongAsSomebodyMayComeIntoIt) {
  must(store_->set_limit({LimitScope::kKey, "customer*", 1, {}}));
  NewJob job = new_job("waits");
  job.limit_key = "customer 1";
  const Session session = open_session();
  insert(*store_, job);
  const Claim running = must(claim(session)).claimed.at(0);
  const Uuid waits = insert(*store_, job);
  EXPECT_EQ(count("limit_line"), 1);
  db_.run("BEGIN");
  db_.run("SELECT spool.enqueue('held', '{}', '{\"limit_key\": \"customer 1\"}')");
  must(store_->cancel(waits));
  must(store_->rescue(100));
  EXPECT_EQ(count("limit_line"), 1) << "another transaction has put a job into it";
  db_.run("COMMIT");
  const Settlement done{running.job, running.token, Succeeded{}, {}, {}};
  must(store_->exchange(session, std::span(&done, 1), {}));
  EXPECT_EQ(claimed_kinds(session), Kinds{"held"});
  must(store_->rescue(100));
  EXPECT_EQ(count("limit_line"), 0) << "nobody waits: keys come and go";
}

TEST_F(PostgresLocks, IdleWorkersWriteNothing) {
  const std::string session = open_session().id.text();
  db_.run("BEGIN READ ONLY");
  postgres::Rows exchanged = db_.query(
      "SELECT what FROM spool.exchange(0, $1::uuid, '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', "
      "'{}', '{}',"
      " '{}', '{}', '{}', '{}', 1, 1, 1, '{}', '{}', '{}', '{}')",
      session);
  ASSERT_TRUE(exchanged.next());
  EXPECT_EQ(exchanged.i32(0), 3) << "its summary";
  db_.run("SELECT * FROM spool.rescue(0, 100)");
  db_.run("COMMIT");
}

}  // namespace
}  // namespace spool
