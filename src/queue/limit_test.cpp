#include "queue/limit.h"

#include <gtest/gtest.h>

namespace spool {
namespace {

using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::seconds;

Limit limit(std::string name, int concurrency, LimitScope scope = LimitScope::kKey) {
  return {scope, std::move(name), concurrency, std::nullopt};
}

// When jobs start that come one after the other, with `available` none, from time 0 on.
std::vector<std::int64_t> starts(const Rate& rate, const std::vector<int>& seconds_of_arrival) {
  Time next{};
  Time now{};
  std::vector<std::int64_t> at;
  for (const int arrival : seconds_of_arrival) {
    now = std::max({now, Time(seconds(arrival)), opens(rate, next, 0)});
    next = after_start(rate, next, now);
    at.push_back(std::chrono::duration_cast<seconds>(now.time_since_epoch()).count());
  }
  return at;
}

TEST(Limit, ARateSpreadsItsStartsEvenly) {
  EXPECT_EQ(starts({6, seconds(60), 1}, {0, 0, 0, 15, 100}), (std::vector<std::int64_t>{0, 10, 20, 30, 100}));
}

TEST(Limit, ABurstIsSavedUpByWaitingAndNoMoreThanThat) {
  EXPECT_EQ(starts({6, seconds(60), 3}, {0, 0, 0, 0, 0}), (std::vector<std::int64_t>{0, 0, 0, 10, 20}));
  EXPECT_EQ(starts({6, seconds(60), 3}, {500, 500, 500, 500}),
            (std::vector<std::int64_t>{500, 500, 500, 510}));
}

TEST(Limit, NoMoreThanTheBurstIsAvailableAtOnce) {
  const Rate rate{6, seconds(60), 2};
  EXPECT_LE(opens(rate, Time{}, 0), Time{});
  EXPECT_LE(opens(rate, Time{}, 1), Time{});
  EXPECT_EQ(opens(rate, Time{}, 2), Time::max());
  EXPECT_EQ(opens(rate, Time(seconds(100)), 1), Time(seconds(100)));
  EXPECT_EQ(opens(rate, Time(seconds(100)), 0), Time(seconds(90)));
}

TEST(Limit, WhatDoesNotDivideIsRoundedSoThatTheRateHolds) {
  EXPECT_EQ(spacing({3, seconds(1), 1}), microseconds(333'334));
  EXPECT_EQ(spacing({1'000'000, microseconds(1), 1}), microseconds(1));
}

TEST(Limit, TheNameItselfCountsBeforeBeginningsAndTheLongestOfThose) {
  const LimitBook book(
      {limit("a*", 1), limit("abc*", 2), limit("abcd", 3), limit("*", 4, LimitScope::kQueue)});
  EXPECT_FALSE(book.empty());
  EXPECT_EQ(book.find(LimitScope::kKey, "ax")->concurrency, 1);
  EXPECT_EQ(book.find(LimitScope::kKey, "a")->concurrency, 1);
  EXPECT_EQ(book.find(LimitScope::kKey, "abcx")->concurrency, 2);
  EXPECT_EQ(book.find(LimitScope::kKey, "abcd")->concurrency, 3);
  EXPECT_EQ(book.find(LimitScope::kKey, "b"), nullptr);
  EXPECT_EQ(book.find(LimitScope::kQueue, "anything")->concurrency, 4);
  EXPECT_TRUE(LimitBook().empty());
}

TEST(Limit, WhatIsWrongWithALimitIsSaid) {
  EXPECT_EQ(complaint(limit("a", 0)), "");
  EXPECT_NE(complaint(limit("", 1)), "");
  EXPECT_NE(complaint(limit("a\n", 1)), "");
  EXPECT_NE(complaint(limit(std::string(201, 'a'), 1)), "");
  EXPECT_NE(complaint(limit("a", -1)), "");
  EXPECT_EQ(complaint(limit("*", 1)) + complaint(limit("a*", 1)), "");
  for (const char* name : {"a*b", "*a", "a**"})
    EXPECT_NE(complaint(limit(name, 1)).find("only at its end"), std::string::npos) << name;
  EXPECT_NE(complaint({LimitScope::kKey, "a", {}, {}}), "");
  const auto with = [](Rate rate) { return complaint({LimitScope::kKey, "a", {}, rate}); };
  EXPECT_EQ(with({1, seconds(1), 1}), "");
  EXPECT_EQ(with({1'000'000, hours(24 * 365), 1'000'000}), "");
  EXPECT_NE(with({0, seconds(1), 1}), "");
  EXPECT_NE(with({1'000'001, seconds(1), 1}), "");
  EXPECT_NE(with({1, Duration(0), 1}), "");
  EXPECT_NE(with({1, hours(24 * 400), 1}), "");
  EXPECT_NE(with({1, seconds(1), 0}), "");
  EXPECT_NE(with({1, hours(24 * 365), 101}), "");
}

}  // namespace
}  // namespace spool
