#include "media/probe_stream.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>

#include "av/rational.h"
#include "base/utf8.h"
#include "media/picture.h"
#include "media/probe.h"

extern "C" {
#include <libavutil/channel_layout.h>
#include <libavutil/dovi_meta.h>
#include <libavutil/pixdesc.h>
}

namespace spool::media {
namespace {

constexpr int kMostTags = 100;
constexpr double kMostSeconds = 366.0 * 86400;

bool is_personal(std::string key) {
  std::transform(key.begin(), key.end(), key.begin(), [](unsigned char c) { return std::tolower(c); });
  constexpr std::array<std::string_view, 12> kParts = {"location", "gps",       "xyz",       "loci",
                                                       "latitude", "longitude", "make",      "model",
                                                       "device",   "serial",    "quicktime", "android"};
  return std::any_of(kParts.begin(), kParts.end(),
                     [&](std::string_view part) { return key.find(part) != std::string::npos; });
}

Json ratio_json(AVRational value) {
  return av::positive(value) ? Json{value.num, value.den} : Json();
}

Json positive_json(std::int64_t value) {
  return value > 0 ? Json(value) : Json();
}

Json dispositions(int flags) {
  Json names = Json::array();
  for (unsigned bit = 0; bit < 31; ++bit)
    if ((flags & (1 << bit)) != 0)
      if (const char* name = av_disposition_to_string(1 << bit)) names.push_back(name);
  return names;
}

const char* field_order_name(AVFieldOrder order) {
  switch (order) {
    case AV_FIELD_PROGRESSIVE:
      return "progressive";
    case AV_FIELD_TT:
      return "tff";
    case AV_FIELD_BB:
      return "bff";
    case AV_FIELD_TB:
      return "tff, coded bottom first";
    case AV_FIELD_BT:
      return "bff, coded top first";
    default:
      return nullptr;
  }
}

const AVDOVIDecoderConfigurationRecord* dolby_vision(const AVStream& stream) {
  std::size_t bytes = 0;
  const auto* record = reinterpret_cast<const AVDOVIDecoderConfigurationRecord*>(
      av_stream_get_side_data(&stream, AV_PKT_DATA_DOVI_CONF, &bytes));
  return record != nullptr && bytes >= sizeof *record ? record : nullptr;
}

Json hdr_json(const AVStream& stream, const PictureEvidence* pictures) {
  Json hdr = pictures != nullptr ? pictures->light() : Json();
  if (const auto* vision = dolby_vision(stream))
    hdr["dolby_vision"] = {{"profile", vision->dv_profile},
                           {"level", vision->dv_level},
                           {"compatibility", vision->dv_bl_signal_compatibility_id}};
  const int transfer = stream.codecpar->color_trc;
  if (transfer == AVCOL_TRC_SMPTE2084) hdr["transfer"] = "pq";
  if (transfer == AVCOL_TRC_ARIB_STD_B67) hdr["transfer"] = "hlg";
  return hdr;
}

void describe_format(const AVCodecParameters& p, Json& json) {
  const auto format = static_cast<AVPixelFormat>(p.format);
  const AVPixFmtDescriptor* descriptor = av_pix_fmt_desc_get(format);
  if (descriptor == nullptr) return;
  json["pixel_format"] = descriptor->name;
  json["bit_depth"] = descriptor->comp[0].depth;
  const bool rgb = (descriptor->flags & (AV_PIX_FMT_FLAG_RGB | AV_PIX_FMT_FLAG_PAL)) != 0;
  if (rgb || descriptor->nb_components < 3) return;
  const int w = descriptor->log2_chroma_w, h = descriptor->log2_chroma_h;
  json["chroma"] = w == 1 && h == 1   ? "4:2:0"
                   : w == 1 && h == 0 ? "4:2:2"
                   : w == 0 && h == 0 ? "4:4:4"
                   : w == 2 && h == 0 ? "4:1:1"
                   : w == 2 && h == 2 ? "4:1:0"
                   : w == 0 && h == 1 ? "4:4:0"
                                      : "other";
}

void describe_video(const AVStream& stream, const PacketSurvey& survey, const PictureEvidence* pictures,
                    Json& json) {
  const AVCodecParameters& p = *stream.codecpar;
  Picture picture = described_by_container(stream);
  // Nobody films with such pixels; it would only make absurd sizes.
  if (const double wide = picture.sample_aspect.value(); !(wide > 1.0 / 64 && wide < 64))
    picture.sample_aspect = {1, 1};
  const Size shown = picture.shown();
  json["width"] = p.width;
  json["height"] = p.height;
  json["sample_aspect"] = {picture.sample_aspect.num, picture.sample_aspect.den};
  json["rotation"] = picture.rotation;
  json["mirrored"] = picture.mirrored;
  json["shown_width"] = shown.width;
  json["shown_height"] = shown.height;
  AVRational aspect{0, 1};
  if (p.width > 0 && p.height > 0)
    av_reduce(&aspect.num, &aspect.den, picture.sample_aspect.num * p.width,
              picture.sample_aspect.den * p.height, 1 << 16);
  json["display_aspect"] = ratio_json(aspect);
  describe_format(p, json);
  json["colour"] =
      pictures != nullptr && pictures->frames() > 0
          ? pictures->colour()
          : colour_json(p.color_primaries, p.color_trc, p.color_space, p.color_range, p.chroma_location);
  const char* order = field_order_name(p.field_order);
  json["field_order"] = order != nullptr ? Json(order) : Json();
  json["reorder_delay"] = p.video_delay;
  json["average_rate"] = ratio_json(stream.avg_frame_rate);
  json["claimed_rate"] = ratio_json(stream.r_frame_rate);
  const Json rate = survey.rate(stream.time_base, {stream.avg_frame_rate, stream.r_frame_rate});
  json["rate_mode"] = rate.is_null() ? Json() : rate["mode"];
  json["frame_rate"] = rate.is_null() ? Json() : rate["rate"];
  json["gop"] = survey.gop(stream.time_base);
  json["hidden_frames"] = survey.hidden();
  json["hdr"] = hdr_json(stream, pictures);
  if (pictures != nullptr) json["scan"] = pictures->scan();
}

void describe_audio(const AVStream& stream, Json& json) {
  const AVCodecParameters& p = *stream.codecpar;
  json["sample_rate"] = positive_json(p.sample_rate);
  json["channels"] = positive_json(p.ch_layout.nb_channels);
  char layout[128] = {};
  if (p.ch_layout.nb_channels > 0 && av_channel_layout_describe(&p.ch_layout, layout, sizeof layout) > 0)
    json["layout"] = clean_text(layout);
  const char* format = av_get_sample_fmt_name(static_cast<AVSampleFormat>(p.format));
  json["sample_format"] = format != nullptr ? Json(format) : Json();
  json["bits_per_sample"] = positive_json(std::max(p.bits_per_raw_sample, p.bits_per_coded_sample));
  json["priming_samples"] = std::max(0, p.initial_padding);
}

Json bit_rate_json(const AVStream& stream, const PacketSurvey& survey, bool whole) {
  if (stream.codecpar->bit_rate > 0) return stream.codecpar->bit_rate;
  const double seconds = survey.seconds(stream.time_base);
  if (!whole || seconds <= 0) return nullptr;
  return std::llround(static_cast<double>(survey.bytes()) * 8 / seconds);
}

}  // namespace

Json seconds_json(std::int64_t ticks, AVRational time_base) {
  const auto value = av::seconds(ticks, time_base);
  if (!value || !std::isfinite(*value) || std::abs(*value) > kMostSeconds) return nullptr;
  return *value;
}

Json tags_json(const AVDictionary* tags, bool personal) {
  Json json = Json::object();
  const AVDictionaryEntry* entry = nullptr;
  int count = 0;
  while ((entry = av_dict_get(tags, "", entry, AV_DICT_IGNORE_SUFFIX)) != nullptr && count < kMostTags) {
    if (!personal && is_personal(entry->key)) continue;
    json[clean_text(entry->key, 64)] = clean_text(entry->value);
    ++count;
  }
  return json;
}

std::string_view type_name(const AVStream& stream) {
  const char* type = av_get_media_type_string(stream.codecpar->codec_type);
  return type != nullptr ? type : "unknown";
}

Json stream_json(const AVStream& stream, const PacketSurvey& survey, const PictureEvidence* pictures,
                 bool whole, bool personal) {
  const AVCodecParameters& p = *stream.codecpar;
  const char* profile = avcodec_profile_name(p.codec_id, p.profile);
  Json tags = tags_json(stream.metadata, personal);
  Json json = {{"index", stream.index},
               {"type", type_name(stream)},
               {"codec", avcodec_get_name(p.codec_id)},
               {"profile", profile != nullptr ? Json(profile) : Json()},
               {"level", p.level > 0 ? Json(p.level) : Json()},
               {"language", tags.value("language", Json())},
               {"disposition", dispositions(stream.disposition)},
               {"time_base", ratio_json(stream.time_base)},
               {"start", seconds_json(stream.start_time, stream.time_base)},
               {"duration", seconds_json(stream.duration, stream.time_base)},
               {"bit_rate", bit_rate_json(stream, survey, whole)},
               {"packets", survey.packets()},
               {"tags", std::move(tags)}};
  if (const double seconds = survey.seconds(stream.time_base);
      json["duration"].is_null() && whole && seconds > 0)
    json["duration"] = seconds;
  if (p.codec_type == AVMEDIA_TYPE_VIDEO) describe_video(stream, survey, pictures, json);
  if (p.codec_type == AVMEDIA_TYPE_AUDIO) describe_audio(stream, json);
  return json;
}

}  // namespace spool::media
