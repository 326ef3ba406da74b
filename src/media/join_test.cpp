// What must not show where one chunk ends and the next begins. At both speeds: medium reorders with a
// B-pyramid and looks further ahead than a short chunk goes on.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "media/chunked_film.h"

namespace spool::media {
namespace {

std::filesystem::path numbered_film() {
  return made_video("open.mp4", fmt::format("-i {} -c:v libx264 -preset veryfast -crf 18 -g 100 -bf 3 "
                                            "-x264-params open-gop=1:scenecut=0",
                                            numbered_y4m(320, 180, 525).string()));
}

class Joins : public testing::TestWithParam<Speed> {
 protected:
  static EncodedFilm encoded(const std::filesystem::path& path, const Ladder& ladder,
                             const PlanOptions& options = {}, bool unchunked = false) {
    return encode_film(path, ladder, options, {.unchunked = unchunked, .speed = GetParam()});
  }
};

INSTANTIATE_TEST_SUITE_P(Speeds, Joins, testing::Values(Speed::kFast, Speed::kBalanced),
                         [](const auto& test) { return test.param == Speed::kFast ? "Fast" : "Balanced"; });

TEST_P(Joins, HaveDecodeTimesByTheRule) {
  const EncodedFilm film = encoded(numbered_film(), small_ladder());
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

TEST_P(Joins, ShowEveryFrameOfTheFilmInOrder) {
  const EncodedFilm film = encoded(numbered_film(), small_ladder());
  ASSERT_GT(film.plan.chunks.size(), 3u);
  for (int rung = 0; rung < 2; ++rung) ASSERT_NO_FATAL_FAILURE(expect_continuous(film, rung));
}

TEST_P(Joins, ShowEveryFrameWhereChunksAreShorterThanTheLookahead) {
  Ladder ladder = small_ladder();
  ladder.segment_seconds = ladder.gop_seconds = 0.6;
  PlanOptions options;
  options.chunk_seconds = 0.6;
  const EncodedFilm film = encoded(numbered_film(), ladder, options);
  ASSERT_GT(film.plan.chunks.size(), 20u);
  for (int rung = 0; rung < 2; ++rung) ASSERT_NO_FATAL_FAILURE(expect_continuous(film, rung));
}

TEST_P(Joins, LookAsWithoutThem) {
  PlanOptions options;
  options.chunk_seconds = 4;
  const EncodedFilm chunked = encoded(numbered_film(), small_ladder(), options);
  const EncodedFilm unchunked = encoded(numbered_film(), small_ladder(), options, true);
  expect_like_unchunked(chunked, unchunked,
                        [](std::size_t i) { return numbered_luma(320, 180, static_cast<int>(i)); });
}

// ISO/IEC 14496-10 annex C: the declared buffer, half full at the start as declared, over all the film.
TEST_P(Joins, HoldTheBitRateThatIsDeclared) {
  Ladder ladder = small_ladder();
  ladder.rungs = {{"180p", 180, VideoCodec::kH264, 12, 400'000, 800'000}};
  const auto path = made_video("noise.mp4",
                               "-f lavfi -i testsrc2=size=320x180:rate=25:duration=100 -vf "
                               "\"noise=alls=40:allf=t:enable='lt(mod(t,13),9)'\" "
                               "-c:v libx264 -preset ultrafast -crf 20 -g 100");
  const EncodedFilm film = encoded(path, ladder);
  ASSERT_GE(film.plan.chunks.size(), 10u);
  const double rate = 400'000, buffer = 800'000;
  double full = buffer / 2, bits = 0, lowest = buffer;
  std::int64_t last = -film.plan.film.decode_shift;
  for (const auto& [key, segment] : film.segments)
    for (const Sample& sample : segment.samples) {
      full = std::min(buffer, full + rate * static_cast<double>(sample.dts - last) / 90000);
      last = sample.dts;
      full -= static_cast<double>(sample.data.size()) * 8;
      lowest = std::min(lowest, full);
      bits += static_cast<double>(sample.data.size()) * 8;
      EXPECT_GE(full, 0) << "segment " << key.second;
    }
  EXPECT_LT(lowest, buffer / 2) << "the cap was never reached: the test shows nothing";
  EXPECT_GT(bits, 0.8 * rate * 100) << "the cap was never reached: the test shows nothing";
  EXPECT_LE(bits, rate * 100 + buffer / 2);
}

// The init segment is written once: each chunk's samples need the same headers.
TEST_P(Joins, NeedTheSameHeadersOnEachSide) {
  const EncodedFilm film = encoded(numbered_film(), small_ladder());
  const SegmentSink swallow = [](EncodedSegment) { return Result<void>(); };
  for (int rung = 0; rung < 2; ++rung)
    for (const std::int64_t frames : {1, 100})
      for (const bool alone : {false, true}) {
        const Film& planned = film.plan.film;
        const std::int64_t end = frames * planned.clock.frame_ticks;
        Chunk chunk;
        chunk.rungs = {rung};
        chunk.end = end;
        chunk.frames = frames;
        chunk.alone = alone;
        chunk.segments = {{0, end, {0}}};
        auto encoder = RungEncoder::open(planned, chunk, rung, swallow);
        ASSERT_TRUE(encoder.has_value());
        const Size size = planned.rungs[static_cast<std::size_t>(rung)].size;
        for (std::int64_t i = 0; i < frames; ++i) {
          const av::Frame frame = av::make_frame();
          frame->format = AV_PIX_FMT_YUV420P;
          frame->width = size.width;
          frame->height = size.height;
          ASSERT_GE(av_frame_get_buffer(frame.get(), 0), 0);
          for (int plane = 0; plane < 3; ++plane)
            std::fill_n(frame->data[plane], frame->linesize[plane] * (size.height / (plane == 0 ? 1 : 2)),
                        static_cast<std::uint8_t>(i));
          ASSERT_TRUE(encoder->encode(*frame, i * planned.clock.frame_ticks).has_value());
        }
        ASSERT_TRUE(encoder->finish().has_value());
        EXPECT_EQ(encoder->extradata(), film.extradata.at(rung)) << frames << " " << alone;
        EXPECT_FALSE(encoder->extradata().empty());
      }
}

}  // namespace
}  // namespace spool::media
