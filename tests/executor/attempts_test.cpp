// Honest attempts, and those that end badly: what the executor says, and that the next attempt runs all the
// same.
#include <signal.h>

#include "executor/harness.h"

namespace spool {
namespace {

using Attempts = Executing;

TEST_F(Attempts, AnAttemptRunsInAChildAndItsResultComesBack) {
  const auto work = claim("echo", {{"text", "häuser"}, {"n", 3}});
  const Settlement settlement = run(work);
  EXPECT_EQ(result_of(settlement), work->args) << error_of(settlement).message;
  EXPECT_EQ(settlement.token, work->token);
}

TEST_F(Attempts, BytesGoInAndOutThroughDescriptors) {
  const std::string text = "some media";
  ASSERT_TRUE(write_file_atomic(folder_.path() / "in.mp4", std::as_bytes(std::span(text))));
  const std::string from = "file:" + (folder_.path() / "in.mp4").string();
  const Settlement settlement = run("copy", {{"from", from}, {"to", "a/out.mp4"}});
  EXPECT_EQ(result_of(settlement), Json({{"bytes", 10}})) << error_of(settlement).message;
  EXPECT_EQ(read_file(folder_.path() / "a/out.mp4").value(), text);
  EXPECT_GE(settlement.usage.bytes_read, 10);
  EXPECT_GE(settlement.usage.bytes_written, 10);
  EXPECT_GT(settlement.usage.peak_memory_bytes, 100'000);
}

TEST_F(Attempts, ReportsAndLogLinesArrive) {
  const auto work = claim("report");
  const Settlement settlement = run(work);
  EXPECT_FALSE(result_of(settlement).is_null());
  await_report(work->job, [&](const ProgressReport& report) {
    return report.checkpoint == Json({{"done", {1, 2}}}) && report.token == work->token;
  });
  await_report(work->job, [](const ProgressReport& report) { return report.fraction == 1.0; });
  EXPECT_EQ(settlement.log_tail, "half-way\n");
}

TEST_F(Attempts, ACrashNamesItsSignalAndKeepsTheLog) {
  for (const auto& [number, name] :
       {std::pair{SIGSEGV, "SIGSEGV"}, {SIGABRT, "SIGABRT"}, {SIGILL, "SIGILL"}}) {
    const Settlement settlement = run("crash", {{"signal", number}});
    EXPECT_EQ(error_of(settlement).code, Code::kCrashed);
    EXPECT_NE(error_of(settlement).message.find(name), std::string::npos) << error_of(settlement).message;
    EXPECT_NE(settlement.log_tail.find("about to crash"), std::string::npos) << settlement.log_tail;
    EXPECT_NE(settlement.log_tail.find("last words\n"), std::string::npos) << settlement.log_tail;
    EXPECT_EQ(settlement.log_tail.find('\x1b'), std::string::npos);
    EXPECT_TRUE(std::holds_alternative<RetryLater>(settlement.ending));
  }
  EXPECT_NE(error_of(run("abort")).message.find("SIGABRT"), std::string::npos);
  expect_alive();
}

TEST_F(Attempts, AnExceptionIsAFailedAttemptAndNoCrash) {
  const Settlement settlement = run("throw");
  EXPECT_EQ(error_of(settlement).code, Code::kInternal);
  EXPECT_NE(error_of(settlement).message.find("no such luck"), std::string::npos);
}

TEST_F(Attempts, AnExitWithoutAnEndingIsACrashInWords) {
  EXPECT_EQ(error_of(run("exit", {{"code", 0}})).message,
            "exit: its process exited with code 0 without an ending");
  EXPECT_EQ(error_of(run("exit", {{"code", 3}})).code, Code::kCrashed);
  expect_alive();
}

TEST_F(Attempts, AClosedSocketEndsTheAttempt) {
  const Settlement settlement = run("close");
  EXPECT_EQ(error_of(settlement).code, Code::kCrashed);
  EXPECT_EQ(error_of(settlement).message, "close: its process closed its connection without an ending");
  expect_alive();
}

}  // namespace
}  // namespace spool
