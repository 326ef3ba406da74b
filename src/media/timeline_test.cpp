#include "media/timeline.h"

#include <gtest/gtest.h>

namespace spool::media {
namespace {

constexpr std::int64_t kFrame = 3600;  // of 25 a second, at 90 kHz

ScannedPacket packet(std::int64_t pts, std::int64_t dts, bool key = false) {
  ScannedPacket p{pts, dts, kFrame, key, {}};
  p.place.dts = dts;
  return p;
}

// In decode order, by numbers of frames; a negative one is a keyframe's, minus one.
std::vector<ScannedPacket> packets(std::initializer_list<std::int64_t> order) {
  std::vector<ScannedPacket> list;
  for (const std::int64_t n : order)
    list.push_back(packet((n < 0 ? -n - 1 : n) * kFrame, (std::ssize(list) - 2) * kFrame, n < 0));
  return list;
}

Result<Timeline> timeline(std::vector<ScannedPacket> list) {
  SourceClock clock;
  clock.time_base = {1, 90000};
  return timeline_of({}, clock, std::move(list), {}, "film");
}

std::vector<std::int64_t> frames_of(const Timeline& t) {
  std::vector<std::int64_t> numbers;
  for (const std::int64_t pts : t.pts) numbers.push_back(pts / kFrame);
  return numbers;
}

TEST(TimelineOf, SortsByPresentationAndKnowsHowDeepTheSourceReorders) {
  const auto t = timeline(packets({-1, 4, 2, 1, 3, 8, 6, 5, 7}));
  ASSERT_TRUE(t);
  EXPECT_EQ(t->rate, (Ratio{25, 1}));
  EXPECT_EQ(t->highest_rate, (Ratio{25, 1}));
  EXPECT_EQ(frames_of(*t), (std::vector<std::int64_t>{0, 1, 2, 3, 4, 5, 6, 7, 8}));
  EXPECT_EQ(t->end, 9 * kFrame);
  EXPECT_EQ(t->reorder, 2 * kFrame);
  EXPECT_EQ(t->dropped, 0);
}

TEST(TimelineOf, BeginsAtTheFirstFrameShownWhateverItsTime) {
  auto list = packets({-1, 1, 2, 3, 4});
  for (auto& p : list) p.pts += 1'000'000;
  const auto t = timeline(list);
  ASSERT_TRUE(t);
  EXPECT_EQ(t->clock.zero, 1'000'000);
  EXPECT_EQ(t->pts.front(), 0);
  EXPECT_EQ(t->keyframes.front().pts, 0);
}

TEST(TimelineOf, FramesWithoutATimeBelongWhereThereAreGaps) {
  auto list = packets({-1, 1, 2, 3, 4, 5, 6, 7, 8, 9});
  list[3].pts = AV_NOPTS_VALUE;
  const auto t = timeline(list);
  ASSERT_TRUE(t);
  EXPECT_EQ(frames_of(*t), (std::vector<std::int64_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
}

TEST(TimelineOf, AGapThatNoPacketFillsStaysAHole) {
  const auto t = timeline(packets({-1, 1, 2, 3, 6, 7, 8, 9, 10, 11, 12, 13}));
  ASSERT_TRUE(t);
  EXPECT_TRUE(t->constant_rate());
  EXPECT_EQ(frames_of(*t), (std::vector<std::int64_t>{0, 1, 2, 3, 6, 7, 8, 9, 10, 11, 12, 13}));
}

TEST(TimelineOf, WithoutPresentationTimesFramesAreShownByDecodeTimes) {
  auto list = packets({-1, 4, 2, 1, 3});
  for (auto& p : list) p.pts = AV_NOPTS_VALUE;
  const auto t = timeline(list);
  ASSERT_TRUE(t);
  EXPECT_EQ(frames_of(*t), (std::vector<std::int64_t>{0, 1, 2, 3, 4}));
  EXPECT_EQ(t->clock.zero, -2 * kFrame);
}

TEST(TimelineOf, OfFramesWithOneTimeOneIsKept) {
  const auto t = timeline(packets({-1, 1, 1, 2, 3, 3, 4}));
  ASSERT_TRUE(t);
  EXPECT_EQ(frames_of(*t), (std::vector<std::int64_t>{0, 1, 2, 3, 4}));
  EXPECT_EQ(t->dropped, 2);
}

TEST(TimelineOf, AGopIsOpenWhenFramesBehindItsKeyframeAreShownBeforeIt) {
  // The second GOP has a leading frame (5 before 6); the third has none.
  const auto t = timeline(packets({-1, 1, 2, 3, 4, -7, 5, 7, 8, -10, 10, 11}));
  ASSERT_TRUE(t);
  ASSERT_EQ(t->keyframes.size(), 3U);
  EXPECT_EQ(t->keyframes[1].pts, 6 * kFrame);
  EXPECT_FALSE(t->keyframes[0].open);
  EXPECT_TRUE(t->keyframes[1].open);
  EXPECT_FALSE(t->keyframes[2].open);
}

TEST(TimelineOf, AKeyframeThatIsNotShownIsAPlaceToBeginAndNoFrame) {
  auto list = packets({-1, 1, -3, 3, 4, 5, 6});
  list[0].duration = list[1].duration = -1;
  const auto t = timeline(list);
  ASSERT_TRUE(t);
  EXPECT_EQ(t->pts.size(), 5U);
  ASSERT_EQ(t->keyframes.size(), 2U);
  EXPECT_EQ(t->keyframes[0].pts, -2 * kFrame);
}

TEST(TimelineOf, AVariableRateIsDeclaredByItsShortestStepButNotAbove120) {
  const auto at = [](std::initializer_list<std::int64_t> times) {
    std::vector<ScannedPacket> list;
    for (const std::int64_t time : times) list.push_back(packet(time, time, list.empty()));
    return *timeline(list);
  };
  const Timeline slow = at({0, 9000, 10500, 13000, 22000, 31000, 35100});
  EXPECT_FALSE(slow.constant_rate());
  EXPECT_EQ(slow.highest_rate, (Ratio{60, 1}));
  EXPECT_LT(slow.rate.value(), 20);
  const Timeline jittery = at({0, 9000, 9001, 13000, 22000, 31000, 35100});
  EXPECT_EQ(jittery.highest_rate, (Ratio{120, 1}));
}

TEST(TimelineOf, NothingThatIsShownIsNoFilm) {
  EXPECT_EQ(timeline({}).error().code, Code::kCorruptInput);
}

}  // namespace
}  // namespace spool::media
