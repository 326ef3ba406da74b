#include "executors/process/attempt_run.h"

#include <gtest/gtest.h>

namespace spool::process {
namespace {

using namespace std::chrono_literals;

class AttemptRunTest : public testing::Test {
 protected:
  AttemptRunTest() {
    kind_.name = "chunk";
    kind_.timeout = 100s;
    kind_.stall_timeout = 10s;
  }
  Clock::time_point at(Duration since) const { return start_ + since; }
  static ProcessStats used(double cpu, std::int64_t peak = 0) { return {cpu, 0, peak, 0, 0}; }
  AttemptRun make() { return {std::make_shared<Claim>(), kind_, start_}; }

  Kind kind_;
  const Clock::time_point start_{};
};

TEST_F(AttemptRunTest, CpuTimeIsASignOfLife) {
  AttemptRun run = make();
  run.begin(used(1), at(0s));
  run.look(used(1), at(9s));
  EXPECT_FALSE(run.overdue({}, at(9s)));
  run.look(used(1.1), at(9s));
  run.look(used(1.1), at(18s));
  EXPECT_FALSE(run.overdue({}, at(18s)));
  EXPECT_EQ(run.overdue({}, at(19s)), StopReason::kStalled);
}

TEST_F(AttemptRunTest, CpuTimeIsNoProgress) {
  kind_.progress_timeout = 30s;
  AttemptRun run = make();
  run.begin(used(0), at(0s));
  run.message(at(5s));
  for (int i = 1; i < 35; ++i) {
    run.look(used(i), at(std::chrono::seconds(i)));
    EXPECT_FALSE(run.overdue({}, at(std::chrono::seconds(i)))) << i;
  }
  run.look(used(35), at(35s));
  EXPECT_EQ(run.overdue({}, at(35s)), StopReason::kStalled);
  run.ask_to_stop(StopReason::kStalled, at(40s));
  EXPECT_EQ(std::get<RetryLater>(run.ending_of_process("killed")).error.message,
            "chunk: busy, but no progress for 30 s");
}

TEST_F(AttemptRunTest, WaitingForItsManagerIsNoStall) {
  AttemptRun run = make();
  run.begin(used(1), at(0s));
  run.question = AttemptRun::Question::kOther;
  run.look(used(1), at(15s));
  EXPECT_FALSE(run.overdue({}, at(15s)));
}

TEST_F(AttemptRunTest, ReadingThroughTheManagerIsASignOfLifeAndNoProgress) {
  kind_.progress_timeout = 30s;
  AttemptRun run = make();
  run.begin(used(1), at(0s));
  run.question = AttemptRun::Question::kRead;
  for (int i = 5; i < 30; i += 5) {
    run.look(used(1), at(std::chrono::seconds(i)));
    EXPECT_FALSE(run.overdue({}, at(std::chrono::seconds(i)))) << i;
  }
  EXPECT_EQ(run.overdue({}, at(30s)), StopReason::kStalled);
}

TEST_F(AttemptRunTest, TheClaimsTimeoutOutweighsTheKinds) {
  auto claim = std::make_shared<Claim>();
  claim->timeout = 5s;
  AttemptRun run(claim, kind_, start_);
  run.begin(used(0), at(0s));
  EXPECT_FALSE(run.overdue({}, at(4s)));
  EXPECT_EQ(run.overdue({}, at(5s)), StopReason::kTimedOut);
}

TEST_F(AttemptRunTest, ATreesDeadlineCutsTheKindsTimeoutAndNeverStretchesIt) {
  auto claim = std::make_shared<Claim>();
  claim->until_deadline = 48h;
  AttemptRun hung(claim, kind_, start_);
  hung.begin(used(0), at(0s));
  EXPECT_EQ(hung.overdue({}, at(100s)), StopReason::kTimedOut);
  auto late = std::make_shared<Claim>();
  late->until_deadline = 4s;
  AttemptRun run(late, kind_, start_);
  run.begin(used(0), at(0s));
  EXPECT_EQ(run.overdue({}, at(4s)), StopReason::kTimedOut);
}

TEST_F(AttemptRunTest, ReportsAreMergedAndSparse) {
  AttemptRun run = make();
  run.on_progress(0.1, {{"fps", 1}});
  EXPECT_EQ(run.report_due(at(0s))->fraction, 0.1);
  run.on_progress(0.3, nullptr);
  run.on_progress(0.2, {{"fps", 2}});
  EXPECT_FALSE(run.report_due(at(50ms)));
  run.on_checkpoint({{"done", 1}});
  const auto report = run.report_due(at(60ms));  // a checkpoint waits less
  ASSERT_TRUE(report);
  EXPECT_EQ(report->fraction, 0.3);
  EXPECT_EQ(report->detail, Json({{"fps", 2}}));
  EXPECT_EQ(report->checkpoint, Json({{"done", 1}}));
  EXPECT_FALSE(run.report_due(at(10s)));
  run.on_progress(0.5, nullptr);
  EXPECT_TRUE(run.report_due(at(10s), true));
}

TEST_F(AttemptRunTest, UsageIsTheDifferenceSinceItsBegin) {
  AttemptRun run = make();
  run.begin(ProcessStats{2, 0, 50, 100, 10}, at(0s));
  run.look(ProcessStats{5, 0, 80, 400, 30}, at(1s));
  run.look(ProcessStats{6, 0, 70, 500, 40}, at(2s));
  const Usage usage = run.usage({99, 99, 99, 99});
  EXPECT_EQ(usage.cpu_seconds, 4);
  EXPECT_EQ(usage.peak_memory_bytes, 80);
  EXPECT_EQ(usage.bytes_read, 400);
  EXPECT_EQ(usage.bytes_written, 30);
}

TEST_F(AttemptRunTest, WhereTheManagerCannotLookTheChildsWordCounts) {
  AttemptRun run = make();
  run.begin(std::nullopt, at(0s));
  EXPECT_EQ(run.usage({3, 4, 5, 6}).cpu_seconds, 3);
}

TEST_F(AttemptRunTest, ALostLeaseReleasesWhateverCameBefore) {
  AttemptRun run = make();
  run.ask_to_stop(StopReason::kTimedOut, at(10s));
  run.ask_to_stop(StopReason::kLeaseLost, at(20s));
  EXPECT_TRUE(run.grace_is_over(at(10s)));  // the shorter grace stays
  EXPECT_TRUE(std::holds_alternative<Released>(run.ending_of_process("killed")));
}

TEST_F(AttemptRunTest, AnEndingAfterARequestIsTakenOnlyIfItIsWork) {
  AttemptRun run = make();
  run.ask_to_stop(StopReason::kCancelled, at(10s));
  EXPECT_TRUE(std::holds_alternative<Succeeded>(run.ending_said(Succeeded{})));
  EXPECT_TRUE(std::holds_alternative<FanOut>(run.ending_said(FanOut{})));
  const Ending ending = run.ending_said(RetryLater{{Code::kInternal, "x", 0}, {}});
  EXPECT_EQ(std::get<Failed>(ending).error.code, Code::kCancelled);
}

TEST_F(AttemptRunTest, ACondemnedAttemptKeepsItsFirstReason) {
  AttemptRun run = make();
  run.condemn({Code::kPermissionDenied, "first", 0});
  run.condemn({Code::kInternal, "second", 0});
  EXPECT_EQ(std::get<Failed>(run.ending_of_process("killed")).error.message, "first");
}

}  // namespace
}  // namespace spool::process
