#include "media/audio.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>

#include "base/digest.h"
#include "base/temporary_folder.h"
#include "media/cmaf_read.h"
#include "support/program.h"

namespace spool::media {
namespace {

struct Encoded {
  AudioFormat format;
  std::vector<Segment> segments;
  AudioReport report;
  std::vector<float> sound;  // of the first channel, from time 0 on
};

// A beep of 1 kHz from `at` on for 50 ms, else silence.
std::string beep(double at, double seconds, int rate = 48000) {
  return fmt::format(
      "-f lavfi -i \"aevalsrc=if(between(t\\,{0}\\,{0}+0.05)\\,0.5*sin(6283*t)\\,0):d={1}:s={2}\"", at,
      seconds, rate);
}

double onset(const Encoded& encoded) {
  const auto loud = std::ranges::find_if(encoded.sound, [](float x) { return std::abs(x) > 0.1f; });
  return double(loud - encoded.sound.begin()) / encoded.format.sample_rate;
}

class Audio : public ::testing::Test {
 protected:
  std::filesystem::path file(const std::string& name) { return folder_.path() / name; }
  static ByteSource source(const std::filesystem::path& path) {
    return *file_source(*open_file(path, O_RDONLY), path.filename());
  }

  Encoded encode(const std::filesystem::path& path, const AudioTask& task) {
    Encoded out;
    AudioSink sink;
    sink.format = [&](const AudioFormat& format) -> Result<void> {
      out.format = format;
      return {};
    };
    sink.segment = [&](std::size_t index, const Segment& segment) -> Result<void> {
      EXPECT_EQ(index, out.segments.size());
      out.segments.push_back(segment);
      return {};
    };
    auto report = encode_audio(source(path), task, sink, {});
    if (!report) throw std::runtime_error(report.error().message);
    out.report = *report;
    out.sound = decode(out);
    return out;
  }

  // Init and all segments through the ffmpeg program; what lies before time 0 is dropped as players do.
  std::vector<float> decode(const Encoded& encoded) {
    std::ofstream joined(file("joined.mp4"), std::ios::binary);
    const auto put = [&](const Bytes& b) {
      joined.write(reinterpret_cast<const char*>(b.data()), static_cast<std::streamsize>(b.size()));
    };
    put(encoded.format.init);
    for (const Segment& segment : encoded.segments) put(segment.bytes);
    joined.close();
    return pcm(file("joined.mp4"), encoded.format.channels, static_cast<std::size_t>(encoded.format.priming));
  }
  std::vector<float> pcm(const std::filesystem::path& path, int channels, std::size_t skip) {
    test::output_of(fmt::format("ffmpeg -v error -y -i '{}' -map 0:a -f f32le '{}'", path.string(),
                                file("out.pcm").string()));
    const std::string raw = *read_file(file("out.pcm"), 1u << 30);
    const auto* values = reinterpret_cast<const float*>(raw.data());
    std::vector<float> first;
    for (std::size_t i = skip * static_cast<std::size_t>(channels); i < raw.size() / 4;
         i += static_cast<std::size_t>(channels))
      first.push_back(values[i]);
    return first;
  }
  TemporaryFolder folder_;
};

TEST_F(Audio, ChunksHoldExactlyTheSamplesThatFfmpegGives) {
  const auto wav =
      test::make_media(file("noise.wav"), "-f lavfi -i anoisesrc=d=10.5:r=48000:seed=7:a=0.3 -ac 2");
  const Encoded ours = encode(wav, {.borders = {0, 4.004, 8.008}});
  EXPECT_EQ(ours.report.samples, 504'000);
  EXPECT_TRUE(ours.report.filled.empty());
  ASSERT_EQ(ours.segments.size(), 3u);
  const auto theirs =
      pcm(test::make_media(file("theirs.m4a"),
                           fmt::format("-i '{}' -c:a aac -b:a 128k -flags +bitexact", wav.string())),
          2, 0);
  ASSERT_GE(theirs.size(), 504'000u);
  ASSERT_GE(ours.sound.size(), 504'000u);
  EXPECT_TRUE(std::equal(theirs.begin(), theirs.begin() + 504'000, ours.sound.begin()));
}

TEST_F(Audio, SegmentsRunOnAndAreCutAtTheFrameNearestToTheBorder) {
  const auto wav = test::make_media(file("sine.wav"), "-f lavfi -i sine=d=20:r=44100 -ac 2");
  const Encoded e = encode(wav, {.borders = {0, 4.004, 8.008}, .segment_seconds = 5});
  EXPECT_EQ(e.format.codecs, "mp4a.40.2");
  EXPECT_EQ(e.format.sample_rate, 44100);
  const double borders[] = {0, 4.004, 8.008, 13.008, 18.008};
  ASSERT_EQ(e.segments.size(), 5u);
  std::int64_t at = 0;
  std::uint64_t decode_time = 0;
  for (std::size_t i = 0; i < e.segments.size(); ++i) {
    EXPECT_EQ(e.segments[i].pts, at) << "priming is not shown";
    EXPECT_NEAR(double(at) / 44100, borders[i], 512.5 / 44100);
    at += e.segments[i].duration;
    const auto fragments = read_segment(e.segments[i].bytes);
    ASSERT_EQ(fragments->size(), 1u);
    EXPECT_EQ(fragments->front().decode_time, decode_time);
    for (const auto& sample : fragments->front().samples) decode_time += sample.duration;
  }
  EXPECT_EQ(at, 20 * 44100);
  EXPECT_EQ(read_init_segment(e.format.init)->shift, 1024) << "priming is declared once, in the edit list";
}

TEST_F(Audio, TheFirstSegmentComesBeforeTheRestIsRead) {
  const auto wav = test::make_media(file("long.wav"), "-f lavfi -i sine=d=120:r=48000 -ac 2");
  ByteSource bytes = source(wav);
  std::uint64_t furthest = 0;
  bytes.read_at = [inner = bytes.read_at, &furthest](std::uint64_t offset, std::span<std::byte> into) {
    furthest = std::max(furthest, offset);
    return inner(offset, into);
  };
  std::uint64_t at_first = 0;
  AudioSink sink{[](const AudioFormat&) -> Result<void> { return {}; },
                 [&](std::size_t index, const Segment&) -> Result<void> {
                   if (index == 0) at_first = furthest;
                   return {};
                 },
                 {}};
  ASSERT_TRUE(encode_audio(std::move(bytes), {}, sink, {}));
  EXPECT_LT(at_first, 48000u * 4 * 6) << "four seconds and little more";
}

TEST_F(Audio, LateAudioIsPrecededBySilenceAndEarlyAudioIsCut) {
  // Video from 1.0 s on its clock, audio from 1.5 s: the beep stands 0.5 + 2 s into the film.
  const auto late = test::make_media(
      file("late.mkv"),
      fmt::format("-f lavfi -i testsrc2=s=64x64:r=25:d=6 {} -filter_complex "
                  "\"[0:v]setpts=PTS+1/TB[v];[1:a]asetpts=PTS+1.5/TB[a]\" -map \"[v]\" -map \"[a]\" "
                  "-c:v mpeg4 -c:a flac -copyts",
                  beep(2, 5)));
  const Encoded e = encode(late, {.begin_seconds = 1.0});
  EXPECT_NEAR(onset(e), 2.5, 0.02);
  ASSERT_EQ(e.report.filled.size(), 1u);
  EXPECT_NEAR(e.report.filled[0].seconds, 0.5, 0.002);
  EXPECT_EQ(e.report.samples, e.report.filled[0].seconds * 48000 + 240'000);

  const Encoded early = encode(late, {.begin_seconds = 2.25});
  EXPECT_NEAR(onset(early), 1.25, 0.02);
  EXPECT_TRUE(early.report.filled.empty());
}

TEST_F(Audio, AGapIsFilledWithSilenceAndWhatFollowsStaysInTime) {
  const auto gap =
      test::make_media(file("gap.mkv"), beep(4, 6) + " -af \"aselect='not(between(t,2,3))'\" -c:a flac");
  const Encoded e = encode(gap, {.begin_seconds = 0});
  EXPECT_NEAR(onset(e), 4, 0.02);
  ASSERT_EQ(e.report.filled.size(), 1u);
  EXPECT_NEAR(e.report.filled[0].at_seconds, 2, 0.1);
  EXPECT_NEAR(e.report.filled[0].seconds, 1, 0.1);
  EXPECT_NEAR(double(e.report.samples), 288'000, 100);
}

TEST_F(Audio, DriftIsStretchedAwayBeforeItIsHeard) {
  // The recorder's clock was 0.2% slow: after 30 s the sound would be 60 ms early.
  const auto drift = test::make_media(file("drift.mkv"), beep(30, 32) + " -af asetpts=PTS*1.002 -c:a flac");
  const Encoded e = encode(drift, {.begin_seconds = 0});
  EXPECT_NEAR(onset(e), 30.06, 0.02);
  EXPECT_TRUE(e.report.filled.empty()) << "no silence is cut in";
}

TEST_F(Audio, MonoAt8KilohertzBecomesARateThatPlayersLike) {
  const auto mono = test::make_media(file("mono.wav"), beep(1, 3, 8000));
  const Encoded e = encode(mono, {});
  EXPECT_EQ(e.format.sample_rate, 48000);
  EXPECT_EQ(e.format.channels, 1);
  EXPECT_NEAR(onset(e), 1, 0.005);
  EXPECT_NEAR(double(e.report.samples), 144'000, 16);
}

TEST_F(Audio, SurroundIsMixedDownWithoutClippingAndKeptOnRequest) {
  const auto surround = test::make_media(
      file("surround.mka"),
      "-f lavfi -i \"aevalsrc=0.9*sin(2765*t)|0.9*sin(2765*t)|0.9*sin(2765*t)|0|0.9*sin(2765*t)|"
      "0.9*sin(2765*t):c=5.1:d=3:s=48000\" -c:a flac");
  const Encoded stereo = encode(surround, {});
  EXPECT_EQ(stereo.format.channels, 2);
  EXPECT_LE(std::ranges::max(stereo.sound), 1.0f);
  EXPECT_GE(std::ranges::max(stereo.sound), 0.5f);
  const Encoded kept = encode(surround, {.keep_channels = true});
  EXPECT_EQ(kept.format.channels, 6);
  EXPECT_GE(kept.format.bits_per_second, 384'000);
}

TEST_F(Audio, ATrimGivesExactlyTheSamplesBetweenItsEnds) {
  const auto wav = test::make_media(file("trim.wav"), beep(3, 8));
  const Encoded e = encode(wav, {.begin_seconds = 1.25, .film_seconds = 4.5, .cut = true});
  EXPECT_EQ(e.report.samples, 216'000);
  EXPECT_NEAR(onset(e), 1.75, 0.005);
}

TEST_F(Audio, ALittleSoundBeyondTheFilmGoesIntoItsLastSegment) {
  const auto wav = test::make_media(file("tail.wav"), "-f lavfi -i sine=d=10:r=48000");
  const std::vector<double> borders = {0, 4, 8};
  EXPECT_EQ(encode(wav, {.film_seconds = 9.7, .borders = borders}).segments.size(), 3u);
  EXPECT_EQ(encode(wav, {.film_seconds = 8.1, .borders = borders}).segments.size(), 3u);
  const Encoded tail = encode(wav, {.film_seconds = 5, .borders = {0, 4}, .segment_seconds = 1});
  ASSERT_EQ(tail.segments.size(), 4u) << "4.45 s at most, then segments of their own";
  EXPECT_NEAR(double(tail.segments[1].duration) / 48000, 4.45, 0.02);
}

TEST_F(Audio, ATrackThatEndsEarlyIsFilledUpToTheFilmsEnd) {
  const auto wav = test::make_media(file("short.wav"), "-f lavfi -i sine=d=3:r=48000");
  EXPECT_EQ(encode(wav, {.film_seconds = 10}).report.samples, 480'000);
  EXPECT_EQ(encode(wav, {.film_seconds = 3.2}).report.samples, 144'000)
      << "a little shorter is left as it is";
}

TEST_F(Audio, ASpliceInATransportStreamLeavesNoHole) {
  const std::string film =
      "-f lavfi -i testsrc2=s=64x64:r=25:d=5 -f lavfi -i sine=d=5:r=48000 -c:v mpeg2video -c:a mp2";
  test::make_media(file("a.ts"), film);
  test::make_media(file("b.ts"), film + " -output_ts_offset 5000");
  test::output_of(fmt::format("cat '{}' '{}' > '{}'", file("a.ts").string(), file("b.ts").string(),
                              file("ab.ts").string()));
  const Encoded e = encode(file("ab.ts"), {});
  EXPECT_NEAR(double(e.report.samples) / 48000, 10, 0.1);
  EXPECT_TRUE(e.report.filled.empty() || e.report.filled.front().seconds < 0.1);
}

TEST_F(Audio, ADamagedStretchKeepsItsTime) {
  const auto good = test::make_media(
      file("good.mp4"),
      "-f lavfi -i \"aevalsrc=0.03*random(0)+if(between(t\\,8\\,8.05)\\,0.5*sin(6283*t)\\,0):d=10:"
      "s=48000\" -ac 2 -c:a aac -movflags +faststart");
  std::string bytes = *read_file(good);
  for (std::size_t i = bytes.size() / 2; i < bytes.size() / 2 + 3000; ++i)
    bytes[i] = static_cast<char>(i * 31);
  std::ofstream(file("bad.mp4"), std::ios::binary) << bytes;
  const Encoded e = encode(file("bad.mp4"), {.begin_seconds = 0});
  ASSERT_FALSE(e.report.damage.empty());
  EXPECT_NEAR(e.report.damage.front().from_seconds, 5, 1);
  EXPECT_GT(e.report.damage.front().to_seconds, e.report.damage.front().from_seconds);
  EXPECT_LT(e.report.damage.back().to_seconds, 6.5);
  ASSERT_FALSE(e.report.filled.empty());
  EXPECT_NEAR(e.report.filled.front().at_seconds, 5, 1);
  EXPECT_NEAR(double(e.report.samples) / 48000, 10, 0.05);
  EXPECT_NEAR(double(std::ranges::find_if(e.sound.begin() + 48000 * 7, e.sound.end(),
                                          [](float x) { return std::abs(x) > 0.1f; }) -
                     e.sound.begin()) /
                  48000,
              8, 0.02);
}

TEST_F(Audio, TheSameSourceGivesTheSameBytes) {
  const auto wav = test::make_media(file("same.wav"), "-f lavfi -i anoisesrc=d=3:seed=1 -ac 2");
  const Encoded a = encode(wav, {}), b = encode(wav, {});
  EXPECT_EQ(sha256_hex(a.format.init), sha256_hex(b.format.init));
  ASSERT_EQ(a.segments.size(), b.segments.size());
  for (std::size_t i = 0; i < a.segments.size(); ++i)
    EXPECT_EQ(sha256_hex(a.segments[i].bytes), sha256_hex(b.segments[i].bytes));
}

TEST_F(Audio, ErrorsNameWhatIsWrong) {
  const AudioSink sink{
      [](const AudioFormat&) -> Result<void> { return {}; },
      [](std::size_t, const Segment&) -> Result<void> { return fail(Code::kStorageFull, "full"); },
      {}};
  const auto silent = test::make_media(file("silent.mp4"), "-f lavfi -i testsrc2=s=64x64:d=1 -c:v mpeg4");
  auto none = encode_audio(source(silent), {}, sink, {});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, Code::kUnsupported);
  EXPECT_NE(none.error().message.find("silent.mp4"), std::string::npos);

  const auto wav = test::make_media(file("w.wav"), "-f lavfi -i sine=d=9");
  EXPECT_EQ(encode_audio(source(wav), {.stream = 3}, sink, {}).error().code, Code::kUnsupported);
  EXPECT_EQ(encode_audio(source(wav), {}, sink, {}).error().code, Code::kStorageFull);
  EXPECT_EQ(encode_audio(source(wav), {.begin_seconds = 100, .cut = true}, sink, {}).error().code,
            Code::kCorruptInput);
  std::stop_source stopped;
  stopped.request_stop();
  EXPECT_EQ(encode_audio(source(wav), {}, sink, stopped.get_token()).error().code, Code::kCancelled);
}

}  // namespace
}  // namespace spool::media
