#include "queue/checks.h"

#include <gtest/gtest.h>

namespace spool {
namespace {

std::string said(const Result<void>& checked) {
  if (checked) return "";
  return checked.error().code == Code::kLimitExceeded ? "too large" : checked.error().message;
}

Schedule nightly() {
  Schedule schedule;
  schedule.name = "nightly";
  schedule.job.kind = "sweep";
  return schedule;
}

TEST(Checks, AWorkersLeaseIsLongerThanNothing) {
  EXPECT_EQ(said(check_worker({})), "");
  WorkerInfo worker;
  worker.lease = Duration(0);
  EXPECT_EQ(said(check_worker(worker)), "a lease is longer than nothing");
}

TEST(Checks, AQueueHasANameOfAtMost200BytesWithoutControlCharacters) {
  EXPECT_EQ(said(check_queue(std::string(200, 'a'))), "");
  for (const std::string& name : {std::string(), std::string(201, 'a'), std::string("a\nb")})
    EXPECT_TRUE(said(check_queue(name)).starts_with("a queue has a name")) << name;
}

TEST(Checks, ALimitIsRefusedInTheWordsOfItsComplaint) {
  Limit limit;
  limit.name = "gpu";
  EXPECT_EQ(said(check_limit(limit)), complaint(limit));
  limit.concurrency = 1;
  EXPECT_EQ(said(check_limit(limit)), "");
}

TEST(Checks, AScheduleHasANameAndAJobThatStandsByItself) {
  EXPECT_EQ(said(check_schedule(nightly())), "");
  Schedule nameless = nightly(), with_id = nightly(), below = nightly(), needing = nightly();
  nameless.name = "";
  EXPECT_TRUE(said(check_schedule(nameless)).starts_with("a schedule needs a name"));
  with_id.job.id = Uuid::v7();
  below.job.parent = Uuid::v7();
  needing.job.needs = {{Uuid::v7(), false}};
  for (const Schedule& schedule : {with_id, below, needing})
    EXPECT_EQ(said(check_schedule(schedule)),
              "a schedule's job has no id, no parent and no needs of its own");
}

TEST(Checks, AScheduleIsRefusedWithTheErrorOfItsJob) {
  Schedule kindless = nightly(), large = nightly();
  kindless.job.kind = "";
  EXPECT_TRUE(said(check_schedule(kindless)).starts_with("a job needs a kind"));
  large.job.args = std::string(kMostArgsBytes, 'x');
  EXPECT_EQ(said(check_schedule(large)), "too large");
}

TEST(Checks, PruningGoesByAgeOrNumberAndByNothingLessThanNothing) {
  PruneRules rules;
  EXPECT_EQ(said(check_rules(rules)), "prune: by age, by number, or by both");
  rules.age = Duration(0);
  EXPECT_EQ(said(check_rules(rules)), "");
  rules.keep = -1;
  EXPECT_EQ(said(check_rules(rules)), "prune: an age and a number are not less than nothing");
  rules.keep = 0;
  EXPECT_EQ(said(check_rules(rules)), "");
  rules.age = Duration(-1);
  EXPECT_EQ(said(check_rules(rules)), "prune: an age and a number are not less than nothing");
}

}  // namespace
}  // namespace spool
