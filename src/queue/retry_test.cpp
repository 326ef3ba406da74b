#include "queue/retry.h"

#include <gtest/gtest.h>

namespace spool {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

TEST(BackOff, DoublesFromAttemptToAttempt) {
  EXPECT_EQ(back_off(1, 0.5), seconds(2));
  EXPECT_EQ(back_off(2, 0.5), seconds(4));
  EXPECT_EQ(back_off(5, 0.5), seconds(32));
}

TEST(BackOff, IsCappedHoweverManyAttemptsThereWere) {
  EXPECT_EQ(back_off(20, 0.5), minutes(10));
  EXPECT_EQ(back_off(2'000'000'000, 0.5), minutes(10));
}

TEST(BackOff, JitterSpreadsAQuarterBothWays) {
  EXPECT_EQ(back_off(3, 0.0), seconds(6));
  EXPECT_EQ(back_off(3, 1.0), seconds(10));
}

TEST(BackOff, NonsenseNeverGivesANegativeWait) {
  EXPECT_GE(back_off(-5, -1.0).count(), 0);
  EXPECT_LE(back_off(0, 7.0), seconds(3));
}

}  // namespace
}  // namespace spool
