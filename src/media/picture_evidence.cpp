#include "media/picture_evidence.h"

#include <cstdlib>

extern "C" {
#include <libavutil/mastering_display_metadata.h>
#include <libavutil/pixdesc.h>
}

namespace spool::media {
namespace {

Json named(const char* name) {
  return name == nullptr || std::string_view(name) == "unknown" || std::string_view(name) == "unspecified"
             ? Json()
             : Json(name);
}

Json number(AVRational value) {
  return value.den == 0 ? Json() : Json(av_q2d(value));
}

Json mastering_json(const AVMasteringDisplayMetadata& master) {
  Json json = Json::object();
  if (master.has_primaries != 0) {
    const char* names[] = {"red", "green", "blue"};
    for (int i = 0; i < 3; ++i)
      json[names[i]] = {number(master.display_primaries[i][0]), number(master.display_primaries[i][1])};
    json["white"] = {number(master.white_point[0]), number(master.white_point[1])};
  }
  if (master.has_luminance != 0) {
    json["min_nits"] = number(master.min_luminance);
    json["max_nits"] = number(master.max_luminance);
  }
  return json;
}

}  // namespace

Json colour_json(int primaries, int transfer, int matrix, int range, int chroma_location) {
  return {
      {"primaries", named(av_color_primaries_name(static_cast<AVColorPrimaries>(primaries)))},
      {"transfer", named(av_color_transfer_name(static_cast<AVColorTransferCharacteristic>(transfer)))},
      {"matrix", named(av_color_space_name(static_cast<AVColorSpace>(matrix)))},
      {"range", range == AVCOL_RANGE_JPEG   ? Json("full")
                : range == AVCOL_RANGE_MPEG ? Json("limited")
                                            : Json()},
      {"chroma_location", named(av_chroma_location_name(static_cast<AVChromaLocation>(chroma_location)))}};
}

void PictureEvidence::add(const AVFrame& frame) {
  if (frames_++ == 0) {
    colour_ = colour_json(frame.color_primaries, frame.color_trc, frame.colorspace, frame.color_range,
                          frame.chroma_location);
    if (frame.color_trc == AVCOL_TRC_SMPTE2084) light_["transfer"] = "pq";
    if (frame.color_trc == AVCOL_TRC_ARIB_STD_B67) light_["transfer"] = "hlg";
  }
  types_ += av_get_picture_type_char(frame.pict_type);
  if (frame.interlaced_frame != 0) {
    ++flagged_;
    top_first_ += frame.top_field_first != 0;
  }
  repeated_ += frame.repeat_pict > 0;
  if (const auto* side = av_frame_get_side_data(&frame, AV_FRAME_DATA_MASTERING_DISPLAY_METADATA))
    light_["mastering"] = mastering_json(*reinterpret_cast<const AVMasteringDisplayMetadata*>(side->data));
  if (const auto* side = av_frame_get_side_data(&frame, AV_FRAME_DATA_CONTENT_LIGHT_LEVEL)) {
    const auto& levels = *reinterpret_cast<const AVContentLightMetadata*>(side->data);
    light_["max_cll"] = levels.MaxCLL;
    light_["max_fall"] = levels.MaxFALL;
  }
  look_for_combs(frame);
}

// A line that differs from both its neighbours in the same direction, while they agree, is a tooth of a comb.
// Pictures without motion have none, so a few combed frames among many tell.
void PictureEvidence::look_for_combs(const AVFrame& frame) {
  const AVPixFmtDescriptor* format = av_pix_fmt_desc_get(static_cast<AVPixelFormat>(frame.format));
  constexpr int kNot =
      AV_PIX_FMT_FLAG_RGB | AV_PIX_FMT_FLAG_PAL | AV_PIX_FMT_FLAG_HWACCEL | AV_PIX_FMT_FLAG_BITSTREAM;
  if (format == nullptr || (format->flags & kNot) != 0 || format->comp[0].depth != 8 ||
      format->comp[0].step != 1 || frame.height < 16 || frame.width < 16 || frame.data[0] == nullptr)
    return;
  ++looked_at_;
  std::int64_t teeth = 0, looked = 0;
  for (int y = frame.height / 8; y < frame.height - 3; y += 2) {
    const std::uint8_t* line = frame.data[0] + static_cast<std::ptrdiff_t>(y) * frame.linesize[0];
    const std::uint8_t* next = line + frame.linesize[0];
    const std::uint8_t* after = next + frame.linesize[0];
    const std::uint8_t* last = after + frame.linesize[0];
    for (int x = 0; x < frame.width; x += 2, ++looked) {
      const int a = line[x], b = next[x], c = after[x], d = last[x];
      if (std::abs(a - c) < 12 && std::abs(b - d) < 12 && std::abs(a - b) > 30 && std::abs(c - d) > 30)
        ++teeth;
    }
  }
  if (looked > 0 && teeth * 1000 > looked * 4) ++combed_;
}

Json PictureEvidence::scan() const {
  if (frames_ == 0) return nullptr;
  const char* kind = "progressive";
  if (flagged_ > 0) kind = top_first_ == flagged_ ? "tff" : top_first_ == 0 ? "bff" : "mixed";
  return {{"kind", kind},
          {"frames", frames_},
          {"flagged", flagged_},
          {"combed", looked_at_ > 0 ? Json(combed_) : Json()},
          {"repeated_fields", repeated_},
          {"types", types_}};
}

}  // namespace spool::media
