#include "media/mp4.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>

#include "base/temporary_folder.h"
#include "media/audio.h"
#include "media/box.h"
#include "media/cmaf_read.h"
#include "support/film.h"
#include "support/program.h"

namespace spool::media {
namespace {

ByteSource in_memory(const Bytes& bytes) {
  return {[&bytes](std::uint64_t offset, std::span<std::byte> into) -> Result<std::size_t> {
            const std::size_t left =
                offset < bytes.size() ? bytes.size() - static_cast<std::size_t>(offset) : 0;
            const std::size_t count = std::min(left, into.size());
            if (count > 0) std::memcpy(into.data(), bytes.data() + offset, count);
            return count;
          },
          bytes.size(), "segment"};
}

class Mp4 : public ::testing::Test {
 protected:
  std::filesystem::path file(const std::string& name) { return folder_.path() / name; }
  ByteSource source(const std::filesystem::path& path) {
    return *file_source(*open_file(path, O_RDONLY), "film");
  }

  // 6 s of video with B-frames and of sound, as packaged segments.
  void SetUp() override {
    const auto film = test::make_media(
        file("film.mp4"),
        "-f lavfi -i testsrc2=s=160x90:r=25:d=6 -f lavfi -i sine=d=6:r=48000 -c:v libx264 -bf 2 -g 25 "
        "-keyint_min 25 -sc_threshold 0 -flags +cgop -pix_fmt yuv420p -threads 1 -c:a aac -ac 2");
    auto packaged = test::package_video(film, 2 * 25);
    video_init_ = std::move(packaged.init);
    for (auto& segment : packaged.segments) video_.push_back(std::move(segment.bytes));
    AudioSink sink{[&](const AudioFormat& format) -> Result<void> {
                     audio_init_ = format.init;
                     return {};
                   },
                   [&](std::size_t, const Segment& segment) -> Result<void> {
                     audio_.push_back(segment.bytes);
                     return {};
                   },
                   {}};
    AudioTask task;
    task.begin_seconds = 0;
    task.segment_seconds = 2;
    samples_ = encode_audio(source(film), task, sink, {})->samples;
  }
  std::vector<Mp4Track> tracks() {
    return {{video_init_, video_.size(),
             [this](std::size_t i) -> Result<ByteSource> { return in_memory(video_[i]); }},
            {audio_init_, audio_.size(),
             [this](std::size_t i) -> Result<ByteSource> { return in_memory(audio_[i]); }}};
  }
  std::filesystem::path assemble(std::span<const Mp4Track> from, const Mp4Options& options = {}) {
    std::ofstream out(file("out.mp4"), std::ios::binary);
    const auto write = [&](std::span<const std::byte> bytes) -> Result<void> {
      out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
      return {};
    };
    const auto done = assemble_mp4(from, write, options, {});
    if (!done) throw std::runtime_error(done.error().message);
    return file("out.mp4");
  }
  static std::string probe(const std::string& what, const std::filesystem::path& path) {
    return test::output_of(
        fmt::format("ffprobe -v error {} -of default=nk=1:nw=1 '{}'", what, path.string()));
  }

  TemporaryFolder folder_;
  Bytes video_init_, audio_init_;
  std::vector<Bytes> video_, audio_;
  std::int64_t samples_ = 0;
};

TEST_F(Mp4, TheMoovComesFirstAndEveryFrameKeepsItsTime) {
  const auto path = assemble(tracks());
  const std::string bytes = *read_file(path);
  const auto boxes = boxes_in(std::as_bytes(std::span(bytes.data(), bytes.size())));
  ASSERT_TRUE(boxes) << boxes.error().message;
  ASSERT_EQ(boxes->size(), 3u);
  EXPECT_EQ((*boxes)[1].type, fourcc("moov"));
  EXPECT_EQ((*boxes)[2].type, fourcc("mdat"));
  const std::string shown = "-select_streams v -show_entries frame=pts_time,pict_type";
  EXPECT_EQ(probe(shown, path), probe(shown, file("film.mp4")));
  EXPECT_EQ(probe("-select_streams v -show_entries stream=nb_frames,start_time", path), "0.000000\n150\n");
  EXPECT_NEAR(std::stod(probe("-show_entries format=duration", path)), 6, 0.03) << "whole packets of sound";
  EXPECT_EQ(test::output_of(fmt::format("ffmpeg -v warning -i '{}' -f null -", path.string())), "");
}

TEST_F(Mp4, PicturesAndSoundDecodeToTheSameAsTheSegments) {
  const auto path = assemble(tracks());
  std::ofstream joined(file("v.mp4"), std::ios::binary);
  const auto put = [&](const Bytes& b) {
    joined.write(reinterpret_cast<const char*>(b.data()), static_cast<std::streamsize>(b.size()));
  };
  put(video_init_);
  for (const Bytes& segment : video_) put(segment);
  joined.close();
  const auto hash = [](const std::filesystem::path& p) {
    return test::output_of(fmt::format("ffmpeg -v error -i '{}' -map 0:v -f md5 -", p.string()));
  };
  EXPECT_EQ(hash(path), hash(file("v.mp4")));
  // The edit list says exactly which samples are heard.
  test::output_of(fmt::format("ffmpeg -v error -y -i '{}' -map 0:a -f s16le '{}'", path.string(),
                              file("a.pcm").string()));
  EXPECT_EQ(std::filesystem::file_size(file("a.pcm")), static_cast<std::uintmax_t>(samples_) * 4);
}

TEST_F(Mp4, LargeFilesGet64BitOffsets) {
  const auto path = assemble(tracks(), {.wide_offsets_from = 1000});
  const std::string bytes = *read_file(path);
  EXPECT_NE(bytes.find("co64"), std::string::npos);
  EXPECT_EQ(bytes.find("stco"), std::string::npos);
  EXPECT_EQ(test::output_of(fmt::format("ffmpeg -v warning -i '{}' -f null -", path.string())), "");
}

TEST_F(Mp4, AnM4aHoldsTheSoundAlone) {
  const auto both = tracks();
  const auto path = assemble(std::span(both).subspan(1), {.audio_only_brand = true});
  EXPECT_EQ(probe("-show_entries format_tags=major_brand", path), "M4A \n");
  EXPECT_EQ(probe("-show_entries format=nb_streams", path), "1\n");
  EXPECT_NEAR(std::stod(probe("-show_entries format=duration", path)), double(samples_) / 48000, 1e-5);
}

TEST_F(Mp4, ATrackThatBeginsLaterKeepsItsPlace) {
  auto from = tracks();
  from[0].open = [this](std::size_t i) -> Result<ByteSource> { return in_memory(video_[i + 1]); };
  from[0].segments = video_.size() - 1;
  const auto path = assemble(from);
  EXPECT_NEAR(std::stod(probe("-select_streams v -show_entries stream=start_time", path)), 2.0, 0.001);
}

TEST_F(Mp4, ErrorsAreReported) {
  const auto both = tracks();
  const auto full = [](std::span<const std::byte>) -> Result<void> {
    return fail(Code::kStorageFull, "full");
  };
  const auto ok = [](std::span<const std::byte>) -> Result<void> { return {}; };
  EXPECT_EQ(assemble_mp4(both, full, {}, {}).error().code, Code::kStorageFull);
  EXPECT_EQ(assemble_mp4({}, ok, {}, {}).error().code, Code::kInvalidArgument);
  std::stop_source stopped;
  stopped.request_stop();
  EXPECT_EQ(assemble_mp4(both, ok, {}, stopped.get_token()).error().code, Code::kCancelled);
  auto cut = tracks();
  video_[1].resize(video_[1].size() / 2);
  EXPECT_EQ(assemble_mp4(cut, ok, {}, {}).error().code, Code::kCorruptInput);
  auto swapped = tracks();
  swapped[0].segments = 0;
  EXPECT_EQ(assemble_mp4(swapped, ok, {}, {}).error().code, Code::kCorruptInput);
}

}  // namespace
}  // namespace spool::media
