#include "media/encode.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "media/chunked_film.h"
#include "media/numbered_video.h"

namespace spool::media {
namespace {

std::string numbered_mp4_arguments(int frames, const std::string& codec) {
  return fmt::format("-i {} {}", numbered_y4m(320, 180, frames).string(), codec);
}

const char kOpenGop[] =
    "-c:v libx264 -preset veryfast -crf 18 -g 100 -bf 3 -x264-params open-gop=1:scenecut=0";

// Every frame is there once, in its place, showing what it should.
void expect_continuous(const EncodedFilm& film, int rung, int first_number = 0) {
  const std::vector<DecodedFrame> frames = decode_rung(film, rung);
  ASSERT_EQ(static_cast<std::int64_t>(frames.size()), film.plan.frames);
  for (std::size_t i = 0; i < frames.size(); ++i) {
    ASSERT_EQ(frames[i].pts, static_cast<std::int64_t>(i) * film.plan.film.clock.frame_ticks);
    ASSERT_EQ(frames[i].number, first_number + static_cast<int>(i)) << "in rung " << rung;
  }
}

TEST(EncodeChunk, GivesExactlyThePlannedFramesWithDecodeTimesByTheRule) {
  const auto path = made_video("open.mp4", numbered_mp4_arguments(525, kOpenGop));
  const EncodedFilm film = encode_film(path, small_ladder());
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

TEST(EncodeChunk, JoinsShowEveryFrameOfTheFilmInOrder) {
  const auto path = made_video("open.mp4", numbered_mp4_arguments(525, kOpenGop));
  const EncodedFilm film = encode_film(path, small_ladder());
  ASSERT_GT(film.plan.chunks.size(), 3u);
  for (int rung = 0; rung < 2; ++rung) ASSERT_NO_FATAL_FAILURE(expect_continuous(film, rung));
}

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
  EXPECT_TRUE(film.damage.empty()) << to_text(to_json(film.damage));
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

TEST(EncodeChunk, TurnsARotatedVideoUpright) {
  made_video("flat.mp4", numbered_mp4_arguments(60, "-c:v libx264 -preset veryfast -crf 18"));
  // Stored lying on its side; the container says how to turn it.
  const auto path = made_video("rotated.mp4",
                               fmt::format("-i {} -vf transpose=cclock -c:v libx264 -preset veryfast -crf 18 "
                                           "-metadata:s:v:0 rotate=0 -movflags +faststart",
                                           numbered_y4m(320, 180, 60).string()));
  const auto marked =
      made_video("marked.mp4", fmt::format("-i {} -c copy -metadata:s:v:0 rotate=270", path.string()));
  const EncodedFilm film = encode_film(marked, small_ladder());
  ASSERT_EQ(film.plan.film.picture.rotation, 90);
  EXPECT_EQ(film.plan.film.rungs[0].size, (Size{320, 180}));
  ASSERT_NO_FATAL_FAILURE(expect_continuous(film, 0));
}

TEST(EncodeChunk, MakesOddAndAnamorphicSizesEvenAndSquare) {
  const auto odd = made_video(
      "odd.mkv", "-f lavfi -i testsrc2=size=321x181:rate=25:duration=1 -pix_fmt yuv444p -c:v ffv1");
  EXPECT_EQ(decode_rung(encode_film(odd, small_ladder()), 0).front().size, (Size{320, 180}));
  const auto wide = made_video(
      "wide.mp4", "-f lavfi -i testsrc2=size=360x288:rate=25:duration=1 -vf setsar=64/45 -c:v libx264");
  const EncodedFilm film = encode_film(wide, small_ladder());
  EXPECT_EQ(film.plan.film.picture.shown(), (Size{512, 288}));
  EXPECT_EQ(decode_rung(film, 0).front().size, (Size{320, 180}));
}

TEST(EncodeChunk, WeavesInterlacedVideoIntoFramesAlikeOnBothSidesOfAJoin) {
  const auto path =
      made_video("interlaced.ts",
                 fmt::format("-i {} -vf setfield=tff -c:v mpeg2video -flags +ildct+ilme -q:v 2 -g 12 -bf 2",
                             numbered_y4m(320, 180, 400).string()));
  const EncodedFilm film = encode_film(path, small_ladder());
  EXPECT_TRUE(film.plan.film.picture.interlaced);
  ASSERT_NO_FATAL_FAILURE(expect_continuous(film, 0));
}

class HighDynamicRange : public testing::TestWithParam<const char*> {};

TEST_P(HighDynamicRange, BecomesStandardWithGreyStillGrey) {
  const std::string transfer = GetParam();
  const auto path = made_video(
      fmt::format("{}.mkv", transfer),
      fmt::format("-f lavfi -i color=gray:size=320x180:rate=25:duration=1,format=yuv420p10le -c:v libx265 "
                  "-preset ultrafast -color_primaries bt2020 -colorspace bt2020nc -color_trc {} "
                  "-x265-params log-level=none:colorprim=bt2020:colormatrix=bt2020nc:transfer={}",
                  transfer, transfer));
  const EncodedFilm film = encode_film(path, small_ladder());
  EXPECT_TRUE(film.plan.film.picture.hdr());
  const auto frames = decode_rung(film, 0);
  ASSERT_EQ(frames.size(), 25u);
  EXPECT_GT(frames[10].luma, 60);
  EXPECT_LT(frames[10].luma, 225);
  EXPECT_NEAR(frames[10].chroma, 128, 3);
  EXPECT_EQ(frames[10].matrix, AVCOL_SPC_BT709);
}

INSTANTIATE_TEST_SUITE_P(Transfers, HighDynamicRange, testing::Values("smpte2084", "arib-std-b67"),
                         [](const auto& test) {
                           return std::string(test.param) == "smpte2084" ? "PQ" : "HLG";
                         });

TEST(EncodeChunk, MakesFullRangeLimited) {
  const auto path = made_video(
      "full.avi",
      "-f lavfi -i color=white:size=320x180:rate=25:duration=1 -pix_fmt yuvj420p -c:v mjpeg -q:v 2");
  const auto frames = decode_rung(encode_film(path, small_ladder()), 0);
  EXPECT_NEAR(frames[5].luma, 235, 2);
}

TEST(EncodeChunk, KeepsGoingOverADamagedStretchAndNamesIt) {
  const auto good = made_video(
      "to_damage.mp4", numbered_mp4_arguments(500, "-c:v libx264 -preset veryfast -crf 18 -g 50 -bf 2"));
  const auto path = made_folder() / "damaged.mp4";
  auto bytes = read_file(good);
  ASSERT_TRUE(bytes.has_value());
  const std::size_t from = bytes->find("mdat") + (bytes->size() / 2);
  for (std::size_t i = from; i < from + 40000 && i < bytes->size(); ++i)
    (*bytes)[i] = static_cast<char>(i * 37);
  ASSERT_TRUE(write_file_atomic(path, std::as_bytes(std::span(*bytes))).has_value());
  const EncodedFilm film = encode_film(path, small_ladder());
  EXPECT_EQ(film.plan.frames, 500);
  ASSERT_FALSE(film.damage.empty());
  const auto frames = decode_rung(film, 0);
  ASSERT_EQ(frames.size(), 500u);
  std::int64_t hurt = 0;
  for (const Damage& d : film.damage) hurt += d.frames;
  int wrong = 0;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    ASSERT_EQ(frames[i].pts, static_cast<std::int64_t>(i) * 3600);
    if (frames[i].number != static_cast<int>(i)) ++wrong;
  }
  EXPECT_LT(wrong, 160);
  EXPECT_LE(hurt, 2 * 160);
  EXPECT_EQ(frames.back().number, 499);
  EXPECT_EQ(frames[100].number, 100);
}

// ISO/IEC 14496-10 annex C, with the buffer that two neighbouring chunks can make necessary: each begins with
// a full one of its own.
TEST(EncodeChunk, HoldsItsBitRateAcrossJoins) {
  Ladder ladder = small_ladder();
  ladder.rungs = {{"180p", 180, VideoCodec::kH264, 12, 400'000, 800'000}};
  const auto path =
      made_video("noise.mp4",
                 "-f lavfi -i testsrc2=size=320x180:rate=25:duration=40 -vf noise=alls=40:allf=t "
                 "-c:v libx264 -preset ultrafast -crf 20 -g 100");
  const EncodedFilm film = encode_film(path, ladder);
  const double rate = 400'000, buffer = 1.5 * 800'000;
  double room = buffer, bits = 0;
  std::int64_t last = 0;
  for (const auto& [key, segment] : film.segments)
    for (const Sample& sample : segment.samples) {
      room = std::min(buffer, room + rate * static_cast<double>(sample.dts - last) / 90000);
      last = sample.dts;
      room -= static_cast<double>(sample.data.size()) * 8;
      bits += static_cast<double>(sample.data.size()) * 8;
      ASSERT_GE(room, 0) << "segment " << key.second;
    }
  EXPECT_GT(bits, 0.8 * rate * 40) << "the cap was never reached: the test shows nothing";
  EXPECT_LT(bits, 1.1 * rate * 40);
}

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

TEST(EncoderParameters, AreTheSameForEveryChunkAndForNone) {
  const auto path = made_video("open.mp4", numbered_mp4_arguments(525, kOpenGop));
  const EncodedFilm film = encode_film(path, small_ladder());
  for (int rung = 0; rung < 2; ++rung) {
    const auto parameters = encoder_parameters(film.plan.film, rung);
    ASSERT_TRUE(parameters.has_value());
    const auto* extra = reinterpret_cast<const std::byte*>((*parameters)->extradata);
    EXPECT_EQ(Bytes(extra, extra + (*parameters)->extradata_size), film.extradata.at(rung));
    EXPECT_EQ((*parameters)->level, rung == 0 ? 30 : 13);
  }
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
