// Children that want out, or lie: what the kernel and the executor say, and that the next attempt runs all
// the same.
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "executor/harness.h"
#include "executors/process/memory_cgroup.h"
#include "executors/process/protocol.h"
#include "executors/process/sanitizers.h"

namespace spool {
namespace {

class Hostile : public Executing {
 protected:
  // What the kernel said to the child's try.
  Json tries(const std::string& what, const std::string& path = "") {
    return result_of(run("try", {{"what", what}, {"path", path}}));
  }
  Settlement says(const std::string& message, bool wait = true) {
    return run("raw", {{"bytes", process::frame(message)}, {"wait", wait}});
  }
  void expect_violation(const Settlement& settlement, Code code, const std::string& words) {
    EXPECT_EQ(error_of(settlement).code, code) << error_of(settlement).message;
    EXPECT_NE(error_of(settlement).message.find("broke the protocol"), std::string::npos);
    EXPECT_NE(error_of(settlement).message.find(words), std::string::npos) << error_of(settlement).message;
  }
};

TEST_F(Hostile, NoSocketOfAnySortCanBeMade) {
  EXPECT_EQ(tries("inet"), "EPERM");
  EXPECT_EQ(tries("unix"), "EPERM");
  EXPECT_EQ(tries("netlink"), "EPERM");
}

TEST_F(Hostile, NoProcessCanBeMadeSoThereAreNoForkBombs) {
  EXPECT_EQ(tries("fork"), "EPERM");
}

TEST_F(Hostile, TheFileSystemIsNotThere) {
  ASSERT_TRUE(write_file_atomic(folder_.path() / "secret", {}));
  std::vector<std::string> paths = {"/etc/passwd",
                                    "/proc/1/root/etc/passwd",
                                    "/home",
                                    "/root",
                                    std::filesystem::current_path(),
                                    "/dev/sda",
                                    "/sys",
                                    "/var",
                                    "/tmp",
                                    "/usr/bin"};
  if (!process::kUnderSanitizer)
    paths.emplace_back("/proc/self/environ");  // sanitizers' own start reads /proc
  for (const std::string& path : paths) EXPECT_EQ(tries("open", path), "ENOENT") << path;
  EXPECT_EQ(tries("open", (folder_.path() / "secret").string()), "ENOENT");
}

TEST_F(Hostile, NothingCanBeWritten) {
  EXPECT_EQ(tries("write", "/new"), "EPERM");
  EXPECT_EQ(tries("write", "/run/spool/new"), "EPERM");
  EXPECT_EQ(tries("memfd"), "EPERM");
}

TEST_F(Hostile, WhoWantsToReadMoreThanMayBeReadAtOnceIsKilled) {
  expect_violation(says(R"({"type":"read_input","input":1,"offset":0,"length":1000000000000})"),
                   Code::kInvalidArgument, "length is not a whole number from 1 to 262144");
  expect_alive();
}

TEST_F(Hostile, NothingElseCanBeSeenOrKilled) {
  ::setenv("SPOOL_SECRET", "x", 1);
  EXPECT_EQ(tries("kill"), "EPERM");
  EXPECT_EQ(tries("environment"), "none");
  EXPECT_EQ(tries("user"), 65534);
  EXPECT_LT(tries("pid").get<int>(), 10);
}

TEST_F(Hostile, WhatNoCodecEverAsksForKillsTheChild) {
  for (const char* what : {"exec", "ptrace"}) {
    const Settlement settlement = run("try", {{"what", what}});
    EXPECT_EQ(error_of(settlement).code, Code::kCrashed);
    EXPECT_NE(error_of(settlement).message.find("SIGSYS"), std::string::npos) << error_of(settlement).message;
  }
  expect_alive();
}

TEST_F(Hostile, AFileLargerThanTheLimitIsAnErrorInWords) {
  options_.limits.file_bytes = 3 << 20;
  const Settlement settlement = run("write_too_much");
  EXPECT_EQ(error_of(settlement).code, Code::kLimitExceeded) << error_of(settlement).message;
  EXPECT_EQ(std::filesystem::file_size(folder_.path() / "large.part"), 3u << 20);
  expect_alive();
}

TEST_F(Hostile, WantingMemoryWithoutEndEndsTheAttemptAlone) {
  options_.limits.memory_bytes = 200 << 20;
  const Settlement settlement = run("allocate");
  EXPECT_EQ(error_of(settlement).code, Code::kCrashed) << error_of(settlement).message;
  EXPECT_EQ(error_of(settlement).message, "allocate: its process ran out of memory (limit 200 MB)");
  EXPECT_NE(settlement.log_tail.find("allocating"), std::string::npos);
  expect_alive();
}

TEST_F(Hostile, MemoryThatTheProcessItselfIsRefusedIsTheSameError) {
  options_.limits.memory_bytes = 200 << 20;
  const Settlement settlement = run("refused_memory");
  EXPECT_EQ(error_of(settlement).code, Code::kCrashed);
  EXPECT_EQ(error_of(settlement).message, "refused_memory: its process ran out of memory (limit 200 MB)");
  EXPECT_TRUE(std::holds_alternative<RetryLater>(settlement.ending));
}

TEST_F(Hostile, GarbageOnTheSocketEndsTheAttempt) {
  expect_violation(says("no json"), Code::kInvalidArgument, "not valid JSON");
  expect_violation(says(R"({"type":"shutdown"})"), Code::kInvalidArgument, "no known type");
  expect_violation(says(R"({"type":"progress","fraction":"half"})"), Code::kInvalidArgument, "fraction");
  expect_violation(says(R"({"type":"log","line":"x","owner":"root"})"), Code::kInvalidArgument,
                   "unknown key owner");
  expect_violation(says(R"({"type":"ready","version":1})"), Code::kInvalidArgument, "version");
  expect_alive();
}

TEST_F(Hostile, AFrameThatIsTooLongIsRefusedByItsHeader) {
  const Settlement settlement = run("raw", {{"bytes", std::string("\x7f\x7f\x7f\x7f", 4)}});
  expect_violation(settlement, Code::kLimitExceeded, "are the most");
}

TEST_F(Hostile, SpeakingAfterItsEndingEndsTheChildAndNoAttempt) {
  const std::string ended = R"({"type":"ended","ending":{"is":"succeeded","result":{"forged":true}}})";
  const Settlement settlement = says(ended, false);
  EXPECT_EQ(result_of(settlement), Json({{"forged", true}}));  // its own job is its own to end
  expect_alive();
}

TEST_F(Hostile, OnlyTheJobsOwnFilesCanBeOpened) {
  const auto asks = [&](const std::string& reference) {
    return error_of(
        run("ask", {{"text", "file:/etc/passwd is not meant"}, {"reference", Json::array({reference})}}));
  };
  EXPECT_EQ(error_of(run("ask", {{"scrambled", "dwssap/cte/:elif"}})).code, Code::kPermissionDenied);
  EXPECT_EQ(asks("file:/etc").code, Code::kInvalidArgument)
      << asks("file:/etc").message;  // a folder is a way out
  EXPECT_EQ(asks("file:/dev/null").code, Code::kInvalidArgument);
  const std::string fifo = folder_.path() / "fifo";  // nobody will ever write to it
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_EQ(asks("file:" + fifo).code, Code::kInvalidArgument);
  EXPECT_EQ(asks("file:/no/such/file").code, Code::kNotFound);
}

TEST_F(Hostile, OutputsStayBelowTheAttemptsPrefix) {
  for (const char* name : {"../x", "/etc/x", "a//b", "a/./b", "", "a/", "a\nb"}) {
    const Settlement settlement = run("create", {{"name", name}});
    EXPECT_EQ(error_of(settlement).code, Code::kInvalidArgument) << name;
  }
  EXPECT_EQ(error_of(run("create", {{"name", "never"}, {"commit_other", true}})).code,
            Code::kInvalidArgument);
}

TEST_F(Hostile, AFanOutIsHeldAgainstTheRuleOfItsKind) {
  EXPECT_TRUE(std::holds_alternative<FanOut>(run("fan_out", {{"kind", "echo"}, {"count", 3}}).ending));
  expect_violation(run("fan_out", {{"kind", "crash"}, {"count", 1}}), Code::kPermissionDenied,
                   "the kind crash");
  expect_violation(run("fan_out", {{"kind", "exec"}, {"count", 1}}), Code::kPermissionDenied,
                   "the kind exec");
  expect_violation(run("fan_out", {{"kind", "echo"}, {"count", 4}}), Code::kLimitExceeded, "3 jobs, not 4");
  expect_violation(run("fan_out", {{"kind", "echo"}, {"count", 1}, {"smuggle", true}}),
                   Code::kPermissionDenied, "may not hand on file:/etc/shadow");
  expect_alive();
}

TEST_F(Hostile, AMillionChildrenAreTooMany) {
  const Settlement settlement = run("million");
  expect_violation(settlement, Code::kLimitExceeded, "message");
  expect_alive();
}

TEST_F(Hostile, ChildrenOfAFanOutGetTheirParentsOwner) {
  const Settlement settlement = run("fan_out", {{"kind", "echo"}, {"count", 2}});
  for (const NewJob& child : std::get<FanOut>(settlement.ending).children) EXPECT_EQ(child.owner, "alice");
}

TEST_F(Hostile, ResultsAndCheckpointsHaveLimits) {
  EXPECT_EQ(error_of(run("large_result", {{"bytes", 300'000}})).code, Code::kLimitExceeded);
  EXPECT_EQ(error_of(run("large_checkpoint")).code, Code::kLimitExceeded);
  EXPECT_FALSE(result_of(run("large_result", {{"bytes", 250'000}})).is_null());
}

TEST_F(Hostile, ADescriptorFromAChildIsRefusedAndClosed) {
  expect_violation(run("send_descriptor"), Code::kInvalidArgument, "sent a descriptor");
}

TEST_F(Hostile, ALogWithoutEndIsCutToItsTail) {
  const Settlement settlement = run("chatter");
  EXPECT_LE(settlement.log_tail.size(), kMostLogTailBytes);
  EXPECT_NE(settlement.log_tail.find("the end"), std::string::npos);
}

}  // namespace
}  // namespace spool
