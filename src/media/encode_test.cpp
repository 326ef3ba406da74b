#include "media/encode.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "media/chunked_film.h"
#include "media/numbered_video.h"

namespace spool::media {
namespace {

std::string numbered_mp4_arguments(int frames, const std::string& codec) {
  return fmt::format("-i {} {}", numbered_y4m(320, 180, frames).string(), codec);
}

const char kOpenGop[] =
    "-c:v libx264 -preset veryfast -crf 18 -g 100 -bf 3 -x264-params open-gop=1:scenecut=0";

TEST(EncodeChunk, GivesTheSameBytesInAnyOrderAndAgain) {
  const auto path = made_video("open.mp4", numbered_mp4_arguments(525, kOpenGop));
  const EncodedFilm forward = encode_film(path, small_ladder());
  const EncodedFilm backward = encode_film(path, small_ladder(), {}, {.reverse = true});
  ASSERT_EQ(forward.segments.size(), backward.segments.size());
  for (const auto& [key, segment] : forward.segments) {
    const auto& other = backward.segments.at(key);
    ASSERT_EQ(segment.samples.size(), other.samples.size());
    for (std::size_t i = 0; i < segment.samples.size(); ++i)
      ASSERT_EQ(segment.samples[i].data, other.samples[i].data);
  }
}

TEST(EncodeChunk, TrimsExactly) {
  const auto path = made_video("open.mp4", numbered_mp4_arguments(525, kOpenGop));
  PlanOptions trim;
  trim.from_seconds = 3.4;
  trim.until_seconds = 17.2;
  const EncodedFilm film = encode_film(path, small_ladder(), trim);
  EXPECT_EQ(film.plan.frames, 345);
  ASSERT_NO_FATAL_FAILURE(expect_continuous(film, 1, 85));
}

TEST(EncodeChunk, HonoursAnEditListThatHidesTheFirstFrames) {
  const auto whole = made_video("open.mp4", numbered_mp4_arguments(525, kOpenGop));
  const auto path = made_video("edited.mp4", fmt::format("-ss 3 -i {} -c copy", whole.string()));
  const EncodedFilm film = encode_film(path, small_ladder());
  EXPECT_EQ(film.plan.frames, 450);
  ASSERT_NO_FATAL_FAILURE(expect_continuous(film, 1, 75));
}

struct SourceCase {
  const char* file;
  const char* arguments;  // {} is the numbered video
};

class EverySource : public testing::TestWithParam<SourceCase> {};

// 1001 rates, containers, codecs, GOPs, clocks: at a constant rate each frame must be in its place.
TEST_P(EverySource, KeepsEveryFrameInItsPlace) {
  const SourceCase& source = GetParam();
  const auto path = made_video(
      source.file,
      fmt::format(fmt::runtime(source.arguments), fmt::arg("in", numbered_y4m(320, 180, 300).string())));
  const EncodedFilm film = encode_film(path, small_ladder());
  EXPECT_EQ(film.plan.frames, 300);
  EXPECT_GT(film.plan.film.clock.frame_ticks, 0);
  EXPECT_TRUE(film.damage.empty());
  for (int rung = 0; rung < 2; ++rung) ASSERT_NO_FATAL_FAILURE(expect_continuous(film, rung));
}

INSTANTIATE_TEST_SUITE_P(
    Sources, EverySource,
    testing::Values(
        SourceCase{"ntsc.mp4", "-r 30000/1001 -i {in} -c:v libx264 -preset veryfast -crf 18 -g 90 -bf 3"},
        SourceCase{"film.mkv", "-r 24000/1001 -i {in} -c:v libx264 -preset veryfast -crf 18 -g 90 -bf 3"},
        SourceCase{"long_gop.mkv",
                   "-i {in} -c:v libx264 -preset veryfast -crf 18 -g 300 -bf 2 -x264-params scenecut=0"},
        SourceCase{"closed.mov", "-i {in} -c:v libx264 -preset veryfast -crf 18 -g 50 -bf 0"},
        SourceCase{"fragmented.mp4",
                   "-i {in} -c:v libx264 -preset veryfast -crf 18 -g 50 -movflags frag_keyframe+empty_moov"},
        SourceCase{"vp9.webm", "-i {in} -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -crf 20 -b:v 0 -g 60"},
        SourceCase{
            "vp8.webm",
            "-i {in} -c:v libvpx -deadline realtime -cpu-used 8 -b:v 3M -auto-alt-ref 1 -lag-in-frames 10"},
        SourceCase{"mpeg2.ts", "-i {in} -c:v mpeg2video -q:v 2 -g 15 -bf 2"},
        SourceCase{"avc.ts", "-i {in} -c:v libx264 -preset veryfast -crf 18 -g 60 -bf 3"},
        SourceCase{"wrapping.ts",
                   "-i {in} -c:v libx264 -preset veryfast -crf 18 -g 60 -bf 3 -output_ts_offset 95438"},
        SourceCase{"program.mpg", "-i {in} -c:v mpeg2video -q:v 2 -g 15 -bf 2"},
        SourceCase{"mjpeg.avi", "-i {in} -c:v mjpeg -q:v 3"},
        SourceCase{"mpeg4.avi", "-i {in} -c:v mpeg4 -q:v 2 -g 50"},
        SourceCase{"hevc.mp4",
                   "-i {in} -c:v libx265 -preset ultrafast -crf 18 -x265-params keyint=60:log-level=none"},
        SourceCase{"start.mp4",
                   "-i {in} -c:v libx264 -preset veryfast -crf 18 -g 60 -bf 3 -output_ts_offset 3.7"}),
    [](const auto& test) {
      std::string name = test.param.file;
      std::replace(name.begin(), name.end(), '.', '_');
      return name;
    });

TEST(EncodeChunk, KeepsTheTimesOfAVaryingRate) {
  // Every third frame goes, and of the second half every second one.
  const auto path = made_video(
      "vfr.mkv", fmt::format("-i {} -vf \"select='if(lt(n,150),mod(n,3),mod(n,5)*mod(n,2))'\" -vsync vfr "
                             "-c:v libx264 -preset veryfast -crf 18 -g 40 -bf 2",
                             numbered_y4m(320, 180, 300).string()));
  const EncodedFilm film = encode_film(path, small_ladder());
  const std::vector<DecodedFrame> frames = decode_rung(film, 0);
  ASSERT_EQ(static_cast<std::int64_t>(frames.size()), film.plan.frames);
  for (const DecodedFrame& frame : frames) {
    const double seconds =
        static_cast<double>(frame.pts) / static_cast<double>(film.plan.film.clock.timescale);
    ASSERT_NEAR(seconds, (frame.number - frames.front().number) / 25.0, 0.0011);
  }
  EXPECT_TRUE(film.damage.empty());
}

TEST(EncodeChunk, ShowsAGifAtItsOwnPace) {
  const auto path = made_video("moving.gif", "-f lavfi -i testsrc2=size=200x120:rate=10:duration=5");
  const EncodedFilm film = encode_film(path, small_ladder());
  EXPECT_EQ(film.plan.frames, 50);
  EXPECT_EQ(film.plan.film.rate, (Ratio{10, 1}));
  EXPECT_EQ(decode_rung(film, 0).size(), 50u);
}

// BYTES bytes of a copy of `good` are noise, from its middle on.
std::filesystem::path with_noise(const std::filesystem::path& good, const std::string& name,
                                 std::size_t bytes) {
  const auto path = made_folder() / name;
  auto content = read_file(good);
  EXPECT_TRUE(content.has_value());
  const std::size_t from = content->find("mdat") + (content->size() / 2);
  for (std::size_t i = from; i < from + bytes && i < content->size(); ++i)
    (*content)[i] = static_cast<char>(i * 37);
  EXPECT_TRUE(write_file_atomic(path, std::as_bytes(std::span(*content))).has_value());
  return path;
}

class Damaged : public testing::TestWithParam<const char*> {};  // x264 parameters

// What is wrong lies where the report says so; and that ends with the GOP.
TEST_P(Damaged, IsWrongOnlyWhereItSaysSo) {
  constexpr std::size_t kGop = 50, kFrame = 3600;
  const auto good = made_video(
      fmt::format("good_{}.mp4", GetParam()),
      numbered_mp4_arguments(
          500, fmt::format("-c:v libx264 -preset veryfast -crf 18 -x264-params keyint=50:scenecut=0:{}",
                           GetParam())));
  const EncodedFilm film = encode_film(with_noise(good, "damaged.mp4", 20000), small_ladder());
  EXPECT_EQ(film.plan.frames, 500);
  std::vector<bool> reported(500);
  std::int64_t hurt = 0;
  for (const Damage& d : film.damage) {
    hurt += d.frames;
    for (auto i = static_cast<std::size_t>(d.from) / kFrame; i < static_cast<std::size_t>(d.to) / kFrame; ++i)
      reported[i] = true;
  }
  ASSERT_GT(hurt, 0);
  EXPECT_LE(hurt, 2 * static_cast<std::int64_t>(kGop));
  EXPECT_EQ(std::count(reported.begin(), reported.end(), true), hurt);
  // Nothing but a keyframe heals; and what is healed stays so.
  for (std::size_t i = 1; i < 500; ++i)
    EXPECT_TRUE(!reported[i - 1] || reported[i] || i % kGop == 0) << "healed at frame " << i;
  const auto frames = decode_rung(film, 0);
  ASSERT_EQ(frames.size(), 500u);
  int wrong = 0;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    ASSERT_EQ(frames[i].pts, static_cast<std::int64_t>(i * kFrame));
    const bool right = frames[i].number == static_cast<int>(i) &&
                       psnr(frames[i].picture, numbered_luma(320, 180, static_cast<int>(i))) > 24;
    if (!right) ++wrong;
    EXPECT_TRUE(right || reported[i])
        << "frame " << i << " is wrong, and not reported: it shows " << frames[i].number;
  }
  EXPECT_GT(wrong, 0) << "the noise hit nothing: the test shows nothing";
}

INSTANTIATE_TEST_SUITE_P(Films, Damaged,
                         testing::Values("bframes=0", "bframes=2", "bframes=5:b-adapt=0:b-pyramid=normal"),
                         [](const auto& test) {
                           return fmt::format("WithUpTo{}BFrames", std::string_view(test.param).substr(8, 1));
                         });

TEST(EncodeChunk, EncodesHevcWithTheSameBorders) {
  Ladder ladder = small_ladder();
  for (Rung& rung : ladder.rungs) rung.codec = VideoCodec::kHevc;
  const auto path =
      made_video("short.mp4", numbered_mp4_arguments(220, "-c:v libx264 -preset veryfast -crf 18 -g 100"));
  const EncodedFilm film = encode_film(path, ladder);
  for (int rung = 0; rung < 2; ++rung) ASSERT_NO_FATAL_FAILURE(expect_continuous(film, rung));
  // IDR_W_RADL or IDR_N_LP, never CRA (ITU-T H.265 table 7-1).
  for (const auto& [key, segment] : film.segments) {
    const unsigned type = std::to_integer<unsigned>(segment.samples.front().data[4]) >> 1 & 0x3f;
    EXPECT_TRUE(type == 19 || type == 20) << type;
  }
}

TEST(EncoderParameters, SayTheLevelThatARungNeeds) {
  const auto path = made_video("open.mp4", numbered_mp4_arguments(525, kOpenGop));
  const EncodedFilm film = encode_film(path, small_ladder());
  for (int rung = 0; rung < 2; ++rung)
    EXPECT_EQ((*encoder_parameters(film.plan.film, rung))->level, rung == 0 ? 30 : 13);
  EXPECT_EQ(encoder_parameters(film.plan.film, 7).error().code, Code::kInvalidArgument);
}

TEST(EncodeChunk, StopsWhenAskedAndPassesOnWhatTheSinkReports) {
  const auto path = made_video("open.mp4", numbered_mp4_arguments(525, kOpenGop));
  const ByteSource source = open_video(path);
  const auto timeline = scan_timeline(source, {});
  ASSERT_TRUE(timeline.has_value());
  const auto plan = plan_film(*timeline, small_ladder(), Speed::kFast);
  ASSERT_TRUE(plan.has_value());
  const ChunkTask task{plan->film, plan->chunks.back()};
  const auto swallow = [](EncodedSegment) { return Result<void>(); };
  std::stop_source stop;
  const auto stop_soon = [&](std::int64_t frames) {
    if (frames == 3) stop.request_stop();
  };
  const auto stopped = encode_chunk(source, task, {swallow, stop_soon}, stop.get_token());
  ASSERT_FALSE(stopped.has_value());
  EXPECT_EQ(stopped.error().code, Code::kCancelled);
  const auto refuse = [](EncodedSegment) -> Result<void> { return fail(Code::kStorageFull, "no room"); };
  const auto refused = encode_chunk(source, task, {refuse, {}}, {});
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Code::kStorageFull);
}

}  // namespace
}  // namespace spool::media
