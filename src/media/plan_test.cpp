#include "media/plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

namespace spool::media {
namespace {

Ladder web() {
  Ladder ladder;
  ladder.name = "web";
  for (const int side : {1080, 720, 480, 360})
    ladder.rungs.push_back({fmt::format("{}p", side), side, VideoCodec::kH264, 23, 5'000'000, 10'000'000});
  return ladder;
}

Timeline constant(Ratio rate, std::int64_t frames, std::int64_t keyframe_every) {
  Timeline timeline;
  timeline.picture.width = 1280;
  timeline.picture.height = 720;
  timeline.rate = rate;
  timeline.clock.timescale = exact_timescale(rate);
  timeline.clock.frame_ticks = timeline.clock.timescale * rate.den / rate.num;
  for (std::int64_t i = 0; i < frames; ++i) {
    timeline.pts.push_back(i * timeline.clock.frame_ticks);
    if (i % keyframe_every == 0) timeline.keyframes.push_back({timeline.pts.back(), i, -1, {}, false});
  }
  timeline.end = frames * timeline.clock.frame_ticks;
  return timeline;
}

Timeline varying(unsigned seed, int frames, double longest_seconds) {
  std::mt19937 random(seed);
  Timeline timeline;
  timeline.picture.width = 640;
  timeline.picture.height = 480;
  timeline.rate = {20, 1};
  std::int64_t t = 0;
  for (int i = 0; i < frames; ++i) {
    timeline.pts.push_back(t);
    if (i % 37 == 0) timeline.keyframes.push_back({t, i, -1, {}, false});
    t += 900 + static_cast<std::int64_t>(random() % static_cast<unsigned>(longest_seconds * 90000));
  }
  timeline.end = t;
  return timeline;
}

FilmPlan must_plan(const Timeline& timeline, const PlanOptions& options = {}) {
  auto plan = plan_film(timeline, web(), Speed::kFast, options);
  EXPECT_TRUE(plan.has_value()) << plan.error().message;
  return plan ? *plan : FilmPlan{};
}

// What holds for every plan of every film.
void check(const FilmPlan& plan) {
  const std::int64_t frame = plan.film.clock.frame_ticks;
  for (int rung = 0; rung < static_cast<int>(plan.film.rungs.size()); ++rung) {
    std::int64_t next = 0, frames = 0;
    int segment = 0;
    std::uint32_t fragment = 1;
    for (const Chunk& chunk : plan.chunks) {
      if (std::find(chunk.rungs.begin(), chunk.rungs.end(), rung) == chunk.rungs.end()) continue;
      ASSERT_EQ(chunk.begin, next);
      ASSERT_EQ(chunk.first_segment, segment);
      ASSERT_EQ(chunk.first_fragment, fragment);
      ASSERT_GT(chunk.frames, 0);
      if (chunk.pts.empty()) {
        ASSERT_EQ(chunk.frames * frame, chunk.end - chunk.begin);
      } else {
        ASSERT_EQ(static_cast<std::int64_t>(chunk.pts.size()), chunk.frames);
      }
      std::set<std::int64_t> own;
      for (std::int64_t i = 0; i < chunk.frames; ++i) own.insert(chunk.frame_pts(i, frame));
      ASSERT_EQ(static_cast<std::int64_t>(own.size()), chunk.frames);
      ASSERT_GE(*own.begin(), chunk.begin);
      ASSERT_LT(*own.rbegin(), chunk.end);
      if (chunk.seek) {
        ASSERT_LE(chunk.seek->pts, chunk.begin);
      }
      std::int64_t at = chunk.begin;
      for (const PlannedSegment& s : chunk.segments) {
        ASSERT_EQ(s.pts, at);
        ASSERT_EQ(s.idr.front(), s.pts);
        for (const std::int64_t idr : s.idr) ASSERT_TRUE(own.contains(idr));
        ASSERT_TRUE(std::is_sorted(s.idr.begin(), s.idr.end()));
        ASSERT_LE(
            std::llround(static_cast<double>(s.duration) / static_cast<double>(plan.film.clock.timescale)),
            plan.target_duration);
        at += s.duration;
        fragment += static_cast<std::uint32_t>(s.idr.size());
        ++segment;
      }
      ASSERT_EQ(at, chunk.end);
      next = chunk.end;
      frames += chunk.frames;
    }
    ASSERT_EQ(next, plan.duration);
    ASSERT_EQ(frames, plan.frames);
    ASSERT_EQ(segment, plan.segments);
  }
}

TEST(PlanFilm, CoversEveryFrameOnceForEveryRateAndLength) {
  for (const Ratio rate :
       {Ratio{24000, 1001}, Ratio{24, 1}, Ratio{25, 1}, Ratio{30000, 1001}, Ratio{30, 1}, Ratio{50, 1},
        Ratio{60000, 1001}, Ratio{60, 1}, Ratio{10, 1}, Ratio{12, 1}, Ratio{120, 1}, Ratio{1, 1}})
    for (const std::int64_t frames : {1, 2, 3, 24, 49, 50, 51, 100, 101, 249, 250, 777, 3175, 9999})
      for (const std::int64_t gop : {1, 12, 48, 250, 100000}) {
        SCOPED_TRACE(fmt::format("{}/{} fps, {} frames, keyframe every {}", rate.num, rate.den, frames, gop));
        const FilmPlan plan = must_plan(constant(rate, frames, gop));
        ASSERT_NO_FATAL_FAILURE(check(plan));
        ASSERT_EQ(plan.frames, frames);
      }
}

TEST(PlanFilm, CoversEveryFrameOnceAtVaryingRates) {
  for (unsigned seed = 0; seed < 60; ++seed)
    for (const double longest : {0.02, 0.3, 3.0, 12.0}) {
      SCOPED_TRACE(fmt::format("seed {} longest {}", seed, longest));
      ASSERT_NO_FATAL_FAILURE(check(must_plan(varying(seed, 1 + static_cast<int>(seed) * 13, longest))));
    }
}

TEST(PlanFilm, TrimsToTheFramesThatBeginInside) {
  const Timeline timeline = constant({25, 1}, 1000, 250);
  const FilmPlan plan = must_plan(timeline, {10.01, 20.0, 8, {}});
  ASSERT_NO_FATAL_FAILURE(check(plan));
  EXPECT_EQ(plan.frames, 500 - 251);
  EXPECT_EQ(plan.film.clock.source_seconds(0), 10.04);
  EXPECT_EQ(plan.chunks.front().preroll, 1);
  EXPECT_EQ(plan.chunks.front().seek->pts, -3600);
}

TEST(PlanFilm, RefusesATrimThatLeavesNothing) {
  const auto plan = plan_film(constant({25, 1}, 100, 25), web(), Speed::kFast, {5, {}, 8, {}});
  ASSERT_FALSE(plan.has_value());
  EXPECT_EQ(plan.error().code, Code::kInvalidArgument);
  EXPECT_NE(plan.error().message.find("4.000 s"), std::string::npos) << plan.error().message;
}

TEST(PlanFilm, MakesSegmentsOfWholeFramesAt1001Rates) {
  const FilmPlan plan = must_plan(constant({30000, 1001}, 9000, 60));
  EXPECT_EQ(plan.film.clock.timescale, 90000);
  int whole = 0;
  for (const Chunk& chunk : plan.chunks)
    for (const PlannedSegment& s : chunk.segments)
      if (s.duration == 120 * 3003) ++whole;  // 4.004 s
  EXPECT_GT(whole, plan.segments * 8 / 10);
  EXPECT_EQ(plan.target_duration, 4);
}

TEST(PlanFilm, BeginsChunksAtTheSourcesKeyframesWhereThatCostsLittle) {
  const FilmPlan plan = must_plan(constant({25, 1}, 127 * 25, 250));
  std::int64_t preroll = 0;
  for (const Chunk& chunk : plan.chunks) preroll += chunk.preroll;
  EXPECT_LE(preroll, 200) << "of 3175 frames";
}

TEST(PlanFilm, GivesTheLowestRungOfTheFirstGopAChunkOfItsOwn) {
  const FilmPlan plan = must_plan(constant({25, 1}, 3000, 250));
  EXPECT_EQ(plan.chunks[0].rungs, std::vector<int>{2});
  EXPECT_EQ(plan.chunks[0].frames, 25);
  EXPECT_EQ(plan.chunks[1].rungs, (std::vector<int>{0, 1}));
  EXPECT_EQ(plan.chunks[1].segments, plan.chunks[0].segments);
}

TEST(PlanFilm, TheFirstSegmentLastsASecondAndTheSecondEndsOnTheGrid) {
  for (const Ratio rate : {Ratio{24000, 1001}, Ratio{25, 1}, Ratio{30000, 1001}, Ratio{60, 1}}) {
    const FilmPlan plan = must_plan(constant(rate, 3000, 250));
    const auto second = static_cast<double>(plan.film.clock.timescale);
    EXPECT_NEAR(static_cast<double>(plan.borders[1]) / second, 1, 0.05);
    EXPECT_NEAR(static_cast<double>(plan.borders[2]) / second, 4, 0.05);
  }
}

TEST(PlanFilm, AFilmOfOneGopIsOneSegment) {
  EXPECT_EQ(must_plan(constant({25, 1}, 50, 250)).segments, 1);
  EXPECT_EQ(must_plan(constant({25, 1}, 51, 250)).segments, 2);
}

TEST(PlanFilm, AShortGopIsNotCutForTheFirstSegment) {
  Ladder ladder = web();
  for (const double seconds : {0.5, 1.0, 1.4}) {
    ladder.gop_seconds = ladder.segment_seconds = seconds;
    const auto plan = plan_film(constant({10, 1}, 300, 100), ladder, Speed::kFast, {});
    ASSERT_TRUE(plan.has_value()) << plan.error().message;
    EXPECT_EQ(plan->borders[1], std::llround(seconds * static_cast<double>(plan->film.clock.timescale)));
  }
}

TEST(PlanFilm, KeepsTheLastChunkShort) {
  for (std::int64_t frames = 1000; frames < 4000; frames += 130) {
    const FilmPlan plan = must_plan(constant({25, 1}, frames, 50));
    EXPECT_LE(plan.chunks.back().frames, 100) << frames;
  }
}

TEST(PlanFilm, LeavesRoomForDecodeTimesAtTheLargestStep) {
  Timeline timeline = varying(7, 500, 0.1);
  const FilmPlan plan = must_plan(timeline);
  for (const Chunk& chunk : plan.chunks)
    for (std::int64_t i = 2; i < chunk.frames; ++i) {
      const std::int64_t first = chunk.frame_pts(i - 2, 0), last = chunk.frame_pts(i, 0);
      const bool same_gop =
          std::none_of(chunk.segments.begin(), chunk.segments.end(), [&](const PlannedSegment& s) {
            return std::any_of(s.idr.begin(), s.idr.end(),
                               [&](std::int64_t t) { return t > first && t <= last; });
          });
      if (same_gop) {
        ASSERT_LE(last - first, plan.film.decode_shift);
      }
    }
}

TEST(ChunkTask, SurvivesItsWayThroughJson) {
  for (const Timeline& timeline : {constant({24000, 1001}, 3000, 100), varying(3, 800, 0.2)}) {
    const FilmPlan plan = must_plan(timeline);
    for (const Chunk& chunk : plan.chunks) {
      const ChunkTask task{plan.film, chunk};
      const auto read = chunk_task_from_json(Json::parse(to_text(to_json(task))));
      ASSERT_TRUE(read.has_value()) << read.error().message;
      EXPECT_EQ(*read, task);
    }
  }
}

TEST(ChunkTask, StaysSmallForTwoHoursAt60) {
  const FilmPlan steady = must_plan(constant({60, 1}, 2 * 3600 * 60, 120));
  for (const Chunk& chunk : steady.chunks)
    ASSERT_LT(to_text(to_json(ChunkTask{steady.film, chunk})).size(), 4096u);
  const FilmPlan restless = must_plan(varying(1, 2 * 3600 * 60, 0.01));
  for (const Chunk& chunk : restless.chunks)
    ASSERT_LT(to_text(to_json(ChunkTask{restless.film, chunk})).size(), 65536u);
}

TEST(ChunkTask, RefusesWhatMakesNoSense) {
  const FilmPlan plan = must_plan(constant({25, 1}, 300, 50));
  const Json good = to_json(ChunkTask{plan.film, plan.chunks.back()});
  for (const char* pointer : {"/chunk/frames", "/chunk/end", "/film/clock/timescale"}) {
    Json bad = good;
    bad[Json::json_pointer(pointer)] = 0;
    const auto read = chunk_task_from_json(bad);
    ASSERT_FALSE(read.has_value()) << pointer;
    EXPECT_EQ(read.error().code, Code::kInvalidArgument);
  }
  Json bad = good;
  bad["chunk"]["rungs"] = {9};
  EXPECT_FALSE(chunk_task_from_json(bad).has_value());
  EXPECT_FALSE(chunk_task_from_json(Json{{"film", 1}}).has_value());
}

TEST(Ladder, LeavesOutWhatTheSourceDoesNotReachAndNeverUpscales) {
  EXPECT_EQ(rungs_for(web(), 1920, 1080).size(), 4u);
  EXPECT_EQ(rungs_for(web(), 720, 1280).size(), 3u);
  const auto small = rungs_for(web(), 320, 180);
  ASSERT_EQ(small.size(), 1u);
  EXPECT_EQ(size_for(small[0], {320, 180}), (Size{320, 180}));
  EXPECT_EQ(size_for(small[0], {321, 181}), (Size{320, 180}));
}

TEST(Ladder, SizesGoByTheShortSideAndAreEven) {
  const Rung rung{"480p", 480, VideoCodec::kH264, 23, 1'000'000, 2'000'000};
  EXPECT_EQ(size_for(rung, {1280, 720}), (Size{854, 480}));
  EXPECT_EQ(size_for(rung, {1080, 1920}), (Size{480, 854}));
  EXPECT_EQ(size_for(rung, {1440, 1080}), (Size{640, 480}));
}

TEST(Ladder, SaysWhichRungAndKeyIsWrong) {
  Json document = to_json(web());
  EXPECT_EQ(to_json(*ladder_from_json(document)), document);
  document["rungs"][1]["crf"] = 99;
  const auto read = ladder_from_json(document);
  ASSERT_FALSE(read.has_value());
  EXPECT_EQ(read.error().message, "ladder: rung '720p': crf must be 1 to 51");
  document = to_json(web());
  document["rungs"][1]["name"] = "1080p";
  EXPECT_FALSE(ladder_from_json(document).has_value());
  document = to_json(web());
  document["gop_seconds"] = 3;
  EXPECT_FALSE(ladder_from_json(document).has_value());
}

TEST(PlanBesideARemuxedRung, EncodedRungsBeginTheirSegmentsWhereTheGivenOnesDo) {
  const Timeline timeline = constant({25, 1}, 1000, 50);
  const std::int64_t second = timeline.clock.timescale;
  PlanOptions options;
  options.remuxed =
      RemuxedRung{0, {0, 5 * second, 9 * second, 17 * second, 20 * second, 26 * second, 34 * second}, second};
  const FilmPlan plan = must_plan(timeline, options);
  EXPECT_EQ(plan.borders, options.remuxed->borders);
  EXPECT_EQ(plan.segments, 7);
  EXPECT_EQ(plan.target_duration, 8);
  EXPECT_EQ(plan.film.decode_shift, second) << "one shift for all rungs";
  std::vector<std::int64_t> borders;
  std::int64_t frames = 0;
  for (const Chunk& chunk : plan.chunks) {
    EXPECT_EQ(std::count(chunk.rungs.begin(), chunk.rungs.end(), 0), 0) << "the remuxed rung is not encoded";
    if (chunk.rungs.back() != 2) continue;
    frames += chunk.frames;
    for (const PlannedSegment& segment : chunk.segments) {
      borders.push_back(segment.pts);
      for (std::size_t i = 0; i < segment.idr.size(); ++i) {
        const std::int64_t next =
            i + 1 < segment.idr.size() ? segment.idr[i + 1] : segment.pts + segment.duration;
        EXPECT_NEAR(double(next - segment.idr[i]) / double(second), 2, 1) << "GOPs near the ladder's";
      }
    }
  }
  EXPECT_EQ(borders, plan.borders);
  EXPECT_EQ(frames, 1000);
}

TEST(PlanBesideARemuxedRung, AFilmOfOneRungHasSegmentsAndNoChunks) {
  Timeline timeline = constant({25, 1}, 500, 50);
  timeline.picture.width = 320;
  timeline.picture.height = 180;
  PlanOptions options;
  options.remuxed = RemuxedRung{0, {0, 10 * timeline.clock.timescale}, 0};
  const FilmPlan plan = must_plan(timeline, options);
  EXPECT_TRUE(plan.chunks.empty());
  EXPECT_EQ(plan.segments, 2);
  EXPECT_EQ(plan.frames, 500);
}

TEST(PlanBesideARemuxedRung, BordersThatAreNoFramesTimesAreRefused) {
  const Timeline timeline = constant({25, 1}, 500, 50);
  for (const std::vector<std::int64_t>& borders : {std::vector<std::int64_t>{},
                                                   {timeline.pts[1]},
                                                   {0, timeline.pts[100] + 1},
                                                   {0, timeline.pts[100], timeline.pts[50]}}) {
    PlanOptions options;
    options.remuxed = RemuxedRung{0, borders, 0};
    const auto plan = plan_film(timeline, web(), Speed::kFast, options);
    ASSERT_FALSE(plan.has_value());
    EXPECT_EQ(plan.error().code, Code::kInternal);
  }
}

}  // namespace
}  // namespace spool::media
