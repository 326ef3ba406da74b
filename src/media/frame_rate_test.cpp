#include "media/frame_rate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace spool::media {
namespace {

std::vector<std::int64_t> stored(Ratio rate, Ratio time_base, int frames, double (*round)(double)) {
  std::vector<std::int64_t> pts;
  for (int i = 0; i < frames; ++i)
    pts.push_back(static_cast<std::int64_t>(
        round(static_cast<double>(i) * static_cast<double>(rate.den * time_base.den) /
              static_cast<double>(rate.num * time_base.num))));
  return pts;
}

TEST(FrameGrid, FindsTheExactRateBehindRoundedTimes) {
  for (const Ratio rate : {Ratio{24000, 1001}, Ratio{24, 1}, Ratio{25, 1}, Ratio{30000, 1001}, Ratio{30, 1},
                           Ratio{50, 1}, Ratio{60000, 1001}, Ratio{60, 1}, Ratio{12, 1}})
    for (const Ratio time_base : {Ratio{1, 1000}, Ratio{1, 90000}, Ratio{1, 600}, Ratio{1, 30000}})
      for (double (*round)(double) :
           {static_cast<double (*)(double)>(std::round), static_cast<double (*)(double)>(std::floor)}) {
        const auto grid = frame_grid(stored(rate, time_base, 1500, round), time_base, {});
        ASSERT_TRUE(grid.has_value()) << rate.num << "/" << rate.den << " in 1/" << time_base.den;
        EXPECT_EQ(grid->rate, rate) << " in 1/" << time_base.den;
        EXPECT_EQ(grid->position.back(), 1499);
      }
}

TEST(FrameGrid, BelievesTheContainerOnlyIfTheFramesAgree) {
  const auto pts = stored({25, 1}, {1, 1000}, 100, std::round);
  const Ratio wrong[] = {{30, 1}, {0, 0}, {1000, 1}};
  const auto grid = frame_grid(pts, {1, 1000}, wrong);
  ASSERT_TRUE(grid.has_value());
  EXPECT_EQ(grid->rate, (Ratio{25, 1}));
  const auto short_clip = stored({24000, 1001}, {1, 1000}, 12, std::round);
  const Ratio right[] = {{24000, 1001}};
  EXPECT_EQ(frame_grid(short_clip, {1, 1000}, right)->rate, (Ratio{24000, 1001}));
}

TEST(FrameGrid, KeepsAFewMissingFramesAsGaps) {
  auto pts = stored({30, 1}, {1, 1000}, 300, std::round);
  pts.erase(pts.begin() + 100, pts.begin() + 104);
  const auto grid = frame_grid(pts, {1, 1000}, {});
  ASSERT_TRUE(grid.has_value());
  EXPECT_EQ(grid->rate, (Ratio{30, 1}));
  EXPECT_EQ(grid->position[100] - grid->position[99], 5);
}

TEST(FrameGrid, SeesARateThatReallyVaries) {
  std::mt19937 random(5);
  std::vector<std::int64_t> pts{0};
  for (int i = 0; i < 400; ++i) pts.push_back(pts.back() + 8 + random() % 60);
  EXPECT_FALSE(frame_grid(pts, {1, 1000}, {}).has_value());
  EXPECT_FALSE(frame_grid(std::vector<std::int64_t>{0}, {1, 1000}, {}).has_value());
}

TEST(ExactTimescale, HoldsAWholeNumberOfTicksForAFrame) {
  EXPECT_EQ(exact_timescale({25, 1}), 90000);
  EXPECT_EQ(exact_timescale({30000, 1001}), 90000);
  EXPECT_EQ(exact_timescale({24000, 1001}), 96000);
  for (std::int64_t num = 1; num < 3000; num += 7) {
    const std::int64_t scale = exact_timescale({num, 13});
    EXPECT_GE(scale, 90000);
    EXPECT_EQ(scale * 13 % num, 0);
  }
}

}  // namespace
}  // namespace spool::media
