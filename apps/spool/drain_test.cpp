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

}  // namespace
}  // namespace spool
