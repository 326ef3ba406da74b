#include "drain.h"

#include <gtest/gtest.h>

namespace spool {
namespace {

SessionInfo worker(const char* id, const char* host, int pid) {
  SessionInfo info;
  info.session.id = Uuid::parse(id).value();
  info.worker.host = host;
  info.worker.pid = pid;
  return info;
}

const std::vector<SessionInfo> kAll = {worker("01890a5d-ac96-774b-bcce-b302099a8057", "web-1", 7),
                                       worker("01890a5d-ac96-774b-bcce-b302099a8058", "web-1", 70),
                                       worker("11890a5d-ac96-774b-bcce-b302099a8057", "web-10", 7)};

std::vector<int> pids(const std::string& name) {
  const auto found = workers_named(kAll, name).value();
  std::vector<int> pids;
  for (const SessionInfo& info : found) pids.push_back(info.worker.pid);
  return pids;
}

TEST(Drain, AWorkerIsNamedByHostAndProcessByHostOrById) {
  EXPECT_EQ(pids("web-1:70"), std::vector<int>{70});
  EXPECT_EQ(pids("web-1"), (std::vector<int>{7, 70}));
  EXPECT_EQ(pids("web-10"), std::vector<int>{7});
  EXPECT_EQ(pids("01890a5d-ac96-774b-bcce-b302099a8058"), std::vector<int>{70});
  EXPECT_EQ(pids("11"), std::vector<int>{7});
}

TEST(Drain, WhatNamesNobodyOrSeveralIsAnError) {
  for (const char* nobody : {"", "web", "web-1:", "web-1:8", "2"})
    EXPECT_EQ(workers_named(kAll, nobody).error().code, Code::kNotFound) << nobody;
  const Error several = workers_named(kAll, "01890a5d").error();
  EXPECT_EQ(several.code, Code::kInvalidArgument);
  EXPECT_NE(several.message.find("b302099a8057 and 01890a5d"), std::string::npos) << several.message;
}

// One worker and its sessions, which are seen at times in seconds. A lease is 30 s.
class Draining : public testing::Test {
 protected:
  using Stands = DrainedWorker::Stands;

  static Time at(int second) { return Time(std::chrono::seconds(second)); }
  static SessionInfo session(const char* id, int expires, bool draining = true, int pid = 7) {
    SessionInfo info = worker(id, "web-1", pid);
    info.expires = at(expires);
    info.draining = draining;
    return info;
  }
  Stands stands(int now, const std::vector<SessionInfo>& sessions) {
    const DrainedWorker::Look look = watched_.look(sessions, at(now));
    asked_.clear();
    for (const Session& one : look.to_ask) asked_.push_back(one.id.text());
    return look.stands;
  }

  static constexpr const char* kFirst = "01890a5d-ac96-774b-bcce-b302099a8057";
  static constexpr const char* kNext = "01890a5d-ac96-774b-bcce-b302099a8058";
  const SessionInfo others_ = session("11890a5d-ac96-774b-bcce-b302099a8057", 1000, false, 70);
  DrainedWorker watched_{session(kFirst, 130)};
  std::vector<std::string> asked_;
};

TEST_F(Draining, OneWhoseLeaseHeldWhenItsSessionWentHasDrained) {
  EXPECT_EQ(stands(100, {session(kFirst, 130, false), others_}), Stands::kWaits);
  EXPECT_EQ(asked_, std::vector<std::string>{kFirst}) << "and nobody else";
  EXPECT_EQ(stands(125, {session(kFirst, 150), others_}), Stands::kWaits);
  EXPECT_TRUE(asked_.empty()) << "once is enough";
  EXPECT_EQ(stands(149, {others_}), Stands::kDrained);
}

TEST_F(Draining, OneThatIsBackAfterALostLeaseIsAskedAgainAndWaitedFor) {
  EXPECT_EQ(stands(131, {session(kFirst, 130)}), Stands::kWaits) << "it may come back";
  EXPECT_EQ(stands(159, {}), Stands::kWaits) << "also when its session was seen to be dead";
  EXPECT_EQ(stands(159, {session(kNext, 189, false)}), Stands::kWaits);
  EXPECT_EQ(asked_, std::vector<std::string>{kNext});
  EXPECT_EQ(stands(170, {session(kFirst, 130), session(kNext, 189)}), Stands::kWaits);
  EXPECT_TRUE(asked_.empty());
  EXPECT_EQ(stands(180, {session(kFirst, 130)}), Stands::kDrained);
}

TEST_F(Draining, OneThatGoesOnInAnHeirsSessionIsWaitedFor) {
  EXPECT_EQ(stands(100, {session(kFirst, 130), session(kNext, 130)}), Stands::kWaits);
  EXPECT_EQ(stands(101, {session(kNext, 131)}), Stands::kWaits);
  EXPECT_EQ(stands(102, {}), Stands::kDrained);
}

TEST_F(Draining, OneThatLostItsLeaseAndStaysAwayForALeaseIsGone) {
  EXPECT_EQ(stands(159, {session(kFirst, 130)}), Stands::kWaits);
  EXPECT_EQ(stands(160, {session(kFirst, 130), others_}), Stands::kGone);
}

}  // namespace
}  // namespace spool
