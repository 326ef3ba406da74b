#include "queue/stored.h"

#include <gtest/gtest.h>

namespace spool {
namespace {

TEST(Stored, ATextIsReadBackAndNoneIsNull) {
  EXPECT_EQ(json_of(""), Json(nullptr));
  EXPECT_EQ(json_of("{}"), Json::object());
  EXPECT_EQ(json_of(R"({"a":[1,2]})"), (Json{{"a", {1, 2}}}));
  EXPECT_EQ(json_of("{\"a\":"), Json(nullptr)) << "it was not written by us";
}

TEST(Stored, ALimitHasWhatItsColumnsHave) {
  EXPECT_EQ(limit_of(1, "gpu", 2, 0, {}, 0), (Limit{LimitScope::kKey, "gpu", 2, {}}));
  EXPECT_EQ(limit_of(0, "night", {}, 6, std::chrono::seconds(60), 3),
            (Limit{LimitScope::kQueue, "night", {}, Rate{6, std::chrono::seconds(60), 3}}));
}

TEST(Stored, AScheduleHasItsJobAndItsTimes) {
  const Time next(std::chrono::hours(1));
  const auto schedule =
      schedule_of("nightly", "0 3 * * *", "Europe/Berlin", 1, R"({"kind":"sweep"})", true, next);
  ASSERT_TRUE(schedule) << schedule.error().message;
  EXPECT_EQ(schedule->name, "nightly");
  EXPECT_EQ(schedule->cron, "0 3 * * *");
  EXPECT_EQ(schedule->zone, "Europe/Berlin");
  EXPECT_EQ(schedule->missed, Missed::kSkip);
  EXPECT_EQ(schedule->job.kind, "sweep");
  EXPECT_TRUE(schedule->paused);
  EXPECT_EQ(schedule->next, next);
}

TEST(Stored, AScheduleWhoseJobCannotBeReadNamesIt) {
  const auto schedule = schedule_of("nightly", "0 3 * * *", "UTC", 0, "[]", false, Time{});
  ASSERT_FALSE(schedule);
  EXPECT_EQ(schedule.error().code, Code::kInternal);
  EXPECT_TRUE(schedule.error().message.starts_with("database: the schedule nightly: "))
      << schedule.error().message;
}

}  // namespace
}  // namespace spool
