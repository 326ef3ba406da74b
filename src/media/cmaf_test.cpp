#include "media/cmaf.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>

#include "av/input.h"
#include "base/file.h"
#include "media/box.h"
#include "media/cmaf_read.h"
#include "media/nal.h"
#include "support/program.h"

namespace spool::media {
namespace {

struct Track {
  av::Input input;
  int stream = 0;
  std::vector<Sample> samples;
  CmafTrack cmaf;

  [[nodiscard]] const AVCodecParameters& codec() const { return *input.get()->streams[stream]->codecpar; }
};

// The packets of a file as the planner would give them: 90 kHz, dts[i] = i-th smallest pts - D.
Track track_of(const std::filesystem::path& path, std::uint32_t timescale = 90000) {
  auto input = av::Input::open(*file_source(*open_file(path, O_RDONLY), path.filename()));
  if (!input) throw std::runtime_error(input.error().message);
  Track track{std::move(*input), 0, {}, {}};
  track.cmaf.timescale = timescale;
  AVStream* stream = track.input.get()->streams[0];
  const auto packet = av::make_packet();
  while (*track.input.read(*packet)) {
    if (packet->stream_index != 0) continue;
    const AVRational base{1, static_cast<int>(timescale)};
    Sample sample;
    sample.pts = av_rescale_q(packet->pts, stream->time_base, base);
    sample.duration = av_rescale_q(packet->duration, stream->time_base, base);
    sample.sync = (packet->flags & AV_PKT_FLAG_KEY) != 0;
    const auto bytes = std::as_bytes(std::span(packet->data, static_cast<std::size_t>(packet->size)));
    sample.data.assign(bytes.begin(), bytes.end());
    track.samples.push_back(std::move(sample));
  }
  std::vector<std::int64_t> sorted;
  for (const Sample& s : track.samples) sorted.push_back(s.pts);
  std::ranges::sort(sorted);
  std::int64_t d = 0;
  for (std::size_t i = 0; i < sorted.size(); ++i) d = std::max(d, sorted[i] - track.samples[i].pts);
  for (std::size_t i = 0; i < sorted.size(); ++i) track.samples[i].dts = sorted[i] - d;
  track.cmaf.shift = d;
  return track;
}

class Cmaf : public ::testing::Test {
 protected:
  std::filesystem::path file(const std::string& name) { return folder_.path() / name; }
  // 4 s at 25 fps, IDR each second, B-frames.
  std::filesystem::path film(const std::string& codec = "libx264", const std::string& name = "film.mp4") {
    return test::make_media(
        file(name),
        fmt::format("-f lavfi -i testsrc2=s=320x180:r=25:d=4 -c:v {} -bf 3 -g 25 -keyint_min 25 "
                    "{} -pix_fmt yuv420p -threads 1",
                    codec,
                    codec == "libx264" ? "-sc_threshold 0 -flags +cgop"
                                       : "-x265-params log-level=none:open-gop=0:keyint=25:min-keyint=25"
                                         ":scenecut=0 -tag:v hvc1"));
  }
  std::filesystem::path write(const std::string& name, const std::vector<std::span<const std::byte>>& parts) {
    std::ofstream out(file(name), std::ios::binary);
    for (const auto part : parts)
      out.write(reinterpret_cast<const char*>(part.data()), static_cast<std::streamsize>(part.size()));
    return file(name);
  }
  // Presentation times in seconds of every decoded frame, in the order of decoding's output.
  static std::vector<double> shown(const std::filesystem::path& path) {
    std::istringstream lines(test::output_of(fmt::format(
        "ffprobe -v error -show_entries frame=pts_time -of default=nk=1:nw=1 '{}'", path.string())));
    std::vector<double> times;
    for (std::string line; std::getline(lines, line);) times.push_back(std::stod(line));
    return times;
  }
  TemporaryFolder folder_;
};

std::vector<Segment> segments_of(const Track& track, bool video, std::size_t samples_each) {
  std::vector<Segment> segments;
  std::uint32_t sequence = 1;
  for (std::size_t i = 0; i < track.samples.size(); i += samples_each) {
    const auto part = std::span(track.samples).subspan(i, std::min(samples_each, track.samples.size() - i));
    auto segment = cmaf_segment(track.cmaf, video, sequence, part);
    if (!segment) throw std::runtime_error(segment.error().message);
    sequence += static_cast<std::uint32_t>(segment->fragments.size());
    segments.push_back(std::move(*segment));
  }
  return segments;
}

TEST_F(Cmaf, EveryFrameIsShownAtItsPlannedTimeFromZero) {
  for (const char* codec : {"libx264", "libx265"}) {
    const Track track = track_of(film(codec, fmt::format("{}.mp4", codec)));
    ASSERT_GT(track.cmaf.shift, 0) << "the film should have B-frames";
    const auto init = cmaf_init_segment(track.codec(), track.cmaf);
    ASSERT_TRUE(init) << init.error().message;
    const auto segments = segments_of(track, true, 50);
    ASSERT_EQ(segments.size(), 2u);
    const auto both = shown(write("both.mp4", {*init, segments[0].bytes, segments[1].bytes}));
    ASSERT_EQ(both.size(), 100u);
    for (std::size_t i = 0; i < both.size(); ++i) EXPECT_NEAR(both[i], double(i) / 25, 1e-5);
    // A player that joins at the second segment sees the same clock.
    const auto second = shown(write("second.mp4", {*init, segments[1].bytes}));
    ASSERT_EQ(second.size(), 50u);
    EXPECT_NEAR(second.front(), 2.0, 1e-5);
  }
}

TEST_F(Cmaf, EachIdrHasAByteRangeThatDecodesAlone) {
  const Track track = track_of(film());
  const auto init = cmaf_init_segment(track.codec(), track.cmaf);
  const auto segments = segments_of(track, true, 100);
  ASSERT_EQ(segments[0].fragments.size(), 4u);
  for (const Fragment& fragment : segments[0].fragments) {
    EXPECT_EQ(fragment.duration, 90000);
    const auto range =
        std::span(segments[0].bytes)
            .subspan(static_cast<std::size_t>(fragment.offset), static_cast<std::size_t>(fragment.bytes));
    const auto times = shown(write("alone.mp4", {*init, range}));
    ASSERT_EQ(times.size(), 1u);
    EXPECT_NEAR(times.front(), double(fragment.pts) / 90000, 1e-5);
  }
}

TEST_F(Cmaf, WhatIsReadBackIsWhatWasWritten) {
  const Track track = track_of(film());
  const auto init = read_init_segment(*cmaf_init_segment(track.codec(), track.cmaf));
  ASSERT_TRUE(init) << init.error().message;
  EXPECT_TRUE(init->video);
  EXPECT_EQ(init->timescale, 90000u);
  EXPECT_EQ(init->shift, track.cmaf.shift);
  EXPECT_EQ(init->width, 320);
  EXPECT_EQ(init->height, 180);
  EXPECT_EQ(init->codecs, *codec_string(track.codec()));
  const auto segments = segments_of(track, true, 50);
  std::size_t at = 0;
  std::uint32_t sequence = 1;
  std::uint64_t expected_time = 0;
  for (const Segment& segment : segments) {
    const auto fragments = read_segment(segment.bytes);
    ASSERT_TRUE(fragments) << fragments.error().message;
    for (const StoredFragment& fragment : *fragments) {
      EXPECT_EQ(fragment.sequence, sequence++);
      EXPECT_EQ(fragment.decode_time, expected_time) << "decode times run on without holes";
      for (const StoredSample& stored : fragment.samples) {
        const Sample& sample = track.samples[at++];
        EXPECT_EQ(static_cast<std::int64_t>(expected_time), sample.dts + track.cmaf.shift);
        EXPECT_EQ(stored.composition, sample.pts - sample.dts);
        EXPECT_EQ(stored.sync, sample.sync);
        EXPECT_TRUE(std::ranges::equal(
            std::span(segment.bytes).subspan(static_cast<std::size_t>(stored.offset), stored.size),
            sample.data));
        expected_time += stored.duration;
      }
    }
  }
  EXPECT_EQ(at, track.samples.size());
}

TEST_F(Cmaf, ParameterSetsInAnnexBGiveTheSameInitSegment) {
  const std::map<std::string, std::string> filters = {{"libx264", "h264"}, {"libx265", "hevc"}};
  for (const auto& [codec, name] : filters) {
    const auto mp4 = film(codec, name + ".mp4");
    test::output_of(fmt::format("ffmpeg -v error -y -i '{}' -c copy -bsf:v {}_mp4toannexb '{}'", mp4.string(),
                                name, file(name + ".mkv").string()));
    const Track record = track_of(mp4);
    AVCodecParameters copy = record.codec();  // its pointers stay the track's
    // The parameter sets as an encoder with a global header gives them: behind start codes.
    BoxWriter annex_b;
    const auto bytes =
        std::as_bytes(std::span(copy.extradata, static_cast<std::size_t>(copy.extradata_size)));
    FieldReader in(bytes);
    if (name == "h264") {
      in.skip(5);
      for (const int mask : {0x1f, 0xff}) {
        for (int left = in.u8() & mask; left > 0; --left) {
          annex_b.u32(1);
          annex_b.raw(in.take(in.u16()));
        }
      }
    } else {
      in.skip(22);
      for (int arrays = in.u8(); arrays > 0; --arrays) {
        const int type = in.u8() & 0x3f;
        for (int left = in.u16(); left > 0; --left) {
          const auto unit = in.take(in.u16());
          if (type > 34) continue;  // x265's SEI
          annex_b.u32(1);
          annex_b.raw(unit);
        }
      }
    }
    Bytes plain = annex_b.take();
    const auto from_record = codec_string(copy);
    copy.extradata = reinterpret_cast<std::uint8_t*>(plain.data());
    copy.extradata_size = static_cast<int>(plain.size());
    const auto from_plain = codec_string(copy);
    ASSERT_TRUE(from_plain) << from_plain.error().message;
    EXPECT_EQ(*from_plain, *from_record);
    const auto init = cmaf_init_segment(copy, record.cmaf);
    ASSERT_TRUE(init) << init.error().message;
    const auto segments = segments_of(record, true, 100);
    EXPECT_EQ(shown(write(name + "b.mp4", {*init, segments[0].bytes})).size(), 100u);
  }
}

TEST_F(Cmaf, CodecStringsAreThoseOfRfc6381) {
  EXPECT_EQ(*codec_string(
                track_of(test::make_media(file("h.mp4"),
                                          "-f lavfi -i testsrc2=s=640x360:r=25:d=0.2 -c:v libx264 -profile:v "
                                          "high -level 3.1 -pix_fmt yuv420p"))
                    .codec()),
            "avc1.64001f");
  EXPECT_EQ(*codec_string(track_of(film("libx265", "hevc.mp4")).codec()), "hvc1.1.6.L60.90");
  EXPECT_EQ(*codec_string(
                track_of(test::make_media(file("a.mp4"), "-f lavfi -i sine=d=1 -c:a aac"), 44100).codec()),
            "mp4a.40.2");
  const Track vorbis =
      track_of(test::make_media(file("v.webm"), "-f lavfi -i sine=d=1 -c:a libvorbis"), 44100);
  EXPECT_EQ(codec_string(vorbis.codec()).error().code, Code::kUnsupported);
  EXPECT_EQ(cmaf_init_segment(vorbis.codec(), {}).error().code, Code::kUnsupported);
}

TEST_F(Cmaf, AudioPrimingIsDeclaredOnceAndDecodesToTheExactSamples) {
  // libavformat gives the encoder's first packet pts -1024 already.
  Track track = track_of(
      test::make_media(file("beep.mp4"), "-f lavfi -i sine=f=1000:d=2:r=48000 -c:a aac -b:a 128k"), 48000);
  ASSERT_EQ(track.samples.front().pts, -1024);
  for (Sample& sample : track.samples) sample.dts = sample.pts;
  track.cmaf.shift = 1024;
  track.samples.back().duration = 1024;
  const auto init = cmaf_init_segment(track.codec(), track.cmaf);
  ASSERT_TRUE(init) << init.error().message;
  EXPECT_EQ(read_init_segment(*init)->shift, 1024);
  std::vector<std::span<const std::byte>> parts{*init};
  const auto segments = segments_of(track, false, 40);
  for (const Segment& segment : segments) {
    EXPECT_EQ(segment.fragments.size(), 1u);
    parts.emplace_back(segment.bytes);
  }
  const auto path = write("audio.mp4", parts);
  test::output_of(
      fmt::format("ffmpeg -v error -y -i '{}' -f s16le '{}'", path.string(), file("ours.pcm").string()));
  test::output_of(fmt::format("ffmpeg -v error -y -i '{}' -f s16le '{}'", file("beep.mp4").string(),
                              file("theirs.pcm").string()));
  const std::string ours = *read_file(file("ours.pcm")), theirs = *read_file(file("theirs.pcm"));
  // FFmpeg gives a fragmented file's priming out before time 0; players drop what lies there.
  EXPECT_DOUBLE_EQ(shown(path).front(), -0.021333);
  ASSERT_GE(ours.size(), theirs.size() + 2048);
  EXPECT_TRUE(ours.substr(2048, theirs.size()) == theirs) << "the same samples from time 0 on";
}

TEST_F(Cmaf, SamplesThatBreakTheRulesAreRefused) {
  const Track track = track_of(film());
  const auto refused = [&](const char* what, auto spoil) {
    auto samples = std::vector<Sample>(track.samples.begin(), track.samples.begin() + 25);
    spoil(samples);
    const auto segment = cmaf_segment(track.cmaf, true, 1, samples);
    ASSERT_FALSE(segment) << what;
    EXPECT_EQ(segment.error().code, Code::kInternal) << what;
  };
  refused("no samples", [](auto& s) { s.clear(); });
  refused("no IDR in front", [](auto& s) { s.front().sync = false; });
  refused("decode times fall", [](auto& s) { s[3].dts = s[2].dts; });
  refused("an open GOP", [](auto& s) {
    s[1].pts = s[0].pts - 1;
    s[1].dts = s[0].dts + 1;
  });
  refused("pts before dts", [](auto& s) { s[3].pts = s[3].dts - 1; });
  refused("before the shift", [](auto& s) { s[0].dts = -1'000'000; });
  refused("no duration", [](auto& s) { s[3].duration = 0; });
}

TEST_F(Cmaf, TruncatedAndFlippedBytesAreErrorsNeverCrashes) {
  const Track track = track_of(film());
  const Bytes init = *cmaf_init_segment(track.codec(), track.cmaf);
  Bytes segment = segments_of(track, true, 25)[0].bytes;
  for (std::size_t size = 1; size < init.size(); ++size)
    EXPECT_FALSE(read_init_segment(std::span(init).first(size)));
  for (std::size_t size = 20; size < segment.size(); size += 97) {
    const auto read = read_segment(std::span(segment).first(size));
    EXPECT_TRUE(!read || read->empty()) << size;
  }
  for (std::size_t i = 0; i < 400; ++i) {
    segment[i] ^= std::byte(0xff);
    static_cast<void>(read_segment(segment));
    segment[i] ^= std::byte(0xff);
  }
}

}  // namespace
}  // namespace spool::media
