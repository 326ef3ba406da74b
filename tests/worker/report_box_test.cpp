#include "queue/report_box.h"

#include <gtest/gtest.h>

#include <future>

#include "support/faulty_store.h"

namespace spool::test {
namespace {

using namespace std::chrono_literals;
using Sent = ReportBox::Sent;

class ReportBoxTest : public testing::Test {
 protected:
  void SetUp() override {
    NewJob job;
    job.kind = "x";
    ASSERT_TRUE(store.insert(std::span(&job, 1)));
    const Session session = *store.open_session({});
    claim = store.exchange(session, {}, ClaimRequest{1, 1, 1, {}, {}})->claimed.at(0);
  }
  ProgressReport progress(double fraction) const { return {claim.job, claim.token, fraction, nullptr, {}}; }
  ProgressReport checkpoint(int at) const { return {claim.job, claim.token, {}, nullptr, Json(at)}; }
  std::vector<Settlement> ending() const { return {{claim.job, claim.token, Succeeded{}, {}, {}}}; }

  FaultyStore store;
  Claim claim;
  ReportBox box{1s};
  BootClock::time_point t0{1h};
};

TEST_F(ReportBoxTest, TheLatestProgressWinsAndGoesOutOnceAnInterval) {
  EXPECT_TRUE(box.put(progress(0.1), t0));
  EXPECT_EQ(box.due(), t0);
  ASSERT_TRUE(box.send_due(store, t0));
  EXPECT_TRUE(box.put(progress(0.2), t0 + 100ms));
  EXPECT_FALSE(box.put(progress(0.3), t0 + 200ms));
  EXPECT_EQ(box.due(), t0 + 1s);
  ASSERT_TRUE(box.send_due(store, t0 + 999ms));
  EXPECT_EQ(store.reported().size(), 1u);
  ASSERT_TRUE(box.send_due(store, t0 + 1s));
  ASSERT_EQ(store.reported().size(), 2u);
  EXPECT_EQ(store.reported()[1].fraction, 0.3);
}

TEST_F(ReportBoxTest, IsNotIdleWhileAnythingWaitsOrIsOnItsWay) {
  EXPECT_TRUE(box.is_idle());
  box.put(progress(0.1), t0);
  EXPECT_FALSE(box.is_idle());
  bool idle_on_its_way = true;
  store.fault = [&](std::string_view call) -> std::optional<Error> {
    if (call != "report") return std::nullopt;
    idle_on_its_way = std::async(std::launch::async, [&] { return box.is_idle(); }).get();
    return Error{Code::kUnavailable, "away"};
  };
  EXPECT_FALSE(box.send_due(store, t0));
  EXPECT_FALSE(idle_on_its_way);
  EXPECT_FALSE(box.is_idle()) << "it is sent again";
  store.fault = nullptr;
  EXPECT_TRUE(box.flush(store, ending()));
  EXPECT_TRUE(box.is_idle());
}

TEST_F(ReportBoxTest, ACheckpointGoesOutSoonerAndTakesTheProgressAlong) {
  box.put(progress(0.1), t0);
  ASSERT_TRUE(box.send_due(store, t0));
  box.put(progress(0.2), t0 + 10ms);
  EXPECT_TRUE(box.put(checkpoint(7), t0 + 20ms));
  EXPECT_EQ(box.due(), t0 + 100ms);
  const auto sent = box.send_due(store, t0 + 100ms);
  ASSERT_TRUE(sent);
  EXPECT_EQ(sent->checkpointed, std::vector<Uuid>{claim.job});
  EXPECT_EQ(store.reported()[1].fraction, 0.2);
}

TEST_F(ReportBoxTest, LaterProgressDoesNotPushACheckpointOut) {
  box.put(checkpoint(7), t0);
  box.put(progress(0.2), t0);
  ASSERT_TRUE(box.send_due(store, t0));
  EXPECT_EQ(store.reported().at(0).checkpoint, Json(7));
  EXPECT_EQ(store.reported().at(0).fraction, 0.2);
}

TEST_F(ReportBoxTest, WhatTheStoreCouldNotTakeIsSentAgainWithWhatCameSince) {
  store.fault = [](std::string_view) { return Error{Code::kUnavailable, "away"}; };
  box.put(checkpoint(7), t0);
  EXPECT_FALSE(box.send_due(store, t0));
  box.put(progress(0.5), t0);
  EXPECT_FALSE(box.flush(store, ending()));
  store.fault = nullptr;
  ASSERT_TRUE(box.flush(store, ending()));
  ASSERT_EQ(store.reported().size(), 1u);
  EXPECT_EQ(store.reported()[0].checkpoint, Json(7));
  EXPECT_EQ(store.reported()[0].fraction, 0.5);
}

TEST_F(ReportBoxTest, AStaleTokenIsToldAndForgotten) {
  ProgressReport stale = progress(0.5);
  stale.token = Token::random();
  box.put(stale, t0);
  const auto sent = box.send_due(store, t0);
  ASSERT_TRUE(sent);
  EXPECT_EQ(sent->lost, std::vector<Uuid>{claim.job});
  EXPECT_EQ(box.due(), BootClock::time_point::max());
}

TEST_F(ReportBoxTest, OnlyWhatIsKeptIsSent) {
  box.put(checkpoint(7), t0);
  box.keep_only({claim.job});
  EXPECT_EQ(box.due(), t0);
  box.keep_only({});
  EXPECT_EQ(box.due(), BootClock::time_point::max());
  ASSERT_TRUE(box.flush(store, ending()));
  EXPECT_TRUE(store.reported().empty());
}

TEST_F(ReportBoxTest, FlushingAJobThatSaidNothingAsksTheStoreNothing) {
  ASSERT_TRUE(box.flush(store, ending()));
  EXPECT_EQ(store.calls().reports, 0);
}

}  // namespace
}  // namespace spool::test
