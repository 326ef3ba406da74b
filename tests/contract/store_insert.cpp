// What may be stored, and that it is then there.
#include <limits>

#include "contract/store_contract.h"

namespace spool {
namespace {

using std::chrono::hours;
using std::chrono::seconds;
using std::literals::operator""s;

TEST_P(StoreContract, AJobIsReadAsItWasAskedFor) {
  NewJob job = new_job("encode", "chunk 3");
  job.args = {{"from", 3}, {"text", "Grüße \u0001 \"quoted\""}};
  job.owner = "ada";
  job.queue = "slow";
  job.priority = 2;
  job.slots = 3;
  job.tags = {"gpu", "avx2"};
  job.most_attempts = 5;
  job.timeout = seconds(90);
  job.deadline = hours(2);
  job.unique_key = "once";
  job.weight = 2.5;
  job.optional = true;
  job.labels = {{"film", "tears"}};
  const Time before = must(store().now());
  const Uuid id = insert(job);
  reopen();
  const Job read = get(id);
  EXPECT_EQ(read.id, id);
  EXPECT_EQ(read.root, id);
  EXPECT_EQ(read.parent, std::nullopt);
  EXPECT_EQ(read.kind, "encode");
  EXPECT_EQ(read.name, "chunk 3");
  EXPECT_EQ(read.args, job.args);
  EXPECT_EQ(read.owner, "ada");
  EXPECT_EQ(read.queue, "slow");
  EXPECT_EQ(read.priority, 2);
  EXPECT_EQ(read.slots, 3);
  EXPECT_EQ(read.tags, (std::vector<std::string>{"avx2", "gpu"}));
  EXPECT_EQ(read.most_attempts, 5);
  EXPECT_EQ(read.timeout, Duration(seconds(90)));
  EXPECT_EQ(read.deadline, read.created + hours(2));
  EXPECT_EQ(read.unique_key, "once");
  EXPECT_EQ(read.weight, 2.5);
  EXPECT_TRUE(read.optional);
  EXPECT_EQ(read.labels, job.labels);
  EXPECT_EQ(read.state, State::kAvailable);
  EXPECT_EQ(read.attempts, 0);
  EXPECT_GE(read.created, before);
  EXPECT_EQ(read.ready, read.created);
  EXPECT_TRUE(read.checkpoint.is_null());
  EXPECT_TRUE(read.result.is_null());
  EXPECT_EQ(read.claimed, std::nullopt);
  EXPECT_EQ(read.ended, std::nullopt);
}

TEST_P(StoreContract, AJobWithoutAnIdGetsATimeOrderedOne) {
  const Uuid first = insert(new_job("a"));
  const Uuid second = insert(new_job("a"));
  EXPECT_LT(first, second);
  EXPECT_EQ(first.bytes[6] >> 4, 7);
}

TEST_P(StoreContract, TheSameIdWithTheSameBodyIsOneJob) {
  NewJob job = new_job("a");
  job.id = Uuid::from_digest_of("mine");
  job.args = {{"x", 1}, {"y", 2}};
  job.delay = seconds(5);
  job.deadline = hours(1);
  EXPECT_FALSE(must(insert_all({job})[0]).existed);
  pass(seconds(1));
  const auto again = must(insert_all({job})[0]);
  EXPECT_TRUE(again.existed);
  EXPECT_EQ(again.id, job.id);
  EXPECT_EQ(must(store().list({})).size(), 1u);
}

TEST_P(StoreContract, TheSameIdWithItsKeysInAnotherOrderIsOneJob) {
  NewJob job = new_job("a");
  job.id = Uuid::from_digest_of("mine");
  job.args = Json::parse(R"({"x": 1, "long": {"b": 2, "aa": 3}})");
  job.labels = Json::parse(R"({"film": "tears", "no": 7})");
  insert(job);
  job.args = Json::parse(R"({"long": {"aa": 3, "b": 2}, "x": 1})");
  job.labels = Json::parse(R"({"no": 7, "film": "tears"})");
  EXPECT_TRUE(must(insert_all({job})[0]).existed);
  job.labels["no"] = 8;
  EXPECT_EQ(insert_code(job), "conflict");
  job.labels = Json::object();
  EXPECT_EQ(insert_code(job), "conflict");
}

TEST_P(StoreContract, TheSameIdWithTheSameBodyIsOneJobAlsoAfterItEnded) {
  NewJob job = new_job("a");
  job.id = Uuid::from_digest_of("mine");
  insert(job);
  drain();
  EXPECT_TRUE(must(insert_all({job})[0]).existed);
  EXPECT_EQ(state(job.id), State::kSucceeded);
}

TEST_P(StoreContract, TheSameIdWithAnotherBodyIsAConflict) {
  NewJob job = new_job("a");
  job.id = Uuid::from_digest_of("mine");
  insert(job);
  const std::vector<std::function<void(NewJob&)>> changes = {
      [](NewJob& j) { j.kind = "b"; },         [](NewJob& j) { j.args["x"] = 1; },
      [](NewJob& j) { j.owner = "eve"; },      [](NewJob& j) { j.queue = "other"; },
      [](NewJob& j) { j.priority = 1; },       [](NewJob& j) { j.slots = 2; },
      [](NewJob& j) { j.tags = {"gpu"}; },     [](NewJob& j) { j.delay = seconds(1); },
      [](NewJob& j) { j.held = true; },        [](NewJob& j) { j.most_attempts = 9; },
      [](NewJob& j) { j.timeout = hours(1); }, [](NewJob& j) { j.deadline = hours(1); },
      [](NewJob& j) { j.unique_key = "k"; },   [](NewJob& j) { j.weight = 7; },
      [](NewJob& j) { j.labels["x"] = 1; },    [](NewJob& j) { j.name = "n"; },
      [](NewJob& j) { j.optional = true; },
  };
  for (std::size_t i = 0; i < changes.size(); ++i) {
    NewJob changed = job;
    changes[i](changed);
    EXPECT_EQ(insert_code(changed), "conflict") << "change " << i;
  }
  const Uuid sibling = insert(new_job("a"));
  NewJob needing = job;
  needing.needs = {{sibling, false}};
  EXPECT_EQ(insert_code(needing), "conflict");
}

TEST_P(StoreContract, AnIdThatIsTakenTellsNothingOfWhoHasIt) {
  NewJob job = new_job("secret", "film");
  job.owner = "ada";
  job.id = Uuid::v7();
  insert(job);
  NewJob same_id = new_job("a");
  same_id.owner = "eve";
  same_id.id = job.id;
  const auto refused = insert_all({same_id})[0];
  ASSERT_EQ(code_of(refused), "conflict");
  EXPECT_EQ(refused.error().message, "the id " + job.id.text() + " is taken");
}

TEST_P(StoreContract, OneBadJobInABatchFailsAlone) {
  NewJob clash = new_job("b");
  clash.id = insert(new_job("a"));
  NewJob lonely = new_job("d");
  lonely.parent = Uuid::from_digest_of("nobody");
  const auto results = insert_all({new_job("x"), new_job(""), clash, lonely, new_job("y")});
  EXPECT_EQ(code_of(results[0]), "ok");
  EXPECT_EQ(code_of(results[1]), "invalid_argument");
  EXPECT_EQ(code_of(results[2]), "conflict");
  EXPECT_EQ(code_of(results[3]), "not_found");
  EXPECT_EQ(code_of(results[4]), "ok");
  EXPECT_EQ(must(store().list({})).size(), 3u);
  EXPECT_EQ(drain(), 3);
}

TEST_P(StoreContract, WhatCannotBeAJobIsRefusedInWords) {
  const std::vector<std::function<void(NewJob&)>> wrongs = {
      [](NewJob& j) { j.kind = ""; },
      [](NewJob& j) { j.kind = "a\nb"; },
      [](NewJob& j) { j.queue = ""; },
      [](NewJob& j) { j.slots = 0; },
      [](NewJob& j) { j.priority = 1001; },
      [](NewJob& j) { j.tags = {"with\nline"}; },
      [](NewJob& j) { j.tags = {""}; },
      [](NewJob& j) { j.tags = {std::string(201, 't')}; },
      [](NewJob& j) { j.tags = std::vector<std::string>(11, "t"); },
      [](NewJob& j) { j.kind = "a\x7f"; },
      [](NewJob& j) { j.kind = "a\u009b"; },
      [](NewJob& j) { j.name = std::string(8193, 'n'); },
      [](NewJob& j) { j.owner = std::string(8193, 'o'); },
      [](NewJob& j) { j.unique_key = std::string(8193, 'u'); },
      [](NewJob& j) { j.limit_key = std::string(201, 'l'); },
      [](NewJob& j) { j.limit_key = "a\rb"; },
      [](NewJob& j) { j.most_attempts = 0; },
      [](NewJob& j) { j.delay = Duration(-1); },
      [](NewJob& j) { j.delay = Duration::max(); },
      [](NewJob& j) { j.timeout = Duration(0); },
      [](NewJob& j) { j.deadline = Duration(-5); },
      [](NewJob& j) { j.weight = -1; },
      [](NewJob& j) { j.weight = std::numeric_limits<double>::quiet_NaN(); },
  };
  for (std::size_t i = 0; i < wrongs.size(); ++i) {
    NewJob job = new_job("a");
    wrongs[i](job);
    const auto result = insert_all({job})[0];
    EXPECT_EQ(code_of(result), "invalid_argument") << "wrong " << i;
    EXPECT_FALSE(result.has_value() || result.error().message.empty());
  }
}

TEST_P(StoreContract, TheLongestTextsAreTaken) {
  NewJob job = new_job(std::string(200, 'k'));
  job.name = std::string(8192, 'n');
  job.owner = std::string(8192, 'o');
  job.unique_key = std::string(8192, 'u');
  job.limit_key = std::string(200, 'l');
  for (int i = 0; i < 10; ++i) job.tags.push_back(fmt::format("{:t<198}\u00e4", i));
  EXPECT_EQ(insert_code(job), "ok");
}

TEST_P(StoreContract, ArgsLargerThanAMebibyteAreRefused) {
  NewJob job = new_job("a");
  job.args = {{"x", std::string(kMostArgsBytes - 8, 'a')}};  // {"x":"..."}: exactly the most
  EXPECT_EQ(insert_code(job), "ok");
  job.args = {{"x", std::string(kMostArgsBytes - 7, 'a')}};
  EXPECT_EQ(insert_code(job), "limit_exceeded");
}

TEST_P(StoreContract, AUniqueKeyIsHeldByOneJobUntilItEnds) {
  NewJob job = new_job("a");
  job.unique_key = "film";
  job.owner = "ada";
  const Uuid holder = insert(job);
  job.args = {{"other", "body"}};
  const auto second = must(insert_all({job})[0]);
  EXPECT_TRUE(second.existed);
  EXPECT_EQ(second.id, holder);
  const Claim running = claim_one();
  EXPECT_TRUE(must(insert_all({job})[0]).existed);
  settle(running, Failed{broken()});
  const auto third = must(insert_all({job})[0]);
  EXPECT_FALSE(third.existed);
  EXPECT_NE(third.id, holder);
}

TEST_P(StoreContract, AUniqueKeyBelongsToItsOwnerAndKind) {
  NewJob job = new_job("a");
  job.unique_key = "film";
  const Uuid first = insert(job);
  NewJob other_kind = job;
  other_kind.kind = "b";
  NewJob other_owner = job;
  other_owner.owner = "eve";
  EXPECT_NE(insert(other_kind), first);
  EXPECT_NE(insert(other_owner), first);
  EXPECT_EQ(must(store().list({})).size(), 3u);
}

TEST_P(StoreContract, TwoJobsOfOneBatchMeetAtTheirUniqueKey) {
  NewJob job = new_job("a");
  job.unique_key = "film";
  const auto results = insert_all({job, job});
  EXPECT_FALSE(must(results[0]).existed);
  EXPECT_TRUE(must(results[1]).existed);
  EXPECT_EQ(results[0]->id, results[1]->id);
}

TEST_P(StoreContract, AHeldJobWaitsForItsStart) {
  NewJob job = new_job("a");
  job.held = true;
  const Uuid id = insert(job);
  EXPECT_EQ(state(id), State::kCreated);
  EXPECT_TRUE(claim().empty());
  must(store().start(id));
  EXPECT_EQ(state(id), State::kAvailable);
  EXPECT_EQ(claim().size(), 1u);
}

TEST_P(StoreContract, ADelayedJobIsScheduledUntilItsTimeComes) {
  NewJob job = new_job("a");
  job.delay = seconds(60);
  const Uuid id = insert(job);
  EXPECT_EQ(state(id), State::kScheduled);
  EXPECT_EQ(get(id).ready, get(id).created + seconds(60));
  EXPECT_TRUE(claim().empty());
  pass(seconds(59));
  EXPECT_TRUE(claim().empty());
  pass(seconds(2));
  EXPECT_EQ(claim().size(), 1u);
}

TEST_P(StoreContract, AJobIsDelayedUntilItsOwnersTimeHasComeAndNotForOtherReasons) {
  NewJob job = new_job("a");
  job.delay = seconds(60);
  job.held = true;
  const Uuid id = insert(job);
  EXPECT_FALSE(get(id).delayed) << "it is held";
  ASSERT_TRUE(store().start(id));
  EXPECT_TRUE(get(id).delayed);
  pass(seconds(61));
  const Claim first = claim_one();
  EXPECT_FALSE(get(id).delayed);
  settle(first, Snooze{seconds(10)});
  EXPECT_EQ(state(id), State::kScheduled);
  EXPECT_FALSE(get(id).delayed);
  pass(seconds(11));
  settle(claim_one(), RetryLater{{Code::kUnavailable, "away"}, seconds(10)});
  EXPECT_EQ(state(id), State::kScheduled);
  EXPECT_FALSE(get(id).delayed);
}

TEST_P(StoreContract, AnEmptyBatchIsNothing) {
  EXPECT_TRUE(insert_all({}).empty());
}

TEST_P(StoreContract, TextsMayHoldAnyCharacter) {
  NewJob job = new_job("a", "name with \x01 \x7f \xc3\xa9 \xf0\x9f\x8e\xac and \"quotes\"\n");
  job.owner = "o'; DROP TABLE job; --";
  job.unique_key = std::string(5000, 'k');
  job.args = {{"text", "\0 \xc3\xa9"s}, {"\\u0000", "\\"}};
  const Uuid id = insert(job);
  EXPECT_EQ(get(id).name, job.name);
  EXPECT_EQ(get(id).owner, job.owner);
  EXPECT_EQ(get(id).unique_key, job.unique_key);
  EXPECT_EQ(get(id).args, job.args);
}

TEST_P(StoreContract, ATextThatIsNoTextIsRefusedAlone) {
  std::vector<NewJob> jobs(4, new_job("a"));
  jobs[0].name = "a \0 zero"s;
  jobs[1].owner = "\xff";
  jobs[2].unique_key = "\xc3"s;
  const auto results = store().insert(jobs).value();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(results[i].error().code, Code::kInvalidArgument) << i;
  EXPECT_NE(results[0].error().message.find("name"), std::string::npos) << results[0].error().message;
  EXPECT_TRUE(results[3]);
}

TEST_P(StoreContract, WhatAnAttemptSaysMayHoldAnyBytes) {
  const Uuid id = insert(new_job("a"));
  const Claim claim = claim_one();
  Settlement ended = settlement(claim, Failed{{Code::kInternal, "bytes \xff and \0"s}});
  ended.log_tail = "log \xfe\0"s;
  ASSERT_TRUE(must(store().exchange(worker(), std::span(&ended, 1), ClaimRequest{})).settled.at(0));
  const Job job = get(id);
  ASSERT_EQ(job.errors.size(), 1U);
  EXPECT_EQ(job.errors[0].error.message.substr(0, 5), "bytes");
  EXPECT_EQ(job.errors[0].log_tail.substr(0, 3), "log");
}

}  // namespace
}  // namespace spool
