#include "queue/cron.h"

#include <date/date.h>
#include <gtest/gtest.h>

#include <atomic>
#include <sstream>
#include <thread>

namespace spool {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

Time utc(const std::string& text) {
  std::istringstream in(text);
  Time time;
  in >> date::parse("%F %T", time);
  EXPECT_FALSE(in.fail()) << text;
  return time;
}

std::string text_of(Time time) {
  return date::format("%F %H:%M", time);
}

// The first ticks after a moment, in UTC.
std::vector<std::string> ticks(const std::string& expression, const std::string& zone,
                               const std::string& after, int count) {
  const Cron cron = parse_cron(expression).value();
  std::vector<std::string> found;
  for (Time at = utc(after); count > 0; --count) {
    at = next_tick(cron, zone, at).value();
    found.push_back(text_of(at));
  }
  return found;
}

std::string first(const std::string& expression, const std::string& after, const std::string& zone = "UTC") {
  return ticks(expression, zone, after, 1)[0];
}

std::string complaint(const std::string& expression) {
  const auto cron = parse_cron(expression);
  return cron ? "" : cron.error().message;
}

TEST(Cron, EachFieldSaysWhen) {
  const std::string now = "2026-11-26 17:38:14";  // a Thursday
  EXPECT_EQ(first("* * * * *", now), "2026-11-26 17:39");
  EXPECT_EQ(first("30 * * * *", now), "2026-11-26 18:30");
  EXPECT_EQ(first("38 17 * * *", now), "2026-11-27 17:38");
  EXPECT_EQ(first("0 3 * * *", now), "2026-11-27 03:00");
  EXPECT_EQ(first("0 0 1 * *", now), "2026-12-01 00:00");
  EXPECT_EQ(first("0 0 1 1 *", now), "2027-01-01 00:00");
  EXPECT_EQ(first("0 12 * 2 *", now), "2027-02-01 12:00");
  EXPECT_EQ(first("0 12 * * 1", now), "2026-11-30 12:00");
}

TEST(Cron, ATickIsAfterTheMomentAndNeverAtIt) {
  EXPECT_EQ(first("0 3 * * *", "2026-11-26 03:00:00"), "2026-11-27 03:00");
  EXPECT_EQ(first("0 3 * * *", "2026-11-26 02:59:59"), "2026-11-26 03:00");
  EXPECT_EQ(first("0 3 * * *", "2026-11-26 03:00:30"), "2026-11-27 03:00");
}

TEST(Cron, ListsRangesAndStepsMayBeMixed) {
  const std::vector<std::string> expected = {"2026-01-01 08:00", "2026-01-01 08:20", "2026-01-01 08:40",
                                             "2026-01-01 10:00"};
  EXPECT_EQ(ticks("*/20 8-11/2 * * *", "UTC", "2026-01-01 00:00:00", 4), expected);
  EXPECT_EQ(ticks("5,50-52 0 * * *", "UTC", "2026-01-01 00:00:00", 4),
            (std::vector<std::string>{"2026-01-01 00:05", "2026-01-01 00:50", "2026-01-01 00:51",
                                      "2026-01-01 00:52"}));
  EXPECT_EQ(ticks("40/10 0 * * *", "UTC", "2026-01-01 00:00:00", 3),
            (std::vector<std::string>{"2026-01-01 00:40", "2026-01-01 00:50", "2026-01-02 00:40"}));
}

TEST(Cron, NamesAndNicknamesAreNumbers) {
  const std::string now = "2026-11-26 17:38:14";
  EXPECT_EQ(first("0 0 * FEB *", now), first("0 0 * 2 *", now));
  EXPECT_EQ(first("0 0 * * Mon-Wed", now), first("0 0 * * 1-3", now));
  EXPECT_EQ(first("0 0 * * 7", now), first("0 0 * * sun", now));
  EXPECT_EQ(first("0 0 * * fri-sun", "2026-11-28 12:00:00"), "2026-11-29 00:00");
  EXPECT_EQ(first("@yearly", now), "2027-01-01 00:00");
  EXPECT_EQ(first("@annually", now), "2027-01-01 00:00");
  EXPECT_EQ(first("@monthly", now), "2026-12-01 00:00");
  EXPECT_EQ(first("@weekly", now), "2026-11-29 00:00");
  EXPECT_EQ(first("@daily", now), "2026-11-27 00:00");
  EXPECT_EQ(first("@Midnight", now), "2026-11-27 00:00");
  EXPECT_EQ(first("@hourly", now), "2026-11-26 18:00");
  EXPECT_EQ(first("  0\t18   * * * ", now), "2026-11-26 18:00");
}

TEST(Cron, ADayOfTheMonthAndOneOfTheWeekMeanEither) {
  const std::vector<std::string> either = {"2026-01-02 00:00", "2026-01-09 00:00", "2026-01-13 00:00",
                                           "2026-01-16 00:00"};
  EXPECT_EQ(ticks("0 0 13 * fri", "UTC", "2026-01-01 00:00:00", 4), either);
}

TEST(Cron, WhereOneOfTheDaysBeginsWithAStarBothMustFit) {
  EXPECT_EQ(first("0 0 */2 * fri", "2026-01-01 00:00:00"), "2026-01-09 00:00");
  EXPECT_EQ(first("0 0 13 * */5", "2026-01-01 00:00:00"), "2026-02-13 00:00") << "a Friday";
}

TEST(Cron, RareDatesAreFound) {
  EXPECT_EQ(first("0 0 29 2 *", "2026-01-01 00:00:00"), "2028-02-29 00:00");
  EXPECT_EQ(first("0 0 29 2 *", "2096-03-01 00:00:00"), "2104-02-29 00:00");
  EXPECT_EQ(ticks("0 0 31 * *", "UTC", "2026-01-31 00:00:00", 3),
            (std::vector<std::string>{"2026-03-31 00:00", "2026-05-31 00:00", "2026-07-31 00:00"}));
  EXPECT_EQ(first("59 23 31 12 *", "2026-12-31 23:59:00"), "2027-12-31 23:59");
}

TEST(Cron, TheTimeIsTheZonesOwn) {
  EXPECT_EQ(first("0 3 * * *", "2026-01-10 12:00:00", "Europe/Berlin"), "2026-01-11 02:00");
  EXPECT_EQ(first("0 3 * * *", "2026-07-10 12:00:00", "Europe/Berlin"), "2026-07-11 01:00");
  EXPECT_EQ(first("0 3 * * *", "2026-07-10 12:00:00", "Asia/Kolkata"), "2026-07-10 21:30");
  EXPECT_EQ(first("0 0 1 * *", "2026-07-10 12:00:00", "Pacific/Auckland"), "2026-07-31 12:00");
  EXPECT_EQ(first("0 0 * * mon", "2026-07-10 12:00:00", "America/Los_Angeles"), "2026-07-13 07:00");
}

// Clocks go from 02:00 to 03:00 on 29 March 2026, at 01:00 UTC.
TEST(Cron, ATimeThatDoesNotExistIsTheMomentAfterTheGap) {
  EXPECT_EQ(ticks("30 2 * * *", "Europe/Berlin", "2026-03-27 12:00:00", 3),
            (std::vector<std::string>{"2026-03-28 01:30", "2026-03-29 01:00", "2026-03-30 00:30"}));
  EXPECT_EQ(first("0 2 * * *", "2026-03-28 12:00:00", "Europe/Berlin"), "2026-03-29 01:00");
}

TEST(Cron, AllTimesOfAGapTickOnceTogetherWithTheMomentAfterIt) {
  EXPECT_EQ(ticks("*/20 * * * *", "Europe/Berlin", "2026-03-29 00:35:00", 4),
            (std::vector<std::string>{"2026-03-29 00:40", "2026-03-29 01:00", "2026-03-29 01:20",
                                      "2026-03-29 01:40"}));
  EXPECT_EQ(ticks("0,30 2,3 * * *", "Europe/Berlin", "2026-03-28 12:00:00", 3),
            (std::vector<std::string>{"2026-03-29 01:00", "2026-03-29 01:30", "2026-03-30 00:00"}));
}

// Clocks go from 03:00 back to 02:00 on 25 October 2026, at 01:00 UTC.
TEST(Cron, ATimeThatExistsTwiceTicksTheFirstTime) {
  EXPECT_EQ(ticks("30 2 * * *", "Europe/Berlin", "2026-10-24 12:00:00", 2),
            (std::vector<std::string>{"2026-10-25 00:30", "2026-10-26 01:30"}));
  EXPECT_EQ(ticks("*/30 1-3 * * *", "Europe/Berlin", "2026-10-24 23:45:00", 4),
            (std::vector<std::string>{"2026-10-25 00:00", "2026-10-25 00:30", "2026-10-25 02:00",
                                      "2026-10-25 02:30"}));
}

TEST(Cron, AnIntervalGoesOnWhileTheHourComesAgain) {
  EXPECT_EQ(ticks("*/30 * * * *", "Europe/Berlin", "2026-10-24 23:45:00", 6),
            (std::vector<std::string>{"2026-10-25 00:00", "2026-10-25 00:30", "2026-10-25 01:00",
                                      "2026-10-25 01:30", "2026-10-25 02:00", "2026-10-25 02:30"}));
  EXPECT_EQ(first("*/30 * * * *", "2026-10-25 01:10:00", "Europe/Berlin"), "2026-10-25 01:30");
  EXPECT_EQ(first("*/30 * * * *", "2026-10-25 00:59:30", "Europe/Berlin"), "2026-10-25 01:00");
  EXPECT_EQ(first("*/30 * * * *", "2026-10-25 01:30:00", "Europe/Berlin"), "2026-10-25 02:00");
  EXPECT_EQ(first("* * 26 * *", "2026-10-25 00:30:00", "Europe/Berlin"), "2026-10-25 23:00")
      << "not that day";
  // Half an hour that comes again: 01:30 to 02:00 local on 5 April 2026, at 15:00 UTC the day before.
  EXPECT_EQ(ticks("*/15 * * * *", "Australia/Lord_Howe", "2026-04-04 14:40:00", 4),
            (std::vector<std::string>{"2026-04-04 14:45", "2026-04-04 15:00", "2026-04-04 15:15",
                                      "2026-04-04 15:30"}));
}

TEST(Cron, EveryMinuteIsEveryMinuteWhateverClocksDo) {
  for (const char* zone : {"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"})
    for (const char* day :
         {"2026-03-07", "2026-03-28", "2026-04-04", "2026-10-03", "2026-10-24", "2026-10-31"}) {
      const Cron cron = parse_cron("* * * * *").value();
      Time at = utc(std::string(day) + " 12:00:00");
      for (const Time end = at + hours(24); at < end;) {
        const Time next = next_tick(cron, zone, at).value();
        ASSERT_EQ(next - at, minutes(1)) << zone << " " << text_of(at);
        at = next;
      }
    }
}

TEST(Cron, AskedWithinTheSecondPassAFixedHourTicksTheNextDay) {
  EXPECT_EQ(first("45 2 * * *", "2026-10-25 01:10:00", "Europe/Berlin"), "2026-10-26 01:45");
}

TEST(Cron, OtherZonesHaveOtherGaps) {
  // Half an hour, at 02:00 local on 4 October 2026 (15:30 UTC the day before).
  EXPECT_EQ(ticks("15 2 * * *", "Australia/Lord_Howe", "2026-10-02 00:00:00", 3),
            (std::vector<std::string>{"2026-10-02 15:45", "2026-10-03 15:30", "2026-10-04 15:15"}));
  // A whole day that never was: 30 December 2011.
  EXPECT_EQ(ticks("0 12 * * *", "Pacific/Apia", "2011-12-29 00:00:00", 3),
            (std::vector<std::string>{"2011-12-29 22:00", "2011-12-30 10:00", "2011-12-30 22:00"}));
}

TEST(Cron, AnHourlyTickComesEachHourOfAYear) {
  for (const char* zone : {"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"}) {
    const Cron cron = parse_cron("17 * * * *").value();
    Time at = utc("2026-01-01 00:00:00");
    int count = 0;
    for (; at < utc("2027-01-01 00:00:00"); ++count) {
      const Time next = next_tick(cron, zone, at).value();
      ASSERT_GT(next, at);
      ASSERT_LE(next - at, hours(1) + minutes(30)) << zone;
      at = next;
    }
    EXPECT_NEAR(count, 8760, 2) << zone;
  }
}

TEST(Cron, WhatIsWrongIsNamed) {
  EXPECT_NE(complaint("60 * * * *").find("minute: \"60\" is not within 0 and 59"), std::string::npos);
  EXPECT_NE(complaint("* 24 * * *").find("hour: "), std::string::npos);
  EXPECT_NE(complaint("* * 0 * *").find("day of the month: "), std::string::npos);
  EXPECT_NE(complaint("* * * 13 *").find("month: "), std::string::npos);
  EXPECT_NE(complaint("* * * foo *").find("\"foo\" is no number and no name"), std::string::npos);
  EXPECT_NE(complaint("* * L * *").find("\"L\" is no number"), std::string::npos);
  EXPECT_NE(complaint("* * * * 8").find("day of the week: "), std::string::npos);
  EXPECT_NE(complaint("10-5 * * * *").find("goes backwards"), std::string::npos);
  EXPECT_NE(complaint("*/0 * * * *").find("is not within 1 and 59"), std::string::npos);
  EXPECT_NE(complaint("*/ * * * *").find("is no number"), std::string::npos);
  EXPECT_NE(complaint("1,,2 * * * *").find("is no number"), std::string::npos);
  EXPECT_NE(complaint("-5 * * * *").find("is no number"), std::string::npos);
  EXPECT_NE(complaint("1-2-3 * * * *").find("is no number"), std::string::npos);
  EXPECT_NE(complaint("99999999999 * * * *").find("is no number"), std::string::npos);
  EXPECT_NE(complaint("* * * *").find("has 4 fields"), std::string::npos);
  EXPECT_NE(complaint("0 * * * * *").find("has 6 fields"), std::string::npos);
  EXPECT_NE(complaint("").find("has 0 fields"), std::string::npos);
  EXPECT_NE(complaint("@reboot").find("none of @yearly"), std::string::npos);
  EXPECT_NE(complaint("0 0 30 2 *").find("never comes"), std::string::npos);
  EXPECT_NE(complaint("0 0 31 4,6 *").find("never comes"), std::string::npos);
  EXPECT_EQ(complaint("0 0 30 2 mon"), "") << "every Monday in February";
}

// In a process of its own, for the zones are read once; ThreadSanitizer is who would tell.
TEST(CronDeathTest, AThreadMayAskForAZoneThatAnotherOneReadJustNow) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  const auto ask_in_turn = [] {
    std::atomic<bool> asked = false;  // relaxed: the threads share nothing but the zones
    std::thread one([&] {
      first("@daily", "2026-01-01 00:00:00", "UTC");
      asked.store(true, std::memory_order_relaxed);
    });
    std::thread other([&] {
      while (!asked.load(std::memory_order_relaxed)) std::this_thread::yield();
      first("@daily", "2026-01-01 00:00:00", "UTC");
    });
    one.join();
    other.join();
    std::exit(0);
  };
  EXPECT_EXIT(ask_in_turn(), testing::ExitedWithCode(0), "");
}

TEST(Cron, AZoneThatDoesNotExistIsNamed) {
  EXPECT_TRUE(check_zone("Europe/Berlin"));
  EXPECT_TRUE(check_zone("UTC"));
  const auto wrong = check_zone("Europe/Berlinn");
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, Code::kInvalidArgument);
  EXPECT_NE(wrong.error().message.find("Europe/Berlinn"), std::string::npos);
  EXPECT_FALSE(check_zone(""));
  EXPECT_FALSE(check_zone("../../etc/passwd"));
  EXPECT_FALSE(next_tick(parse_cron("@daily").value(), "Nowhere", Time{}));
}

Schedule hourly(Missed missed) {
  Schedule schedule;
  schedule.cron = "@hourly";
  schedule.missed = missed;
  schedule.next = utc("2026-01-01 01:00:00");
  return schedule;
}

DueTicks due(const Schedule& schedule, const std::string& now) {
  return due_ticks(schedule, utc(now)).value();
}

TEST(DueTicks, InTimeAllPoliciesRunTheOneTick) {
  for (const Missed missed : {Missed::kRunOnce, Missed::kSkip, Missed::kRunAll}) {
    const DueTicks found = due(hourly(missed), "2026-01-01 01:00:20");
    EXPECT_EQ(found.run, (std::vector<Time>{utc("2026-01-01 01:00:00")}));
    EXPECT_EQ(text_of(found.next), "2026-01-01 02:00");
  }
}

TEST(DueTicks, MissedTicksAreRunOnceSkippedOrAllRun) {
  const std::string now = "2026-01-01 04:30:00";
  EXPECT_EQ(due(hourly(Missed::kRunOnce), now).run.size(), 1u);
  EXPECT_EQ(due(hourly(Missed::kSkip), now).run.size(), 0u);
  EXPECT_EQ(due(hourly(Missed::kRunAll), now).run.size(), 4u);
  for (const Missed missed : {Missed::kRunOnce, Missed::kSkip, Missed::kRunAll})
    EXPECT_EQ(text_of(due(hourly(missed), now).next), "2026-01-01 05:00");
}

TEST(DueTicks, WhoSkipsStillRunsWhatIsJustDue) {
  const DueTicks found = due(hourly(Missed::kSkip), "2026-01-01 04:00:30");
  EXPECT_EQ(found.run, (std::vector<Time>{utc("2026-01-01 04:00:00")}));
}

TEST(DueTicks, ManyMissedTicksComeInParts) {
  Schedule schedule = hourly(Missed::kRunAll);
  std::size_t ran = 0;
  const Time now = utc("2026-02-01 00:30:00");
  while (schedule.next <= now) {
    const DueTicks found = due_ticks(schedule, now).value();
    ASSERT_LE(found.run.size(), kMostTicksAtOnce);
    ran += found.run.size();
    schedule.next = found.next;
  }
  EXPECT_EQ(ran, 31u * 24);
}

TEST(DueTicks, OfAPausedScheduleNothingRuns) {
  for (const Missed missed : {Missed::kRunOnce, Missed::kSkip, Missed::kRunAll}) {
    Schedule schedule = hourly(missed);
    schedule.paused = true;
    const DueTicks found = due(schedule, "2026-01-01 04:00:30");
    EXPECT_TRUE(found.run.empty());
    EXPECT_EQ(text_of(found.next), "2026-01-01 05:00");
  }
}

TEST(DueTicks, AScheduleThatCannotBeReadIsAnError) {
  Schedule schedule = hourly(Missed::kSkip);
  schedule.cron = "61 * * * *";
  EXPECT_FALSE(due_ticks(schedule, schedule.next));
  schedule.cron = "@daily";
  schedule.zone = "Nowhere";
  EXPECT_FALSE(due_ticks(schedule, schedule.next));
}

}  // namespace
}  // namespace spool
