#include "media/loudness.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include "base/temporary_folder.h"
#include "media/audio.h"
#include "support/program.h"

namespace spool::media {
namespace {

class LoudnessMeter : public ::testing::Test {
 protected:
  Result<Loudness> measure(const std::filesystem::path& path, std::stop_token stop = {}) {
    return measure_loudness(*file_source(*open_file(path, O_RDONLY), path.filename()), -1, std::move(stop));
  }
  std::filesystem::path tone(const char* name, double amplitude) {
    return test::make_media(
        folder_.path() / name,
        fmt::format("-f lavfi -i \"aevalsrc={0}*sin(6264*t)|{0}*sin(6264*t):d=6:s=48000\"", amplitude));
  }
  TemporaryFolder folder_;
};

TEST_F(LoudnessMeter, AToneOfMinus20DecibelsIsMinus20Lufs) {
  const auto loudness = measure(tone("tone.wav", 0.1));
  ASSERT_TRUE(loudness) << loudness.error().message;
  EXPECT_NEAR(loudness->integrated_lufs, -20, 0.2);
  EXPECT_NEAR(loudness->true_peak_dbtp, -20, 0.2);
}

// A mono track keeps its one channel: its peaks are not those of a stereo mix.
TEST_F(LoudnessMeter, AMonoTrackIsMeasuredAsItWillBeHeard) {
  const auto mono =
      test::make_media(folder_.path() / "mono.wav", "-f lavfi -i \"aevalsrc=0.1*sin(6264*t):d=6:s=48000\"");
  const auto loudness = measure(mono);
  ASSERT_TRUE(loudness) << loudness.error().message;
  EXPECT_NEAR(loudness->integrated_lufs, -23, 0.2);
  EXPECT_NEAR(loudness->true_peak_dbtp, -20, 0.2);
}

TEST_F(LoudnessMeter, OnlyWhatIsHeardIsMeasured) {
  const auto path =
      test::make_media(folder_.path() / "steps.wav",
                       "-f lavfi -i \"aevalsrc=if(lt(t\\,4)\\,0.5\\,0.05)*sin(6264*t):d=10:s=48000\"");
  AudioTask task;
  task.begin_seconds = 5;
  task.film_seconds = 4;
  task.cut = true;
  double reached = 0;
  const auto part = measure_loudness(*file_source(*open_file(path, O_RDONLY), "steps.wav"), task,
                                     [&](double fraction) { reached = fraction; }, {});
  ASSERT_TRUE(part) << part.error().message;
  EXPECT_NEAR(part->true_peak_dbtp, -26, 0.2);
  EXPECT_GT(reached, 0.5);
  EXPECT_GT(measure(path)->true_peak_dbtp, -7) << "the loud part is in the whole";
}

TEST_F(LoudnessMeter, SurroundThatIsKeptIsMeasuredWithAllItsChannels) {
  const auto path = test::make_media(folder_.path() / "surround.wav",
                                     "-f lavfi -i \"aevalsrc=0|0|0|0|0.1*sin(6264*t)|0:d=6:s=48000:c=5.1\"");
  AudioTask task;
  task.keep_channels = true;
  const auto kept = measure_loudness(*file_source(*open_file(path, O_RDONLY), "surround.wav"), task, {}, {});
  ASSERT_TRUE(kept) << kept.error().message;
  EXPECT_NEAR(kept->integrated_lufs, -21.5, 0.3) << "channels behind the listener count 1.5 dB more";
  EXPECT_NEAR(kept->true_peak_dbtp, -20, 0.2);
}

TEST_F(LoudnessMeter, TheGainReachesTheTargetUnlessThePeakForbids) {
  EXPECT_DOUBLE_EQ(normalising_gain_db({-20, 0, -20}), 4);
  EXPECT_DOUBLE_EQ(normalising_gain_db({-20, 0, -3}), 2) << "the peak would come out at -1 dBTP";
  EXPECT_DOUBLE_EQ(normalising_gain_db({-10, 0, 0}), -6);
  EXPECT_DOUBLE_EQ(normalising_gain_db({-70, 0, -120}), 0) << "silence is left alone";
}

TEST_F(LoudnessMeter, WhatWasNormalisedHasTheTargetLoudness) {
  const auto quiet = tone("quiet.wav", 0.02);
  AudioTask task;
  task.gain_db = normalising_gain_db(*measure(quiet));
  std::string bytes;
  const auto keep = [&](const Bytes& more) {
    bytes.append(reinterpret_cast<const char*>(more.data()), more.size());
  };
  const AudioSink sink{
      [&](const AudioFormat& format) -> Result<void> { return keep(format.init), Result<void>{}; },
      [&](std::size_t, const Segment& segment) -> Result<void> {
        return keep(segment.bytes), Result<void>{};
      },
      {}};
  ASSERT_TRUE(encode_audio(*file_source(*open_file(quiet, O_RDONLY), "quiet"), task, sink, {}));
  const auto out = folder_.path() / "out.mp4";
  ASSERT_TRUE(write_file_atomic(out, std::as_bytes(std::span(bytes.data(), bytes.size()))));
  EXPECT_NEAR(measure(out)->integrated_lufs, -16, 0.5);
}

TEST_F(LoudnessMeter, ErrorsNameWhatIsWrong) {
  std::stop_source stopped;
  stopped.request_stop();
  EXPECT_EQ(measure(tone("tone.wav", 0.1), stopped.get_token()).error().code, Code::kCancelled);
  const auto silent =
      test::make_media(folder_.path() / "v.mp4", "-f lavfi -i testsrc2=s=64x64:d=1 -c:v mpeg4");
  EXPECT_EQ(measure(silent).error().code, Code::kUnsupported);
}

}  // namespace
}  // namespace spool::media
