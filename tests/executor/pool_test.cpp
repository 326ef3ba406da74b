// Which process serves which attempt, and what is left behind.
#include <dirent.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <set>
#include <thread>

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

TEST_F(Pool, ASpareIsThereBeforeItIsAskedForAndAnotherWhenItServes) {
  (void)executor();
  const auto processes_grow_to = [](std::size_t many) {
    const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    std::size_t now = 0;  // looked at once: a tree that is being read changes
    while ((now = process_tree(::getpid()).size()) != many && std::chrono::steady_clock::now() < patience)
      std::this_thread::yield();
    return now;
  };
  constexpr std::size_t kOfAChild = 3;  // bwrap, its init, the child
  EXPECT_EQ(processes_grow_to(kOfAChild), kOfAChild) << "the spare";
  EXPECT_EQ(process_of("alice", Uuid::v7()), 1);
  EXPECT_EQ(processes_grow_to(2 * kOfAChild), 2 * kOfAChild) << "the one that served, and a spare";
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

// Processes of sandboxes around this program that nobody is left to end: init's own.
std::set<std::string> orphans() {
  const auto self = std::filesystem::canonical("/proc/self/exe").string();
  std::set<std::string> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string line = read_file(entry.path() / "cmdline").value_or("");
    const std::string status = read_file(entry.path() / "status").value_or("");
    if (line.find("bwrap") != std::string::npos && line.find(self) != std::string::npos &&
        status.find("PPid:\t1\n") != std::string::npos)
      found.insert(entry.path().string());
  }
  return found;
}

TEST_F(Pool, AnExecutorThatGoesWhileAChildIsBeingStartedLeavesNoProcess) {
  const auto before = orphans();
  const auto left = [&] {
    const auto now = orphans();
    return !std::includes(before.begin(), before.end(), now.begin(), now.end());
  };
  for (int i = 0; i < 30; ++i) {
    (void)executor();
    // The first child exists, and its sandbox is being built.
    while (process_tree(::getpid()).empty()) std::this_thread::yield();
    stop_executor();
  }
  const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (left() && std::chrono::steady_clock::now() < patience) std::this_thread::yield();
  EXPECT_FALSE(left());
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
