#include "media/chunk_reader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "media/chunked_film.h"
#include "media/handmade_h264.h"

namespace spool::media {
namespace {

std::filesystem::path written(const std::string& name, const std::string& bytes) {
  const auto path = made_folder() / name;
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

// Hidden frames that others refer to stand in packets of their own.
std::filesystem::path two_pass_vp8() {
  const auto film = numbered_y4m(320, 180, 250).string();
  const auto log = (made_folder() / "vp8.log").string();
  const std::string codec = fmt::format(
      "-i {} -c:v libvpx -b:v 600k -deadline good -cpu-used 5 -auto-alt-ref 1 -lag-in-frames 25 -g 250 "
      "-passlogfile {}",
      film, log);
  made_video("first_pass.webm", codec + " -pass 1");
  return made_video("two_pass.webm", codec + " -pass 2");
}

std::int64_t hidden_packets(const std::filesystem::path& path) {
  auto input = av::Input::open(open_video(path));
  const av::Packet packet = av::make_packet();
  std::int64_t hidden = 0;
  while (*input->read(*packet)) hidden += is_shown(*input->get()->streams[0], *packet) ? 0 : 1;
  return hidden;
}

TEST(ChunkReader, CountsNoFrameThatIsOnlyReferredTo) {
  const auto path = two_pass_vp8();
  ASSERT_GT(hidden_packets(path), 3);
  const EncodedFilm film = encode_film(path, small_ladder());
  EXPECT_EQ(film.plan.frames, 250);
  EXPECT_GT(film.plan.chunks.size(), 2U);
  EXPECT_TRUE(film.damage.empty());
  const auto frames = decode_rung(film, 0);
  ASSERT_EQ(frames.size(), 250U);
  for (std::size_t i = 0; i < frames.size(); ++i) ASSERT_EQ(frames[i].number, static_cast<int>(i));
}

TEST(ChunkReader, CountsFramesWithOneTimeOnce) {
  // Every tenth frame has the time of the one before it.
  const auto path =
      made_video("duplicates.mkv", fmt::format("-i {} -c:v libx264 -preset veryfast -crf 18 -g 50 -bf 0 "
                                               "-bsf:v \"setts=pts='PTS-40*eq(mod(N\\,10)\\,9)':dts=PTS-40\"",
                                               numbered_y4m(320, 180, 300).string()));
  const auto timeline = scan_timeline(open_video(path), {});
  ASSERT_TRUE(timeline);
  ASSERT_EQ(timeline->dropped, 30);
  const EncodedFilm film = encode_film(path, small_ladder());
  EXPECT_EQ(film.plan.frames, 270);
  EXPECT_TRUE(film.damage.empty());
  std::vector<int> expected;
  for (int i = 0; i < 300; ++i)
    if (i % 10 != 9) expected.push_back(i);
  std::vector<int> numbers;
  for (const DecodedFrame& frame : decode_rung(film, 0)) numbers.push_back(frame.number);
  EXPECT_EQ(numbers, expected);
}

TEST(ChunkReader, MakesNoPictureThatGrowsBeyondWhatIsTaken) {
  HandmadeH264 stream;
  stream.parameter_sets(20, 12);
  for (int i = 0; i < 15; ++i) stream.picture(static_cast<std::uint8_t>(40 + 10 * i));
  stream.restart().parameter_sets(1000, 1000).picture(99, 4);
  stream.restart().parameter_sets(20, 12);
  for (int i = 0; i < 15; ++i) stream.picture(static_cast<std::uint8_t>(40 + 10 * i));
  const auto path = made_video(
      "grows.mkv", fmt::format("-r 25 -i {} -c copy", written("grows.h264", stream.bytes()).string()));
  const ByteSource source = open_video(path);
  const auto timeline = scan_timeline(source, {});
  ASSERT_TRUE(timeline) << timeline.error().message;
  const auto plan = plan_film(*timeline, small_ladder(), Speed::kFast);
  ASSERT_TRUE(plan) << plan.error().message;
  auto reader = ChunkReader::open(source, plan->film, plan->chunks.front(), 0, 1, {});
  ASSERT_TRUE(reader) << reader.error().message;
  int frames = 0;
  for (;;) {
    const auto decoded = reader->next();
    ASSERT_TRUE(decoded);
    if (decoded->frame == nullptr) break;
    ASSERT_EQ(decoded->frame->width, 320);
    ++frames;
  }
  EXPECT_GE(frames, 28);
  const EncodedFilm film = encode_film(path, small_ladder());
  EXPECT_EQ(film.damage.size(), 1U);
}

TEST(ChunkReader, TakesTwoPacketsOfFieldsForOneFrame) {
  HandmadeH264 stream;
  stream.parameter_sets(20, 12, true);
  for (int i = 0; i < 200; ++i) stream.picture(static_cast<std::uint8_t>(30 + i));
  const auto path = made_video(
      "fields.ts", fmt::format("-r 50 -i {} -c copy", written("fields.h264", stream.bytes()).string()));
  const auto timeline = scan_timeline(open_video(path), {});
  ASSERT_TRUE(timeline) << timeline.error().message;
  EXPECT_EQ(timeline->rate, (Ratio{25, 1}));
  EXPECT_EQ(timeline->pts.size(), 200U);
  EXPECT_EQ(timeline->keyframes.size(), 200U);
  const EncodedFilm film = encode_film(path, small_ladder());
  EXPECT_GT(film.plan.chunks.size(), 2U);
  EXPECT_TRUE(film.damage.empty());
  const auto frames = decode_rung(film, 0);
  ASSERT_EQ(frames.size(), 200U);
  for (std::size_t i = 0; i < frames.size(); ++i) ASSERT_NEAR(frames[i].luma, 30.0 + double(i), 3);
}

}  // namespace
}  // namespace spool::media
