#include "media/encode.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "media/made_video.h"

namespace spool::media {
namespace {

Ladder small_ladder() {
  Ladder ladder;
  ladder.name = "test";
  ladder.rungs = {{"180p", 180, VideoCodec::kH264, 23, 1'000'000, 2'000'000},
                  {"120p", 120, VideoCodec::kH264, 25, 500'000, 1'000'000}};
  return ladder;
}

struct Encoded {
  FilmPlan plan;
  std::map<std::pair<int, int>, EncodedSegment> segments;  // by rung and number
  std::vector<Damage> damage;
};

Encoded encode_all(const std::filesystem::path& path, const Ladder& ladder, const PlanOptions& options = {}) {
  Encoded out;
  const ByteSource source = open_video(path);
  auto timeline = scan_timeline(source, {});
  if (!timeline) {
    ADD_FAILURE() << timeline.error().message;
    return out;
  }
  auto plan = plan_film(*timeline, ladder, Speed::kFast, options);
  if (!plan) {
    ADD_FAILURE() << plan.error().message;
    return out;
  }
  out.plan = *plan;
  for (const Chunk& chunk : plan->chunks) {
    auto task = chunk_task_from_json(to_json(ChunkTask{plan->film, chunk}));
    if (!task) {
      ADD_FAILURE() << task.error().message;
      return out;
    }
    const auto keep = [&](EncodedSegment segment) -> Result<void> {
      const std::pair key(segment.rung, segment.index);
      EXPECT_TRUE(out.segments.emplace(key, std::move(segment)).second);
      return {};
    };
    auto output = encode_chunk(source, *task, {keep, {}}, {});
    if (!output) {
      ADD_FAILURE() << output.error().message;
      return out;
    }
    out.damage.insert(out.damage.end(), output->damage.begin(), output->damage.end());
  }
  return out;
}

TEST(EncodeChunk, GivesExactlyThePlannedFramesOfEveryRung) {
  const auto path = made_video("plain.mp4",
                               "-f lavfi -i testsrc2=size=320x180:rate=25:duration=21 -c:v libx264 "
                               "-preset veryfast -g 250 -bf 3 -x264-params open-gop=1");
  const Encoded film = encode_all(path, small_ladder());
  EXPECT_EQ(film.plan.frames, 525);
  EXPECT_TRUE(film.damage.empty());
  for (int rung = 0; rung < 2; ++rung) {
    std::int64_t expected_dts = -film.plan.film.decode_shift;
    std::set<std::int64_t> pts;
    for (int i = 0; i < film.plan.segments; ++i) {
      ASSERT_TRUE(film.segments.contains({rung, i})) << rung << " " << i;
      for (const Sample& sample : film.segments.at({rung, i}).samples) {
        EXPECT_EQ(sample.dts, expected_dts);
        EXPECT_GE(sample.pts, sample.dts);
        EXPECT_TRUE(pts.insert(sample.pts).second);
        expected_dts += sample.duration;
      }
    }
    EXPECT_EQ(expected_dts, film.plan.duration - film.plan.film.decode_shift);
    EXPECT_EQ(pts.size(), 525u);
    EXPECT_EQ(*pts.begin(), 0);
    EXPECT_EQ(*pts.rbegin(), 524 * 3600);
  }
}

}  // namespace
}  // namespace spool::media
