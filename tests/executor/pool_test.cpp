// Which process serves which attempt, and what is left behind.
#include <dirent.h>
#include <signal.h>

#include "executor/harness.h"

namespace spool {
namespace {

class Pool : public Executing {
 protected:
  // A number that differs from process to process, as far as the pool can tell them apart.
  int process_of(const std::string& owner, Uuid root) {
    auto work = claim("count");
    work->owner = owner;
    work->root = root;
    const Json result = result_of(run(work));
    return result.is_null() ? -1 : result.at("attempts").get<int>();
  }
};

std::size_t open_descriptors() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++count;
  return count;
}

TEST_F(Pool, OneTreeIsServedByOneProcessAgainAndAgain) {
  const Uuid root = Uuid::v7();
  EXPECT_EQ(process_of("alice", root), 1);
  EXPECT_EQ(process_of("alice", root), 2);
  EXPECT_EQ(process_of("alice", root), 3);
}

TEST_F(Pool, NoProcessSeesTwoOwnersOrTwoTrees) {
  const Uuid root = Uuid::v7();
  EXPECT_EQ(process_of("alice", root), 1);
  EXPECT_EQ(process_of("bob", root), 1);
  EXPECT_EQ(process_of("alice", Uuid::v7()), 1);
  EXPECT_EQ(process_of("", root), 1);
  EXPECT_EQ(process_of("alice", root), 2);
  EXPECT_EQ(process_of("bob", root), 2);
}

TEST_F(Pool, AProcessIsReplacedAfterItsNumberOfAttempts) {
  options_.jobs_per_child = 2;
  const Uuid root = Uuid::v7();
  EXPECT_EQ(process_of("alice", root), 1);
  EXPECT_EQ(process_of("alice", root), 2);
  EXPECT_EQ(process_of("alice", root), 1);
}

TEST_F(Pool, AProcessThatHasGrownIsReplaced) {
  options_.recycle_above_bytes = 1;
  const Uuid root = Uuid::v7();
  EXPECT_EQ(process_of("alice", root), 1);
  EXPECT_EQ(process_of("alice", root), 1);
}

TEST_F(Pool, TheOldestIdleProcessesMakeRoom) {
  options_.most_idle = 1;
  const Uuid first = Uuid::v7(), second = Uuid::v7();
  EXPECT_EQ(process_of("alice", first), 1);
  EXPECT_EQ(process_of("alice", second), 1);
  EXPECT_EQ(process_of("alice", first), 1);
}

TEST_F(Pool, AttemptsRunBesideEachOther) {
  std::vector<std::shared_ptr<Claim>> works;
  for (int i = 0; i < 6; ++i) {
    works.push_back(claim("obey"));
    start(works.back());
  }
  for (const auto& work : works)
    await_report(work->job, [](const ProgressReport& report) { return report.fraction > 0; });
  for (const auto& work : works) executor().stop(work->job, StopReason::kCancelled, std::chrono::hours(1));
  for (const auto& work : works) EXPECT_EQ(error_of(ending(work->job)).code, Code::kCancelled);
}

TEST_F(Pool, TwoHundredCrashesLeakNoDescriptor) {
  expect_alive();
  std::size_t before = 0;
  for (int i = 0; i < 210; ++i) {
    if (i == 10) before = open_descriptors();
    EXPECT_EQ(error_of(run("crash", {{"signal", SIGSEGV}})).code, Code::kCrashed);
  }
  // A spare may be on its way at either moment: a few of its descriptors, and not hundreds.
  EXPECT_LE(open_descriptors(), before + 8);
  expect_alive();
}

TEST_F(Pool, WhatRunsWhenTheExecutorGoesIsReleased) {
  const auto work = claim("sleep");
  start(work);
  await_report(work->job, [](const ProgressReport& report) { return report.fraction > 0; });
  stop_executor();
  EXPECT_TRUE(std::holds_alternative<Released>(ending(work->job).ending));
}

}  // namespace
}  // namespace spool
