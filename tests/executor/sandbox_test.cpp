// Machines that differ: no bubblewrap, an ordinary user, a manager that is killed.
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <thread>

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

TEST_F(Machine, AHalfBuiltSandboxOfADeadManagerIsEndedByTheNext) {
  // bubblewrap, held where it has made its second process and not yet tied it to the life of the first.
  int hold[2];
  ASSERT_EQ(pipe(hold), 0);
  const std::string bubblewrap = process::find_bubblewrap();
  const std::string program = std::filesystem::canonical("/proc/self/exe");
  const pid_t first = fork();
  if (first == 0) {
    dup2(hold[0], 0);
    ::close(hold[1]);
    execl(bubblewrap.c_str(), bubblewrap.c_str(), "--unshare-user", "--unshare-pid", "--die-with-parent",
          "--block-fd", "0", "--ro-bind", "/", "/", program.c_str(), nullptr);
    _exit(127);
  }
  while (process_tree(first).empty()) std::this_thread::yield();
  const UniqueFd second = process::open_pidfd(process_tree(first).front());
  ::kill(first, SIGKILL);
  ::waitpid(first, nullptr, 0);
  expect_alive();
  pollfd gone{second.get(), POLLIN, 0};
  EXPECT_EQ(poll(&gone, 1, 30'000), 1);
  ::close(hold[0]);
  ::close(hold[1]);
}

TEST_F(Machine, ChildrenThatCannotBeStartedForNowChargeNothing) {
  options_.spare_children = 0;
  expect_alive();  // the program is fine
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{3, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  const Settlement settlement = run("echo");
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  const auto* put_off = std::get_if<Snooze>(&settlement.ending);
  ASSERT_NE(put_off, nullptr) << error_of(settlement).message;
  EXPECT_GT(put_off->duration, Duration(0));
  EXPECT_LE(put_off->duration, std::chrono::seconds(1));
  EXPECT_NE(settlement.log_tail.find("cannot start a child: "), std::string::npos) << settlement.log_tail;
  expect_alive();
}

TEST_F(Machine, AChildThatEndsBeforeItIsReadyChargesNothingWhereOthersWereReady) {
  const auto broken = folder_.path() / "broken", wrapper = folder_.path() / "bwrap";
  std::ofstream(wrapper) << "#!/bin/sh\n[ ! -e " << broken.string()
                         << " ] || { echo no namespaces >&2; exit 1; }\n"
                         << "exec " << process::find_bubblewrap().string() << " \"$@\"\n";
  std::filesystem::permissions(wrapper, std::filesystem::perms::owner_all);
  options_.bubblewrap = wrapper;
  options_.spare_children = 0;
  expect_alive();
  std::ofstream(broken).flush();
  const Settlement settlement = run("echo");
  EXPECT_TRUE(std::holds_alternative<Snooze>(settlement.ending)) << error_of(settlement).message;
  EXPECT_NE(settlement.log_tail.find("no namespaces"), std::string::npos) << settlement.log_tail;
  std::filesystem::remove(broken);
  expect_alive();
}

TEST_F(Machine, ASignalToAllProcessesOfTheServiceEndsNoAttempt) {
  const auto work = claim("finish_when_stopped");
  start(work);
  await_report(work->job, [](const ProgressReport& report) { return report.fraction > 0; });
  for (const pid_t pid : process_tree(::getpid()))
    for (const int signal : {SIGTERM, SIGINT}) ::kill(pid, signal);
  executor().stop(work->job, StopReason::kCancelled, std::chrono::hours(1));
  const Settlement settlement = ending(work->job);
  EXPECT_EQ(result_of(settlement), Json({{"finished", true}})) << error_of(settlement).message;
  expect_alive();
}

TEST_F(Machine, ChildrenDieWithAManagerThatIsKilled) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t manager = fork();
  if (manager == 0) {
    // The child's own word of its pid is from inside its namespace: the kernel's list knows the real ones.
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
  // A spare whose sandbox was being built in that moment is for the next manager to end.
  expect_alive();
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
