#include "media/stills.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>

#include "av/decoder.h"
#include "av/log.h"
#include "corpus/corpus.h"

namespace spool::media {
namespace {

using Files = std::map<std::string, Bytes>;

EmitFile into(Files& files) {
  return [&files](std::string_view name, std::span<const std::byte> bytes) -> Result<void> {
    files[std::string(name)] = Bytes(bytes.begin(), bytes.end());
    return {};
  };
}

av::Frame decoded(const Bytes& image, AVCodecID codec = AV_CODEC_ID_MJPEG) {
  const av::CodecParameters parameters(avcodec_parameters_alloc());
  parameters->codec_type = AVMEDIA_TYPE_VIDEO;
  parameters->codec_id = codec;
  av::Decoder decoder = av::Decoder::open(*parameters, {1, 25}).value();
  const av::Packet packet = av::make_packet();
  if (av_new_packet(packet.get(), static_cast<int>(image.size())) < 0) throw std::bad_alloc();
  std::memcpy(packet->data, image.data(), image.size());
  av::Frame frame = av::make_frame();
  EXPECT_TRUE(decoder.send(packet.get()));
  EXPECT_TRUE(decoder.send(nullptr));
  EXPECT_EQ(decoder.receive(*frame).value(), av::Decoder::Received::kFrame);
  return frame;
}

int number_in(const AVFrame& f, int x = 0, int y = 0, int width = 0, int height = 0) {
  return test::frame_number(f.data[0] + y * f.linesize[0] + x, f.linesize[0], width > 0 ? width : f.width,
                            height > 0 ? height : f.height);
}

ThumbnailOptions every(double seconds) {
  ThumbnailOptions options;
  options.every_seconds = seconds;
  return options;
}

Json thumbnails(const std::string& file, const ThumbnailOptions& options, Files& files) {
  auto made = make_thumbnails(test::corpus(file), options, into(files), {});
  if (!made) throw std::runtime_error(made.error().message);
  return std::move(*made);
}

TEST(Thumbnails, ShowTheKeyframesAtTheirTimes) {
  Files files;
  const Json made = thumbnails("plain.mp4", every(1), files);
  EXPECT_EQ(made["count"], 4);
  for (int i = 0; i < 4; ++i)
    EXPECT_EQ(number_in(*decoded(files[fmt::format("thumb-{:05}.jpg", i + 1)])), i * 25);
}

TEST(Thumbnails, AreExactWhenAsked) {
  Files files;
  ThumbnailOptions options = every(1.5);
  options.exact = true;
  EXPECT_EQ(thumbnails("plain.mp4", options, files)["count"], 3);
  EXPECT_EQ(number_in(*decoded(files["thumb-00002.jpg"])), 37);  // 1.5 s falls into frame 37
  EXPECT_EQ(number_in(*decoded(files["thumb-00003.jpg"])), 75);
}

TEST(Thumbnails, DecodeOnwardWhereKeyframesAreFartherApartThanThumbnails) {
  Files files;
  EXPECT_EQ(thumbnails("long_gop.mp4", every(4), files)["count"], 3);
  EXPECT_EQ(number_in(*decoded(files["thumb-00002.jpg"])), 100);
  EXPECT_EQ(number_in(*decoded(files["thumb-00003.jpg"])), 200);
}

TEST(Thumbnails, CountFramesWhenAsked) {
  Files files;
  ThumbnailOptions options;
  options.every_frames = 30;
  EXPECT_EQ(thumbnails("plain.mp4", options, files)["count"], 4);
  for (int i = 0; i < 4; ++i)
    EXPECT_EQ(number_in(*decoded(files[fmt::format("thumb-{:05}.jpg", i + 1)])), i * 30);
}

TEST(Thumbnails, StandUprightWithSquarePixelsAndEvenSides) {
  const std::map<std::string, std::pair<int, int>> sizes = {{"rotated_90.mp4", {180, 320}},
                                                            {"rotated_180.mp4", {320, 180}},
                                                            {"anamorphic.mp4", {320, 180}},
                                                            {"odd_size.webm", {320, 180}},
                                                            {"odd_size.mkv", {318, 178}}};
  for (const auto& [file, size] : sizes) {
    SCOPED_TRACE(file);
    Files files;
    const Json made = thumbnails(file, every(2), files);
    EXPECT_EQ(made["width"], size.first);
    EXPECT_EQ(made["height"], size.second);
    const av::Frame frame = decoded(files["thumb-00001.jpg"]);
    EXPECT_EQ(frame->width, size.first);
    EXPECT_EQ(frame->height, size.second);
  }
}

TEST(Thumbnails, AreMadeOfEverySortOfFilm) {
  for (const char* file :
       {"vp9.webm", "hevc.mp4", "av1.mp4", "mpegts.ts", "mjpeg.avi", "animation.gif", "open_gop.mp4",
        "interlaced_tff.mp4", "start_offset.mkv", "edit_list.mp4", "yuv422_10bit.mp4", "hdr10.mp4", "hlg.mp4",
        "full_range.mp4", "damaged.mp4", "fragmented.mp4", "one_frame.mp4"}) {
    SCOPED_TRACE(file);
    Files files;
    const Json made = thumbnails(file, every(1), files);
    EXPECT_GE(made["count"], 1);
    EXPECT_EQ(files.size(), made["count"].get<std::size_t>());
    // The first frame that is shown; its number is readable where black and white survive.
    EXPECT_EQ(number_in(*decoded(files["thumb-00001.jpg"])),
              std::string_view(file) == "edit_list.mp4" ? 35 : 0);
  }
}

TEST(Storyboard, TilesAllOfTheFilmAndCoversItWithCues) {
  Files files;
  ThumbnailOptions options = every(0.035);
  options.sprite = true;
  options.exact = true;
  options.width = 160;
  const Json made = thumbnails("plain.mp4", options, files);
  EXPECT_EQ(made["count"], 115);
  ASSERT_EQ(files.size(), 3u);
  const av::Frame first = decoded(files["sheet-001.jpg"]), second = decoded(files["sheet-002.jpg"]);
  EXPECT_EQ(first->width, 1600);
  EXPECT_EQ(first->height, 900);
  EXPECT_EQ(second->height, 180) << "as many rows as it needs";
  EXPECT_EQ(number_in(*first, 3 * 160, 2 * 90, 160, 90), 20) << "tile 23 shows 0.805 s";
  const Bytes& bytes = files["storyboard.vtt"];
  const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  EXPECT_TRUE(text.starts_with("WEBVTT\n\n00:00:00.000 --> 00:00:00.035\nsheet-001.jpg#xywh=0,0,160,90\n"))
      << text.substr(0, 90);
  EXPECT_TRUE(text.ends_with("\n00:00:03.990 --> 00:00:04.000\nsheet-002.jpg#xywh=640,90,160,90\n"))
      << text.substr(text.size() - 90);
}

TEST(Storyboard, HasTheSameBytesAgain) {
  ThumbnailOptions options = every(1);
  options.sprite = true;
  Files once, again;
  thumbnails("plain.mp4", options, once);
  thumbnails("plain.mp4", options, again);
  EXPECT_EQ(once, again);
}

TEST(Thumbnails, CanBePng) {
  Files files;
  ThumbnailOptions options = every(2);
  options.format = ImageFormat::kPng;
  thumbnails("plain.mp4", options, files);
  EXPECT_EQ(decoded(files.at("thumb-00002.png"), AV_CODEC_ID_PNG)->width, 320);
}

TEST(Thumbnails, QualityCostsBytes) {
  Files good, poor;
  ThumbnailOptions options = every(2);
  options.quality = 95;
  thumbnails("plain.mp4", options, good);
  options.quality = 20;
  thumbnails("plain.mp4", options, poor);
  EXPECT_GT(good["thumb-00001.jpg"].size(), poor["thumb-00001.jpg"].size());
}

TEST(Thumbnails, SayWhatIsWrong) {
  Files files;
  const auto code = [&](const std::string& file, const ThumbnailOptions& options) {
    const auto made = make_thumbnails(test::corpus(file), options, into(files), {});
    return made ? Code::kInternal : made.error().code;
  };
  EXPECT_EQ(code("audio_only.m4a", every(1)), Code::kUnsupported);
  EXPECT_EQ(code("cover_art.m4a", every(1)), Code::kUnsupported);
  EXPECT_EQ(code("zero_duration.mp4", every(1)), Code::kCorruptInput);
  EXPECT_EQ(code("plain.mp4", every(0)), Code::kInvalidArgument);
  EXPECT_TRUE(make_thumbnails(test::corpus("plain.mp4"), every(1), into(files), {}));
  const auto full = make_thumbnails(test::corpus("plain.mp4"), every(1),
                                    [](std::string_view, std::span<const std::byte>) -> Result<void> {
                                      return fail(Code::kStorageFull, "full");
                                    },
                                    {});
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code, Code::kStorageFull);
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(make_thumbnails(test::corpus("plain.mp4"), every(1), into(files), stop.get_token()).error().code,
            Code::kCancelled);
}

TEST(Poster, IsNotBlackWhenTheFilmBeginsBlack) {
  Files files;
  const auto made = make_poster(test::corpus("black_start.mp4"), {}, into(files), {});
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_GE((*made)["at"], 2.0);
  const av::Frame poster = decoded(files.at("poster.jpg"));
  EXPECT_GT(telling(*poster), 2);
}

TEST(Poster, IsTakenWhereItIsAskedFor) {
  Files files;
  PosterOptions options;
  options.at = 1.24;
  ASSERT_TRUE(make_poster(test::corpus("plain.mp4"), options, into(files), {}));
  EXPECT_EQ(number_in(*decoded(files.at("poster.jpg"))), 31);
}

TEST(VttTime, HasHoursMinutesSecondsAndMilliseconds) {
  EXPECT_EQ(vtt_time(0), "00:00:00.000");
  EXPECT_EQ(vtt_time(3723.4567), "01:02:03.457");
  EXPECT_EQ(vtt_time(-1), "00:00:00.000");
}

}  // namespace
}  // namespace spool::media
