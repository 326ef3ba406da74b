#include "media/picture.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "av/decoder.h"

extern "C" {
#include <libavutil/display.h>
#include <libavutil/dovi_meta.h>
#include <libavutil/mastering_display_metadata.h>
#include <libavutil/pixdesc.h>
}

namespace spool::media {
namespace {

// Fields may begin to differ after a while; where the stream's headers say that there are none, colour and
// size are all that is looked for.
constexpr int kFramesToLookAt = 8;
constexpr int kProgressiveFramesToLookAt = 1;
constexpr int kPacketsToTry = 300;

void read_display_matrix(const AVStream& stream, Picture& picture) {
  std::size_t bytes = 0;
  const auto* stored = reinterpret_cast<const std::int32_t*>(
      av_stream_get_side_data(&stream, AV_PKT_DATA_DISPLAYMATRIX, &bytes));
  if (stored == nullptr || bytes < 9 * sizeof(std::int32_t)) return;
  std::int32_t matrix[9];
  std::copy_n(stored, 9, matrix);
  const double determinant =
      static_cast<double>(matrix[0]) * matrix[4] - static_cast<double>(matrix[1]) * matrix[3];
  picture.mirrored = determinant < 0;
  if (picture.mirrored) av_display_matrix_flip(matrix, 1, 0);
  const double counter_clockwise = av_display_rotation_get(matrix);
  if (std::isnan(counter_clockwise)) return;
  const int quarter_turns = static_cast<int>(std::lround(-counter_clockwise / 90));
  picture.rotation = ((quarter_turns % 4) + 4) % 4 * 90;
}

Result<void> refuse_dolby_vision_5(const AVStream& stream, const std::string& name) {
  std::size_t bytes = 0;
  const auto* dovi = reinterpret_cast<const AVDOVIDecoderConfigurationRecord*>(
      av_stream_get_side_data(&stream, AV_PKT_DATA_DOVI_CONF, &bytes));
  if (dovi != nullptr && bytes >= sizeof *dovi && dovi->dv_profile == 5)
    return fail(
        Code::kUnsupported,
        fmt::format("{}: Dolby Vision profile 5 has no base layer that can be shown without Dolby's own "
                    "processing; export it as profile 8 or HDR10",
                    name));
  return {};
}

double peak_of(const AVFrame& frame) {
  if (const auto* side = av_frame_get_side_data(&frame, AV_FRAME_DATA_CONTENT_LIGHT_LEVEL))
    if (const auto* light = reinterpret_cast<const AVContentLightMetadata*>(side->data); light->MaxCLL > 0)
      return light->MaxCLL;
  if (const auto* side = av_frame_get_side_data(&frame, AV_FRAME_DATA_MASTERING_DISPLAY_METADATA))
    if (const auto* master = reinterpret_cast<const AVMasteringDisplayMetadata*>(side->data);
        master->has_luminance)
      return av_q2d(master->max_luminance);
  return 0;
}

void read_frame_facts(const AVFrame& frame, Picture& picture) {
  picture.width = frame.width;
  picture.height = frame.height;
  const auto format = static_cast<AVPixelFormat>(frame.format);
  if (const char* name = av_get_pix_fmt_name(format)) picture.format = name;
  if (frame.sample_aspect_ratio.num > 0 && frame.sample_aspect_ratio.den > 0 &&
      picture.sample_aspect == Ratio{1, 1})
    picture.sample_aspect = {frame.sample_aspect_ratio.num, frame.sample_aspect_ratio.den};
  if (frame.color_primaries != AVCOL_PRI_UNSPECIFIED) picture.primaries = frame.color_primaries;
  if (frame.color_trc != AVCOL_TRC_UNSPECIFIED) picture.transfer = frame.color_trc;
  if (frame.colorspace != AVCOL_SPC_UNSPECIFIED) picture.matrix = frame.colorspace;
  if (frame.color_range != AVCOL_RANGE_UNSPECIFIED)
    picture.full_range = frame.color_range == AVCOL_RANGE_JPEG;
  // The yuvj formats say full range by their name.
  if (picture.format.starts_with("yuvj")) picture.full_range = true;
  if (frame.interlaced_frame != 0) picture.interlaced = true;
  picture.peak_nits = std::max(picture.peak_nits, peak_of(frame));
}

Result<int> look_at_frames(AVFormatContext& input, const AVStream& stream, AVCodecContext& decoder,
                           Picture& picture) {
  const av::Packet packet = av::make_packet();
  const av::Frame frame = av::make_frame();
  const bool progressive = stream.codecpar->field_order == AV_FIELD_PROGRESSIVE;
  const int wanted = progressive ? kProgressiveFramesToLookAt : kFramesToLookAt;
  int seen = 0;
  const auto receive = [&] {
    while (avcodec_receive_frame(&decoder, frame.get()) >= 0) {
      read_frame_facts(*frame, picture);
      ++seen;
    }
  };
  bool draining = false, hurried = wanted > 1;
  for (int tried = 0; seen < wanted && tried < kPacketsToTry; ++tried) {
    av_packet_unref(packet.get());
    const int err = av_read_frame(&input, packet.get());
    if (err == AVERROR_EXIT) return av::fail_av(err, "reading the first frames");
    draining = err < 0;
    if (!draining && packet->stream_index != stream.index) continue;
    // What does not decode is looked over here: the encoder's pass reports it.
    static_cast<void>(avcodec_send_packet(&decoder, draining ? nullptr : packet.get()));
    receive();
    if (draining) break;
    // A keyframe that is only held back, to be reordered: playing waits for the plan, and the plan for this.
    if (seen == 0 && (packet->flags & AV_PKT_FLAG_KEY) != 0 && !std::exchange(hurried, true)) {
      static_cast<void>(avcodec_send_packet(&decoder, nullptr));
      receive();
      avcodec_flush_buffers(&decoder);
    }
  }
  picture.delay = std::max(decoder.has_b_frames, stream.codecpar->video_delay);
  return seen;
}

}  // namespace

Size Picture::shown() const {
  double w = width;
  if (sample_aspect.num > 0 && sample_aspect.den > 0) w = w * sample_aspect.value();
  Size size{std::max(1, static_cast<int>(std::lround(w))), height};
  if (rotation % 180 != 0) std::swap(size.width, size.height);
  return size;
}

bool Picture::hdr() const {
  return transfer == AVCOL_TRC_SMPTE2084 || transfer == AVCOL_TRC_ARIB_STD_B67;
}

std::optional<int> pick_video_stream(const AVFormatContext& input) {
  const auto rank = [](const AVStream& stream) {
    const bool preferred = (stream.disposition & AV_DISPOSITION_DEFAULT) != 0;
    return std::pair(preferred, static_cast<std::int64_t>(stream.codecpar->width) * stream.codecpar->height);
  };
  std::optional<int> best;
  for (unsigned i = 0; i < input.nb_streams; ++i) {
    const AVStream& stream = *input.streams[i];
    if (stream.codecpar->codec_type != AVMEDIA_TYPE_VIDEO) continue;
    if ((stream.disposition & (AV_DISPOSITION_ATTACHED_PIC | AV_DISPOSITION_TIMED_THUMBNAILS)) != 0) continue;
    if (!best || rank(stream) > rank(*input.streams[*best])) best = static_cast<int>(i);
  }
  return best;
}

Picture described_by_container(const AVStream& stream) {
  const AVCodecParameters& parameters = *stream.codecpar;
  Picture picture;
  picture.stream = stream.index;
  picture.codec = avcodec_get_name(parameters.codec_id);
  picture.width = parameters.width;
  picture.height = parameters.height;
  const AVRational aspect =
      stream.sample_aspect_ratio.num > 0 ? stream.sample_aspect_ratio : parameters.sample_aspect_ratio;
  if (aspect.num > 0 && aspect.den > 0) picture.sample_aspect = {aspect.num, aspect.den};
  picture.primaries = parameters.color_primaries;
  picture.transfer = parameters.color_trc;
  picture.matrix = parameters.color_space;
  picture.full_range = parameters.color_range == AVCOL_RANGE_JPEG;
  picture.interlaced = parameters.field_order > AV_FIELD_PROGRESSIVE;
  read_display_matrix(stream, picture);
  return picture;
}

Result<Picture> describe_picture(AVFormatContext& input, int index, const std::string& name,
                                 std::int64_t most_pixels) {
  const AVStream& stream = *input.streams[index];
  const AVCodecParameters& parameters = *stream.codecpar;
  SPOOL_TRY(refuse_dolby_vision_5(stream, name));
  SPOOL_ASSIGN(const av::Decoder decoder,
               av::Decoder::open(parameters, stream.time_base, {.most_pixels = most_pixels, .name = name}));
  Picture picture = described_by_container(stream);
  picture.codec = decoder.get()->codec->name;
  SPOOL_ASSIGN(const int seen, look_at_frames(input, stream, *decoder.get(), picture));
  if (seen == 0)
    return fail(Code::kCorruptInput,
                fmt::format("{}: none of its video ({}) can be decoded", name, picture.codec));
  return picture;
}

Json to_json(const Picture& p) {
  return {{"stream", p.stream},
          {"codec", p.codec},
          {"width", p.width},
          {"height", p.height},
          {"sample_aspect", {p.sample_aspect.num, p.sample_aspect.den}},
          {"rotation", p.rotation},
          {"mirrored", p.mirrored},
          {"interlaced", p.interlaced},
          {"format", p.format},
          {"primaries", p.primaries},
          {"transfer", p.transfer},
          {"matrix", p.matrix},
          {"full_range", p.full_range},
          {"peak_nits", p.peak_nits},
          {"delay", p.delay}};
}

Picture picture_from_json(const Json& j) {
  Picture p;
  p.stream = read_value<int>(j.at("stream"));
  p.codec = j.at("codec").get<std::string>();
  p.width = read_value<int>(j.at("width"));
  p.height = read_value<int>(j.at("height"));
  p.sample_aspect = {read_value<std::int64_t>(j.at("sample_aspect").at(0)),
                     read_value<std::int64_t>(j.at("sample_aspect").at(1))};
  p.rotation = read_value<int>(j.at("rotation"));
  p.mirrored = j.at("mirrored").get<bool>();
  p.interlaced = j.at("interlaced").get<bool>();
  p.format = j.at("format").get<std::string>();
  p.primaries = read_value<int>(j.at("primaries"));
  p.transfer = read_value<int>(j.at("transfer"));
  p.matrix = read_value<int>(j.at("matrix"));
  p.full_range = j.at("full_range").get<bool>();
  p.peak_nits = j.at("peak_nits").get<double>();
  p.delay = read_value<int>(j.at("delay"));
  return p;
}

}  // namespace spool::media
