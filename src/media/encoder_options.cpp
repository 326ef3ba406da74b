#include "media/encoder_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "media/colour.h"

namespace spool::media {
namespace {

// keyint: above any chunk, IDRs come from the plan alone. stitchable: headers do not depend on the content.
// cpu-independent: the same choices on every processor.
constexpr char kX264Parameters[] =
    "keyint=infinite:scenecut=0:open-gop=0:stitchable=1:cpu-independent=1:sliced-threads=0:sync-lookahead=0:"
    "lookahead-threads=1";
// One thread. open-gop=0: else forced keyframes become CRA.
constexpr char kX265Parameters[] =
    "keyint=-1:min-keyint=1:scenecut=0:open-gop=0:pools=none:frame-threads=1:wpp=0:pmode=0:pme=0:info=0:"
    "repeat-headers=0:hrd=0:log-level=error";

struct Level {
  int idc;
  std::int64_t macroblocks_per_second, macroblocks, dpb_macroblocks, kilobits, buffer_kilobits;
};
constexpr Level kLevels[] = {
    {10, 1485, 99, 396, 64, 175},
    {11, 3000, 396, 900, 192, 500},
    {12, 6000, 396, 2376, 384, 1000},
    {13, 11880, 396, 2376, 768, 2000},
    {20, 11880, 396, 2376, 2000, 2000},
    {21, 19800, 792, 4752, 4000, 4000},
    {22, 20250, 1620, 8100, 4000, 4000},
    {30, 40500, 1620, 8100, 10000, 10000},
    {31, 108000, 3600, 18000, 14000, 14000},
    {32, 216000, 5120, 20480, 20000, 20000},
    {40, 245760, 8192, 32768, 20000, 25000},
    {41, 245760, 8192, 32768, 50000, 62500},
    {42, 522240, 8704, 34816, 50000, 62500},
    {50, 589824, 22080, 110400, 135000, 135000},
    {51, 983040, 36864, 184320, 240000, 240000},
    {52, 2073600, 36864, 184320, 240000, 240000},
    {60, 4177920, 139264, 696320, 240000, 240000},
    {61, 8355840, 139264, 696320, 480000, 480000},
};
constexpr std::int64_t kHighProfile = 1250;   // bits for each of the table's (cpbBrVclFactor)
constexpr std::int64_t kReferenceFrames = 4;  // what the presets need with a B-pyramid

AVRational encoder_time_base(const Film& film) {
  const std::int64_t ticks = encoder_ticks(film);
  const std::int64_t divisor = std::gcd(ticks, film.clock.timescale);
  return {static_cast<int>(ticks / divisor), static_cast<int>(film.clock.timescale / divisor)};
}

void describe(AVCodecContext& encoder, const Film& film, const PlannedRung& rung) {
  encoder.width = rung.size.width;
  encoder.height = rung.size.height;
  encoder.pix_fmt = AV_PIX_FMT_YUV420P;
  encoder.time_base = encoder_time_base(film);
  encoder.framerate =
      film.clock.frame_ticks > 0 ? av_inv_q(encoder.time_base) : av_d2q(film.rate.value(), 1001);
  encoder.sample_aspect_ratio = {1, 1};
  const OutputColour colour = output_colour(film.picture);
  encoder.color_primaries = static_cast<AVColorPrimaries>(colour.primaries);
  encoder.color_trc = static_cast<AVColorTransferCharacteristic>(colour.transfer);
  encoder.colorspace = static_cast<AVColorSpace>(colour.matrix);
  encoder.color_range = AVCOL_RANGE_MPEG;
  encoder.rc_max_rate = rung.rung.max_bits_per_second;
  // Of the declared buffer a third is kept for the joins: a chunk may end emptier than the next one begins.
  encoder.rc_buffer_size =
      static_cast<int>(std::min<std::int64_t>(rung.rung.buffer_bits * 2 / 3, 2'000'000'000));
  // A chunk begins as full as the chunk before it ends when the cap binds: a full buffer for each would add
  // up.
  encoder.rc_initial_buffer_occupancy = encoder.rc_buffer_size / 2;
  encoder.flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
  encoder.thread_count = 1;
}

}  // namespace

std::int64_t encoder_ticks(const Film& film) {
  return std::max<std::int64_t>(1, film.clock.frame_ticks);
}

int h264_level(Size size, double frames_per_second, std::int64_t max_bits_per_second,
               std::int64_t buffer_bits) {
  const std::int64_t wide = (size.width + 15) / 16, high = (size.height + 15) / 16;
  const std::int64_t macroblocks = wide * high;
  for (const Level& level : kLevels) {
    const bool long_side = std::max(wide, high) * std::max(wide, high) <= 8 * level.macroblocks;
    if (macroblocks <= level.macroblocks && long_side &&
        static_cast<double>(macroblocks) * frames_per_second <=
            static_cast<double>(level.macroblocks_per_second) &&
        macroblocks * kReferenceFrames <= level.dpb_macroblocks &&
        max_bits_per_second <= level.kilobits * kHighProfile &&
        buffer_bits <= level.buffer_kilobits * kHighProfile)
      return level.idc;
  }
  return 62;
}

Result<av::CodecContext> open_encoder(const Film& film, const PlannedRung& rung) {
  const bool hevc = rung.rung.codec == VideoCodec::kHevc;
  const char* name = hevc ? "libx265" : "libx264";
  const AVCodec* codec = avcodec_find_encoder_by_name(name);
  if (codec == nullptr) return fail(Code::kUnsupported, fmt::format("this FFmpeg has no {}", name));
  av::CodecContext encoder(avcodec_alloc_context3(codec));
  describe(*encoder, film, rung);
  av::Dictionary options;
  options.set("preset", film.speed == Speed::kBalanced ? "medium" : "veryfast");
  options.set("crf", fmt::format("{}", rung.rung.crf).c_str());
  options.set("forced-idr", "1");
  options.set(hevc ? "x265-params" : "x264-params", hevc ? kX265Parameters : kX264Parameters);
  if (!hevc) {
    options.set("profile", "high");
    encoder->level = h264_level(rung.size, film.highest_rate.value(), rung.rung.max_bits_per_second,
                                rung.rung.buffer_bits);
  }
  if (const int err = avcodec_open2(encoder.get(), codec, options.out()); err < 0)
    return av::fail_av(err, fmt::format("{} {}x{}", name, rung.size.width, rung.size.height));
  SPOOL_TRY(options.unused(name));
  return encoder;
}

}  // namespace spool::media
