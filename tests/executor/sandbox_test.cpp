// Machines that differ: no bubblewrap, an ordinary user, a manager that is killed.
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "executor/harness.h"
#include "executors/process/pidfd.h"
#include "executors/process/sandbox_check.h"
#include "executors/process/spawn.h"

namespace spool {
namespace {

class Machine : public Executing {};

TEST_F(Machine, WithoutASandboxMediaJobsAreRefusedWithTheFix) {
  options_.bubblewrap = "/no/such/bwrap";
  const Settlement settlement = run("echo");
  EXPECT_EQ(error_of(settlement).code, Code::kUnsupported);
  EXPECT_NE(error_of(settlement).message.find("apt install bubblewrap"), std::string::npos);
  EXPECT_NE(error_of(settlement).message.find("--unsafe-no-sandbox"), std::string::npos);
}

TEST_F(Machine, ASandboxThatCannotBeMadeIsNoneAndSaysWhy) {
  // What bwrap does where namespaces are forbidden.
  const auto fake = folder_.path() / "bwrap";
  std::ofstream(fake) << "#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n";
  std::filesystem::permissions(fake, std::filesystem::perms::owner_all | std::filesystem::perms::others_all);
  options_.bubblewrap = fake;
  const Settlement settlement = run("echo");
  EXPECT_EQ(error_of(settlement).code, Code::kUnsupported);
  EXPECT_NE(error_of(settlement).message.find("No permissions to create new namespace"), std::string::npos)
      << error_of(settlement).message;
}

TEST_F(Machine, WithoutASandboxOnRequestChildrenAreStillFiltered) {
  options_.bubblewrap = "/no/such/bwrap";
  options_.unsafe_no_sandbox = true;
  EXPECT_EQ(result_of(run("echo", {{"a", 1}})), Json({{"a", 1}}));
  EXPECT_EQ(result_of(run("try", {{"what", "inet"}})), "EPERM");
  const Settlement settlement = run("crash", {{"signal", SIGSEGV}});
  EXPECT_NE(error_of(settlement).message.find("SIGSEGV"), std::string::npos);
}

TEST_F(Machine, AProgramThatIsNotThereIsAnErrorAndNoHang) {
  options_.program = "/no/such/program";
  EXPECT_EQ(error_of(run("echo")).code, Code::kNotFound);
}

TEST_F(Machine, AProgramThatIsNoChildIsAnErrorWithItsWords) {
  options_.arguments = {"--gtest_list_tests", "--no-such-option"};
  const Settlement settlement = run("echo");
  EXPECT_EQ(error_of(settlement).code, Code::kUnavailable);
  EXPECT_NE(error_of(settlement).message.find("cannot start a child"), std::string::npos);
}

TEST_F(Machine, TheCheckSaysWhatIsThere) {
  const auto findings = check_sandbox();
  ASSERT_EQ(findings.size(), 5u);
  for (const SandboxFinding& finding : findings) {
    EXPECT_FALSE(finding.words.empty()) << finding.name;
    EXPECT_TRUE(finding.good || !finding.fix.empty()) << finding.name;
  }
  EXPECT_EQ(findings.back().name, "sandbox");
  EXPECT_TRUE(findings.back().good) << findings.back().words;
}

TEST_F(Machine, TheCheckNamesWhatIsMissing) {
  process::SandboxOptions options;
  options.bubblewrap = "/no/such/bwrap";
  const auto findings = check_sandbox(options);
  EXPECT_FALSE(findings.front().good);
  EXPECT_EQ(findings.front().fix, "apt install bubblewrap");
  EXPECT_FALSE(findings.back().good);
}

TEST_F(Machine, SpawningTellsWhatExecSaid) {
  const auto said = process::run_to_end({{"/no/such/program"}, std::nullopt});
  ASSERT_FALSE(said);
  EXPECT_EQ(said.error().code, Code::kNotFound);
}

// Runs `body` in a forked process of another user; its exit code.
int as_nobody(const std::function<int()>& body) {
  const pid_t pid = fork();
  if (pid == 0) {
    if (setgroups(0, nullptr) != 0 || setgid(65534) != 0 || setuid(65534) != 0) _exit(90);
    _exit(body());
  }
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 91;
}

TEST_F(Machine, AnOrdinaryUserHasTheSameSandbox) {
  if (::geteuid() != 0) GTEST_SKIP() << "all tests here already run as an ordinary user";
  std::filesystem::permissions(folder_.path(), std::filesystem::perms::all);
  const int code = as_nobody([&] {
    if (result_of(run("echo", {{"a", 1}})) != Json({{"a", 1}})) return 1;
    if (result_of(run("try", {{"what", "open"}, {"path", "/etc/passwd"}})) != "ENOENT") return 2;
    options_.limits.memory_bytes = 200 << 20;
    stop_executor();
    const Settlement settlement = run("allocate");
    if (error_of(settlement).message != "allocate: its process ran out of memory (limit 200 MB)") return 3;
    if (result_of(run("echo", {{"a", 1}})).is_null()) return 4;
    stop_executor();
    return 0;
  });
  EXPECT_EQ(code, 0);
}

TEST_F(Machine, ChildrenDieWithAManagerThatIsKilled) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t manager = fork();
  if (manager == 0) {
    // The child's own word of its pid is from inside its namespace: the kernel's list knows the real ones.
    // No spares: one whose sandbox is being built in this moment is the next manager's to sweep
    // (pool_test.cpp).
    options_.spare_children = 0;
    const auto first = claim("sleep"), second = claim("sleep");
    for (const auto& work : {first, second}) start(work);
    for (const auto& work : {first, second})
      await_report(work->job, [](const ProgressReport& report) { return report.fraction > 0; });
    [[maybe_unused]] const auto n = write(ends[1], "x", 1);
    for (;;) pause();
  }
  char ready = 0;
  ASSERT_EQ(read(ends[0], &ready, 1), 1);
  const std::vector<pid_t> family = process_tree(manager);
  ASSERT_GE(family.size(), 6u);  // twice: bwrap, its init, and the child
  std::vector<UniqueFd> handles;
  for (const pid_t pid : family) handles.push_back(process::open_pidfd(pid));
  ::kill(manager, SIGKILL);
  ::waitpid(manager, nullptr, 0);
  for (const UniqueFd& handle : handles) {
    pollfd gone{handle.get(), POLLIN, 0};
    if (handle) {
      EXPECT_EQ(poll(&gone, 1, 30'000), 1);
    }
  }
  ::close(ends[0]);
  ::close(ends[1]);
}

}  // namespace
}  // namespace spool
