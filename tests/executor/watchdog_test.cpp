// Attempts that do not end by themselves: stopped when asked, killed when deaf, stalled or too long.
#include <atomic>
#include <fstream>
#include <future>

#include "executor/harness.h"

namespace spool {
namespace {

using namespace std::chrono_literals;

class Watchdog : public Executing {
 protected:
  Watchdog() { options_.grace = 50ms; }
  // Starts it, and waits until it has said that it runs.
  std::shared_ptr<Claim> begin(const char* kind, std::optional<Duration> timeout = {}) {
    auto work = claim(kind);
    work->timeout = timeout;
    start(work);
    await_report(work->job, [](const ProgressReport& report) { return report.fraction > 0; });
    return work;
  }
};

TEST_F(Watchdog, AnAttemptPastItsTimeoutIsKilled) {
  const auto work = claim("spin");
  work->timeout = 200ms;
  const Settlement settlement = run(work);
  EXPECT_EQ(error_of(settlement).code, Code::kTimeout);
  EXPECT_EQ(error_of(settlement).message, "spin: not done after 0.2 s");
  EXPECT_GT(settlement.usage.cpu_seconds, 0);
  expect_alive();
}

TEST_F(Watchdog, AnAttemptWithoutASignOfLifeIsKilled) {
  const Settlement settlement = run("stall");
  EXPECT_EQ(error_of(settlement).code, Code::kTimeout);
  EXPECT_EQ(error_of(settlement).message, "stall: no sign of life for 0.3 s");
  EXPECT_NE(settlement.log_tail.find("going to sleep"), std::string::npos);
}

TEST_F(Watchdog, AnAttemptThatWorksSilentlyIsNotStalled) {
  const Settlement settlement = run("work_silently");  // two seconds of CPU time, stall_timeout 1.5 s
  EXPECT_FALSE(result_of(settlement).is_null()) << error_of(settlement).message;
}

TEST_F(Watchdog, AnAttemptThatIsBusyWithoutProgressIsKilled) {
  const Settlement settlement = run("busy");
  EXPECT_EQ(error_of(settlement).code, Code::kTimeout);
  EXPECT_EQ(error_of(settlement).message, "busy: busy, but no progress for 0.3 s");
  expect_alive();
}

TEST_F(Watchdog, ReadingOnIsProgressAndReadingInCirclesIsNone) {
  const auto large = folder_.path() / "large", small = folder_.path() / "small";
  for (const auto& path : {large, small}) std::ofstream(path).put('x');
  std::filesystem::resize_file(large, std::uintmax_t{1} << 36);  // a hole: it takes no space
  const Settlement reading = run("read_on", {{"from", "file:" + large.string()}, {"seconds", 4}});
  EXPECT_FALSE(result_of(reading).is_null()) << error_of(reading).message;
  const Settlement turning = run("read_on", {{"from", "file:" + small.string()}, {"seconds", 1000}});
  EXPECT_EQ(error_of(turning).message, "read_on: busy, but no progress for 3 s");
}

TEST_F(Watchdog, TooMuchCpuTimeEndsTheAttempt) {
  options_.limits.cpu_seconds = 0.2;
  const Settlement settlement = run("spin");
  EXPECT_EQ(error_of(settlement).code, Code::kTimeout);
  EXPECT_EQ(error_of(settlement).message, "spin: used more CPU time than it may");
}

TEST_F(Watchdog, ACancelledAttemptThatListensEndsByItself) {
  const auto work = begin("obey");
  executor().stop(work->job, StopReason::kCancelled, 1h);
  EXPECT_EQ(error_of(ending(work->job)).code, Code::kCancelled);
}

TEST_F(Watchdog, ACancelledAttemptThatIsDeafIsKilledAfterItsGrace) {
  const auto work = begin("sleep");
  executor().stop(work->job, StopReason::kCancelled, 30ms);
  const Settlement settlement = ending(work->job);
  EXPECT_EQ(error_of(settlement).code, Code::kCancelled);
  EXPECT_TRUE(std::holds_alternative<Failed>(settlement.ending));
  expect_alive();
}

TEST_F(Watchdog, ASecondStopShortensTheGrace) {
  const auto work = begin("sleep");
  executor().stop(work->job, StopReason::kDraining, 1h);
  executor().stop(work->job, StopReason::kLeaseLost, 0ms);
  EXPECT_TRUE(std::holds_alternative<Released>(ending(work->job).ending));
}

TEST_F(Watchdog, DiscardingRemovesWhatAnEndedAttemptWrote) {
  std::promise<Uuid> discarded;
  files_.on_discard = [&](const Claim& claim) { discarded.set_value(claim.job); };
  const auto lost = begin("sleep");
  executor().stop(lost->job, StopReason::kLeaseLost, 0ms);
  static_cast<void>(ending(lost->job));
  executor().discard(lost);
  auto told = discarded.get_future();
  ASSERT_EQ(told.wait_for(30s), std::future_status::ready);
  EXPECT_EQ(told.get(), lost->job);
}

TEST_F(Watchdog, DiscardingWaitsForTheFileThatIsBeingOpenedForTheAttempt) {
  std::promise<void> opening, go_on, discarded;
  std::atomic<bool> opened = false;
  files_.before_open = [&] {
    opening.set_value();
    go_on.get_future().wait();
    opened = true;
  };
  bool opened_before = false;
  files_.on_discard = [&](const Claim&) {
    opened_before = opened;
    discarded.set_value();
  };
  const std::string from = "file:" + (folder_.path() / "in.mp4").string();
  const auto lost = claim("copy", {{"from", from}, {"to", "out.mp4"}});
  start(lost);
  ASSERT_EQ(opening.get_future().wait_for(30s), std::future_status::ready);
  executor().stop(lost->job, StopReason::kLeaseLost, 0ms);
  static_cast<void>(ending(lost->job));
  executor().discard(lost);
  expect_alive();  // the loop has turned: it had its chance to discard too soon
  go_on.set_value();
  ASSERT_EQ(discarded.get_future().wait_for(30s), std::future_status::ready);
  EXPECT_TRUE(opened_before);
}

TEST_F(Watchdog, WorkThatIsFinishedAfterTheRequestCounts) {
  const auto work = begin("finish_when_stopped");
  executor().stop(work->job, StopReason::kCancelled, 1h);
  EXPECT_EQ(result_of(ending(work->job)), Json({{"finished", true}}));
}

TEST_F(Watchdog, DrainingReleasesAndChargesNothing) {
  const auto work = begin("obey");
  executor().stop(work->job, StopReason::kDraining, 1h);
  EXPECT_TRUE(std::holds_alternative<Released>(ending(work->job).ending));
}

TEST_F(Watchdog, AStopForAnAttemptWhoseChildIsStillStartingIsNotLost) {
  options_.spare_children = 0;
  const auto work = claim("obey");
  start(work);
  executor().stop(work->job, StopReason::kCancelled, 1h);
  EXPECT_EQ(error_of(ending(work->job)).code, Code::kCancelled);
}

TEST_F(Watchdog, AStopForNobodyIsIgnored) {
  executor().stop(Uuid::v7(), StopReason::kCancelled, 0ms);
  expect_alive();
}

}  // namespace
}  // namespace spool
