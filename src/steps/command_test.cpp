#include "steps/command.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>

#include "base/file.h"
#include "base/temporary_folder.h"

namespace spool::steps {
namespace {

using namespace std::chrono_literals;

class CommandTest : public testing::Test {
 protected:
  Command shell(const std::string& script) {
    Command c;
    c.words = {"sh", "-c", script};
    c.environment = {{"PATH", "/usr/bin:/bin"}, {"GREETING", "hello"}};
    c.folder = folder.path();
    c.grace = 50ms;
    c.out = [this](std::string_view bytes) { out += bytes; };
    c.error = [this](std::string_view bytes) { error += bytes; };
    return c;
  }
  // True once the process is gone.
  static bool await_gone(pid_t pid) {
    const UniqueFd process(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
    if (!process) return errno == ESRCH;
    pollfd ends{process.get(), POLLIN, 0};
    return poll(&ends, 1, 10'000) == 1;
  }
  TemporaryFolder folder;
  std::string out, error;
};

TEST_F(CommandTest, ItsOutputsAndItsExitCodeComeBack) {
  const auto end = run_command(shell("echo $GREETING; pwd; echo oops >&2; exit 7"));
  ASSERT_TRUE(end) << end.error().message;
  EXPECT_EQ(end->exit_code, 7);
  EXPECT_EQ(out, "hello\n" + folder.path().string() + "\n");
  EXPECT_EQ(error, "oops\n");
  EXPECT_GT(end->peak_memory_bytes, 0);
}

TEST_F(CommandTest, ItGetsNothingButItsOwnEnvironmentAndNoDescriptors) {
  ::setenv("SPOOL_STORE", "postgres://user:secret@host/db", 1);
  const auto end = run_command(shell("env; ls /proc/$$/fd"));
  ::unsetenv("SPOOL_STORE");
  ASSERT_TRUE(end);
  EXPECT_EQ(out.find("secret"), std::string::npos) << out;
  EXPECT_NE(out.find("0\n1\n2\n"), std::string::npos) << out;
  EXPECT_EQ(out.find("\n4\n"), std::string::npos) << out;
}

TEST_F(CommandTest, AMuchTalkingCommandIsHeardToTheEnd) {
  const auto end = run_command(shell("i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done"));
  ASSERT_TRUE(end);
  EXPECT_TRUE(out.ends_with("line 19999\n"));
}

TEST_F(CommandTest, WhatIsNoProgramIsAnErrorThatNamesIt) {
  Command c = shell("");
  c.words = {"no-such-program"};
  auto end = run_command(c);
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().code, Code::kNotFound);
  EXPECT_EQ(end.error().message, "there is no program 'no-such-program' in /usr/bin:/bin");
  std::ofstream(folder.path() / "script") << "not a program";
  c.words = {(folder.path() / "script").string()};
  end = run_command(c);
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().code, Code::kPermissionDenied);
  std::filesystem::permissions(folder.path() / "script", std::filesystem::perms::owner_all);
  end = run_command(c);
  ASSERT_FALSE(end);
  EXPECT_TRUE(end.error().message.starts_with("cannot run ")) << end.error().message;
}

TEST_F(CommandTest, ASignalThatEndsItIsTold) {
  const auto end = run_command(shell("kill -SEGV $$"));
  ASSERT_TRUE(end);
  EXPECT_FALSE(end->exit_code);
  EXPECT_EQ(end->signal, SIGSEGV);
}

TEST_F(CommandTest, PastItsTimeoutItIsAskedAndThenKilled) {
  Command c = shell("trap 'echo asked; exit 3' TERM; echo ready; while :; do sleep 0.01; done");
  c.timeout = 200ms;
  c.grace = 30s;
  auto end = run_command(c);
  ASSERT_TRUE(end);
  EXPECT_TRUE(end->timed_out);
  EXPECT_EQ(out, "ready\nasked\n");
  EXPECT_EQ(end->exit_code, 3);

  c = shell("trap '' TERM; while :; do sleep 0.01; done");
  c.timeout = 50ms;
  end = run_command(c);
  ASSERT_TRUE(end);
  EXPECT_EQ(end->signal, SIGKILL);
}

TEST_F(CommandTest, ACommandThatPrintsWithoutEndIsEndedAllTheSame) {
  Command c = shell("exec yes");
  std::size_t heard = 0;
  c.out = [&](std::string_view bytes) { heard += bytes.size(); };
  c.timeout = 50ms;
  auto end = run_command(c);
  ASSERT_TRUE(end);
  EXPECT_TRUE(end->timed_out);
  EXPECT_EQ(end->signal, SIGTERM);
  EXPECT_GT(heard, 0u);

  c.timeout.reset();
  std::stop_source stop;
  c.stop = stop.get_token();
  c.out = [&](std::string_view) { stop.request_stop(); };
  end = run_command(c);
  ASSERT_TRUE(end);
  EXPECT_EQ(end->signal, SIGTERM);
}

TEST_F(CommandTest, WhoLeftItsGroupAndPrintsOnHoldsNobodyUp) {
  // The FIFO makes sure that it has left before the command ends.
  Command c = shell("mkfifo left; setsid sh -c 'echo $$ > left; exec yes' & cat left > pid");
  c.out = {};
  const auto end = run_command(c);
  ASSERT_TRUE(end);
  EXPECT_EQ(end->exit_code, 0);
  const int left = std::stoi(read_file(folder.path() / "pid").value());
  EXPECT_TRUE(await_gone(left));  // nobody reads what it prints
}

TEST_F(CommandTest, ASignalToAllProcessesOfTheServiceReachesTheCommandAndNotItsGuardian) {
  const auto end = run_command(shell("kill -TERM $PPID; kill -INT $PPID; kill -TERM $$"));
  ASSERT_TRUE(end) << end.error().message;
  EXPECT_EQ(end->signal, SIGTERM);
}

TEST_F(CommandTest, AStopReachesTheWholeGroupAndNothingOfItLivesOn) {
  std::stop_source stop;
  Command c = shell("sleep 1000 & echo $!; wait");
  c.stop = stop.get_token();
  c.out = [&](std::string_view bytes) {
    out += bytes;
    if (out.ends_with('\n')) stop.request_stop();
  };
  const auto end = run_command(c);
  ASSERT_TRUE(end);
  EXPECT_EQ(end->signal, SIGTERM);
  EXPECT_TRUE(await_gone(std::stoi(out)));
}

TEST_F(CommandTest, WhatItLeftInTheBackgroundEndsWithIt) {
  const auto end = run_command(shell("sleep 1000 & echo $!"));
  ASSERT_TRUE(end);
  EXPECT_EQ(end->exit_code, 0);
  EXPECT_TRUE(await_gone(std::stoi(out)));
}

TEST_F(CommandTest, ItDiesWithUsHoweverWeDie) {
  // A manager that is killed outright while its command runs.
  const std::string pipe = (folder.path() / "pipe").string();
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  const pid_t manager = fork();
  if (manager == 0) {
    (void)run_command(shell("sh -c 'echo $$ > pipe; sleep 1000'; true"));
    _exit(0);
  }
  int pid = 0;
  std::ifstream(pipe) >> pid;
  ASSERT_GT(pid, 0);
  kill(manager, SIGKILL);
  waitpid(manager, nullptr, 0);
  EXPECT_TRUE(await_gone(pid));
}

}  // namespace
}  // namespace spool::steps
