#include "steps/command.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <thread>

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
    for (int i = 0; i < 10'000; ++i) {
      if (kill(pid, 0) != 0) return true;
      std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
      std::string word;
      for (int n = 0; n < 3; ++n) stat >> word;
      if (word == "Z") return true;  // nobody reaps it here
      std::this_thread::sleep_for(1ms);
    }
    return false;
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
  const std::string pid_file = (folder.path() / "pid").string();
  const pid_t manager = fork();
  if (manager == 0) {
    (void)run_command(shell("sh -c 'echo $$ > pid.new; mv pid.new pid; sleep 1000'; true"));
    _exit(0);
  }
  while (!std::filesystem::exists(pid_file)) std::this_thread::sleep_for(1ms);
  int pid = 0;
  std::ifstream(pid_file) >> pid;
  ASSERT_GT(pid, 0);
  kill(manager, SIGKILL);
  waitpid(manager, nullptr, 0);
  EXPECT_TRUE(await_gone(pid));
}

}  // namespace
}  // namespace spool::steps
