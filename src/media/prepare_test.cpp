// Pictures that lie on their side, in fields, in other colours: what comes out is upright, progressive,
// standard.
#include "media/prepare.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <fstream>

#include "media/chunked_film.h"

namespace spool::media {
namespace {

// How a picture is stored, and the matrix that undoes it: x' = a x + c y, y' = b x + d y (ISO/IEC 14496-12,
// 8.3.2), y downwards.
struct Turn {
  const char* name;
  const char* filter;
  int a, b, c, d;
  int rotation;
  bool mirrored;
};

class EveryTurn : public testing::TestWithParam<Turn> {};

void write_display_matrix(const std::filesystem::path& from, const std::filesystem::path& to,
                          const Turn& turn) {
  auto content = read_file(from);
  ASSERT_TRUE(content.has_value());
  constexpr std::size_t kMatrix = 4 + 40;  // behind the type, in a version 0 box
  const int values[] = {turn.a, turn.b, 0, turn.c, turn.d, 0};
  std::size_t at = content->find("tkhd") + kMatrix;
  ASSERT_LT(at, content->size());
  for (const int value : values)
    for (int shift = 24; shift >= 0; shift -= 8)
      (*content)[at++] = static_cast<char>(static_cast<std::uint32_t>(value * 65536) >> shift & 0xff);
  ASSERT_TRUE(write_file_atomic(to, std::as_bytes(std::span(*content))).has_value());
}

TEST_P(EveryTurn, IsUndone) {
  const Turn& turn = GetParam();
  const auto lying = made_video(fmt::format("{}.mp4", turn.name),
                                fmt::format("-i {} -vf {} -c:v libx264 -preset veryfast -crf 18",
                                            numbered_y4m(320, 180, 60).string(), turn.filter));
  const auto path = made_folder() / fmt::format("{}_marked.mp4", turn.name);
  ASSERT_NO_FATAL_FAILURE(write_display_matrix(lying, path, turn));
  const EncodedFilm film = encode_film(path, small_ladder());
  EXPECT_EQ(film.plan.film.picture.rotation, turn.rotation);
  EXPECT_EQ(film.plan.film.picture.mirrored, turn.mirrored);
  ASSERT_EQ(film.plan.film.rungs[0].size, (Size{320, 180}));
  ASSERT_NO_FATAL_FAILURE(expect_continuous(film, 0));
  EXPECT_GT(psnr(decode_rung(film, 0)[30].picture, numbered_luma(320, 180, 30)), 30);
}

INSTANTIATE_TEST_SUITE_P(Turns, EveryTurn,
                         testing::Values(Turn{"Quarter", "transpose=cclock", 0, 1, -1, 0, 90, false},
                                         Turn{"Half", "hflip,vflip", -1, 0, 0, -1, 180, false},
                                         Turn{"ThreeQuarters", "transpose=clock", 0, -1, 1, 0, 270, false},
                                         Turn{"Mirror", "hflip", -1, 0, 0, 1, 0, true},
                                         Turn{"UpsideDownMirror", "vflip", 1, 0, 0, -1, 180, true},
                                         Turn{"QuarterMirror", "transpose=cclock_flip", 0, 1, 1, 0, 90, true},
                                         Turn{"ThreeQuartersMirror", "transpose=clock_flip", 0, -1, -1, 0,
                                              270, true}),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(Preparer, MakesOddAndAnamorphicSizesEvenAndSquare) {
  const auto odd = made_video(
      "odd.mkv", "-f lavfi -i testsrc2=size=321x181:rate=25:duration=1 -pix_fmt yuv444p -c:v ffv1");
  EXPECT_EQ(decode_rung(encode_film(odd, small_ladder()), 0).front().size, (Size{320, 180}));
  const auto wide = made_video(
      "wide.mp4", "-f lavfi -i testsrc2=size=360x288:rate=25:duration=1 -vf setsar=64/45 -c:v libx264");
  const EncodedFilm film = encode_film(wide, small_ladder());
  EXPECT_EQ(film.plan.film.picture.shown(), (Size{512, 288}));
  EXPECT_EQ(decode_rung(film, 0).front().size, (Size{320, 180}));
}

// Pixels of the number's bars that differ from the lines above and below alike.
int combed(const DecodedFrame& frame) {
  const auto width = static_cast<std::size_t>(frame.size.width);
  const std::size_t lines = static_cast<std::size_t>(frame.size.height) / 4 - 2;
  int count = 0;
  for (std::size_t y = 1; y < lines; ++y)
    for (std::size_t x = 0; x < width; ++x) {
      const int here = frame.picture[y * width + x];
      const int above = here - frame.picture[(y - 1) * width + x];
      const int below = here - frame.picture[(y + 1) * width + x];
      if (above * below > 30 * 30) ++count;
    }
  return count;
}

// Luma of the frames of a YUV4MPEG file of 320x180.
std::vector<std::vector<std::uint8_t>> luma_of(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::string line;
  std::getline(in, line);
  std::vector<std::vector<std::uint8_t>> frames;
  while (std::getline(in, line)) {
    frames.emplace_back(320 * 180);
    in.read(reinterpret_cast<char*>(frames.back().data()), 320 * 180);
    in.ignore(320 * 180 / 2);
  }
  return frames;
}

// Fields of 50 Hz: in frame i the first shows the number 3 i, the second 3 i + 1, so that no bar stands still
// in the fields of either kind.
class Fields : public testing::TestWithParam<bool> {};  // the top one first

TEST_P(Fields, AreWovenIntoFramesAlikeOnBothSidesOfAJoin) {
  const char* first = GetParam() ? "top" : "bottom";
  const auto path = made_video(
      fmt::format("{}.ts", first),
      fmt::format(
          "-i {} -vf \"select='lt(mod(n,3),2)',settb=1/50,setpts=N,tinterlace=interleave_{},setfield={}\" "
          "-r 25 -c:v mpeg2video -flags +ildct+ilme -top {} -q:v 2 -g 12 -bf 2",
          numbered_y4m(320, 180, 900, "75:1").string(), first, GetParam() ? "tff" : "bff",
          GetParam() ? 1 : 0));
  PlanOptions options;
  options.chunk_seconds = 4;
  const EncodedFilm film = encode_film(path, small_ladder(), options);
  ASSERT_TRUE(film.plan.film.picture.interlaced);
  ASSERT_EQ(film.plan.frames, 300);
  const auto frames = decode_rung(film, 0);
  ASSERT_EQ(frames.size(), 300u);
  for (std::size_t i = 0; i < frames.size(); ++i) {
    EXPECT_EQ(frames[i].pts, static_cast<std::int64_t>(i) * 3600);
    EXPECT_EQ(frames[i].number, static_cast<int>(3 * i));
    EXPECT_LE(combed(frames[i]), 20) << "frame " << i;
  }
  const auto whole = luma_of(
      made_video(fmt::format("{}.y4m", first),
                 fmt::format("-i {} -vf bwdif=mode=send_frame -vsync 0 -pix_fmt yuv420p", path.string())));
  ASSERT_EQ(whole.size(), 300u);
  expect_like_unchunked(film, encode_film(path, small_ladder(), options, {.unchunked = true}),
                        [&](std::size_t i) { return whole[i]; });
}

INSTANTIATE_TEST_SUITE_P(Orders, Fields, testing::Bool(),
                         [](const auto& test) { return test.param ? "TopFirst" : "BottomFirst"; });

// One grey, in 10-bit code values, and the light it stands for.
struct HdrCase {
  const char* name;
  const char* transfer;
  int code;
  double peak_nits;  // what the film says; 0: nothing
};

// SMPTE ST 2084, and ITU-R BT.2100 HLG on a display of 1000 nits.
double nits(const HdrCase& grey) {
  const double e = (grey.code - 64) / 876.0;
  if (std::string(grey.transfer) == "smpte2084") {
    const double p = std::pow(e, 1 / (2523.0 / 4096 * 128));
    return 10000 *
           std::pow(std::max(p - 3424.0 / 4096, 0.0) / (2413.0 / 128 - 2392.0 / 128 * p), 16384.0 / 2610);
  }
  const double scene = e <= 0.5 ? e * e / 3 : (std::exp((e - 0.55991073) / 0.17883277) + 0.28466892) / 12;
  return 1000 * std::pow(scene, 1.2);
}

// The tone map that preparation() asks for: Mobius, linear below 0.3; 1 is 203 nits. Then BT.1886's inverse.
double standard_luma(double light, double peak_nits) {
  const double x = light / 203, peak = (peak_nits > 0 ? peak_nits : 1000) / 203, j = 0.3;
  const double a = -j * j * (peak - 1) / (j * j - 2 * j + peak);
  const double b = (j * j - 2 * j * peak + peak) / (peak - 1);
  const double y = x <= j ? x : (b * b + 2 * b * j + j * j) / (b - a) * (x + a) / (x + b);
  return 16 + 219 * std::pow(y, 1 / 2.4);
}

class HighDynamicRange : public testing::TestWithParam<HdrCase> {};

TEST_P(HighDynamicRange, BecomesTheGreyThatTheToneMapGives) {
  const HdrCase& grey = GetParam();
  const std::string light =
      grey.peak_nits > 0 ? fmt::format(":hdr10=1:max-cll={},400", grey.peak_nits) : std::string();
  const auto path = made_video(
      fmt::format("{}.mkv", grey.name),
      fmt::format("-f lavfi -i color=gray:size=320x180:rate=25:duration=1,format=yuv420p10le,"
                  "lutyuv=y={}:u=512:v=512 -c:v libx265 "
                  "-preset ultrafast -crf 10 -color_primaries bt2020 -colorspace bt2020nc -color_trc {} "
                  "-x265-params log-level=none:colorprim=bt2020:colormatrix=bt2020nc:transfer={}{}",
                  grey.code, grey.transfer, grey.transfer, light));
  const EncodedFilm film = encode_film(path, small_ladder());
  ASSERT_TRUE(film.plan.film.picture.hdr());
  EXPECT_EQ(film.plan.film.picture.peak_nits, grey.peak_nits);
  const auto frames = decode_rung(film, 0);
  ASSERT_EQ(frames.size(), 25u);
  EXPECT_NEAR(frames[10].luma, standard_luma(nits(grey), grey.peak_nits), 3) << nits(grey) << " nits";
  EXPECT_NEAR(frames[10].chroma, 128, 2);
  EXPECT_EQ(frames[10].matrix, AVCOL_SPC_BT709);
}

INSTANTIATE_TEST_SUITE_P(Greys, HighDynamicRange,
                         testing::Values(HdrCase{"PqMiddle", "smpte2084", 512, 0},
                                         HdrCase{"PqWhite", "smpte2084", 573, 0},
                                         HdrCase{"Pq1000Nits", "smpte2084", 723, 0},
                                         HdrCase{"Pq1000NitsOf4000", "smpte2084", 723, 4000},
                                         HdrCase{"PqWhiteOf4000", "smpte2084", 573, 4000},
                                         HdrCase{"HlgMiddle", "arib-std-b67", 512, 0},
                                         HdrCase{"HlgWhite", "arib-std-b67", 722, 0},
                                         HdrCase{"Hlg1000Nits", "arib-std-b67", 940, 0}),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(Preparer, MakesFullRangeLimited) {
  const auto path = made_video(
      "full.avi",
      "-f lavfi -i color=white:size=320x180:rate=25:duration=1 -pix_fmt yuvj420p -c:v mjpeg -q:v 2");
  const auto frames = decode_rung(encode_film(path, small_ladder()), 0);
  EXPECT_NEAR(frames[5].luma, 235, 2);
}

}  // namespace
}  // namespace spool::media
