#include "executors/process/memory_cgroup.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "base/temporary_folder.h"

namespace spool::process {
namespace {

TEST(MemoryCgroups, WithoutCgroupsThereAreWords) {
  const TemporaryFolder root;
  const auto groups = MemoryCgroups::find(root.path());
  EXPECT_FALSE(groups.available());
  EXPECT_EQ(groups.words(), "this kernel has no cgroups");
  EXPECT_EQ(groups.make(1 << 20).error().code, Code::kUnsupported);
}

TEST(MemoryCgroups, AVersion2GroupThatHandsNothingDownIsSaidSo) {
  const TemporaryFolder root;
  std::filesystem::create_directories(root.path() / "proc/self");
  std::filesystem::create_directories(root.path() / "sys/fs/cgroup/user.slice");
  std::ofstream(root.path() / "proc/self/cgroup") << "0::/user.slice\n";
  std::ofstream(root.path() / "sys/fs/cgroup/user.slice/cgroup.controllers") << "cpu pids\n";
  const auto groups = MemoryCgroups::find(root.path());
  EXPECT_FALSE(groups.available());
  EXPECT_NE(groups.words().find("hands no memory controller"), std::string::npos) << groups.words();
}

TEST(MemoryCgroups, AGroupOfThisMachineLimitsAndGoesAway) {
  const auto groups = MemoryCgroups::find();
  if (!groups.available() && ::getenv("SPOOL_REQUIRE_CGROUP") != nullptr)
    FAIL() << "SPOOL_REQUIRE_CGROUP is set, and there are no memory groups here: " << groups.words();
  if (!groups.available())
    GTEST_SKIP() << "no memory groups here (SPOOL_REQUIRE_CGROUP=1 makes this a failure): " << groups.words();
  const auto group = groups.make(64 << 20);
  ASSERT_TRUE(group) << group.error().message;
  EXPECT_EQ(group->oom_kills(), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    constexpr std::size_t kBytes = 256 << 20;
    if (::write(group->procs(), "0", 1) != 1) ::_exit(1);
    void* const memory = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) ::_exit(2);
    for (std::size_t at = 0; at < kBytes; at += 4096) static_cast<volatile char*>(memory)[at] = 1;
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
  EXPECT_EQ(group->oom_kills(), 1);
}

}  // namespace
}  // namespace spool::process
