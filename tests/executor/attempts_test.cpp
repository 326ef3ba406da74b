// Honest attempts, and those that end badly: what the executor says, and that the next attempt runs all the
// same.
#include <signal.h>

#include <atomic>
#include <cstring>
#include <future>
#include <thread>

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

// Inputs that are no local files.
class RemoteInputs : public Executing {
 protected:
  void offer(std::string text) {
    ByteSource source;
    source.size = text.size();
    source.name = "object:film";
    source.read_at = [this, text = std::move(text)](std::uint64_t offset,
                                                    std::span<std::byte> into) -> Result<std::size_t> {
      if (before_read) SPOOL_TRY(before_read(offset));
      if (offset >= text.size()) return std::size_t{0};
      const std::string_view piece = std::string_view(text).substr(offset, std::min(into.size(), most_));
      std::memcpy(into.data(), piece.data(), piece.size());
      return piece.size();
    };
    files_.remote = std::move(source);
  }
  std::function<Result<void>(std::uint64_t offset)> before_read;
  std::size_t most_ = 100'000;  // in one go
};

TEST_F(RemoteInputs, AreReadThroughTheManager) {
  std::string text;
  for (int i = 0; text.size() < 1'500'000; ++i) text += std::to_string(i * 7919);
  offer(text);
  const Settlement settlement = run("copy", {{"from", "object:film"}, {"to", "out"}});
  EXPECT_EQ(result_of(settlement), Json({{"bytes", text.size()}})) << error_of(settlement).message;
  EXPECT_EQ(read_file(folder_.path() / "out").value(), text);
  EXPECT_GE(settlement.usage.bytes_read, static_cast<std::int64_t>(text.size()));
}

TEST_F(RemoteInputs, EndWhereTheyEnd) {
  offer("0123456789");
  EXPECT_EQ(result_of(run("read", {{"from", "object:film"}, {"offset", 4}})), Json({{"bytes", 6}}));
  for (const std::uint64_t beyond : {std::uint64_t{10}, std::uint64_t{11}, std::uint64_t{INT64_MAX}})
    EXPECT_EQ(result_of(run("read", {{"from", "object:film"}, {"offset", beyond}})), Json({{"bytes", 0}}));
}

TEST_F(RemoteInputs, ThatFailInTheMiddleAreTheAttemptsErrorAndTheNextOneMayHaveMoreLuck) {
  offer(std::string(1'000'000, 'x'));
  before_read = [](std::uint64_t offset) -> Result<void> {
    if (offset > 300'000) return fail(Code::kUnavailable, "object film: the service is away");
    return {};
  };
  const Json args = {{"from", "object:film"}, {"offset", 0}, {"length", 1'000'000}};
  const Settlement settlement = run("read", args);
  ASSERT_TRUE(std::holds_alternative<RetryLater>(settlement.ending));
  EXPECT_EQ(error_of(settlement), (Error{Code::kUnavailable, "object film: the service is away", 0}));
  before_read = {};
  EXPECT_EQ(result_of(run("read", args)), Json({{"bytes", 1'000'000}}));
}

TEST_F(RemoteInputs, ThatAreClosedMakeRoomForOthers) {
  offer("0123456789");
  const Json many = {{"from", "object:film"}, {"offset", 0}, {"inputs", 200}};
  EXPECT_EQ(result_of(run("read", many)), Json({{"bytes", 10}}));
  Json kept = many;
  kept["keep"] = true;
  EXPECT_EQ(error_of(run("read", kept)).message, "more than 64 inputs are open");
}

TEST_F(RemoteInputs, ThatHangHoldUpNobodyElse) {
  offer("0123456789");
  std::promise<void> let_go;
  std::atomic<int> waiting = 0;
  before_read = [&, go = let_go.get_future().share()](std::uint64_t) -> Result<void> {
    if (++waiting <= 4) go.wait();
    return {};
  };
  std::vector<std::shared_ptr<Claim>> stuck;
  for (int i = 0; i < 4; ++i) {
    stuck.push_back(claim("read", {{"from", "object:film"}, {"offset", 0}}));
    start(stuck.back());
  }
  while (waiting < 4) std::this_thread::yield();
  EXPECT_EQ(result_of(run("read", {{"from", "object:film"}, {"offset", 0}})), Json({{"bytes", 10}}));
  let_go.set_value();
  for (const auto& work : stuck) EXPECT_EQ(result_of(ending(work->job)), Json({{"bytes", 10}}));
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
