// The init segment: ftyp + moov (ISO/IEC 14496-12, -14, -15; brands of ISO/IEC 23000-19 7.2), and RFC 6381
// names.
#include <fmt/format.h>

#include "media/box.h"
#include "media/cmaf.h"
#include "media/nal.h"
#include "media/sample_entry.h"

extern "C" {
#include <libavutil/channel_layout.h>
}

namespace spool::media {
namespace {

std::span<const std::byte> extradata_of(const AVCodecParameters& codec) {
  return std::as_bytes(
      std::span(codec.extradata, static_cast<std::size_t>(std::max(codec.extradata_size, 0))));
}

void matrix(BoxWriter& out) {
  for (const std::uint32_t value : {0x10000u, 0u, 0u, 0u, 0x10000u, 0u, 0u, 0u, 0x40000000u}) out.u32(value);
}

// Five bits a letter, from 0x60 (ISO/IEC 14496-12 8.4.2.3).
std::uint16_t packed_language(const std::string& language) {
  const std::string code = language.size() == 3 ? language : "und";
  std::uint16_t packed = 0;
  for (const char c : code) packed = static_cast<std::uint16_t>(packed << 5 | ((c - 0x60) & 0x1f));
  return packed;
}

std::uint32_t u16(int value) {
  return static_cast<std::uint32_t>(std::clamp(value, 0, 0xffff));
}

void write_colour(BoxWriter& out, const AVCodecParameters& codec) {
  if (codec.color_primaries == AVCOL_PRI_UNSPECIFIED && codec.color_trc == AVCOL_TRC_UNSPECIFIED &&
      codec.color_space == AVCOL_SPC_UNSPECIFIED)
    return;
  const auto colr = out.box("colr");
  out.text("nclx");
  out.u16(static_cast<std::uint16_t>(codec.color_primaries));
  out.u16(static_cast<std::uint16_t>(codec.color_trc));
  out.u16(static_cast<std::uint16_t>(codec.color_space));
  out.u8(codec.color_range == AVCOL_RANGE_JPEG ? 0x80 : 0);
}

Result<void> write_visual_entry(BoxWriter& out, const AVCodecParameters& codec) {
  const bool avc = codec.codec_id == AV_CODEC_ID_H264;
  SPOOL_ASSIGN(const Bytes record,
               avc ? avc_configuration(extradata_of(codec)) : hevc_configuration(extradata_of(codec)));
  const auto entry = avc ? out.box("avc1") : out.box("hvc1");
  out.zeros(6);
  out.u16(1);  // data_reference_index
  out.zeros(16);
  out.u16(static_cast<std::uint16_t>(codec.width));
  out.u16(static_cast<std::uint16_t>(codec.height));
  out.u32(0x00480000);  // 72 dpi
  out.u32(0x00480000);
  out.u32(0);
  out.u16(1);  // frames a sample
  out.zeros(32);
  out.u16(0x18);
  out.u16(0xffff);
  {
    const auto configuration = avc ? out.box("avcC") : out.box("hvcC");
    out.raw(record);
  }
  write_colour(out, codec);
  const auto pasp = out.box("pasp");
  out.u32(static_cast<std::uint32_t>(std::max(codec.sample_aspect_ratio.num, 1)));
  out.u32(static_cast<std::uint32_t>(std::max(codec.sample_aspect_ratio.den, 1)));
  return {};
}

// ES_Descriptor (ISO/IEC 14496-1 7.2.6.5); all lengths here fit into one byte.
void write_esds(BoxWriter& out, const AVCodecParameters& codec) {
  const auto extradata = extradata_of(codec);
  const auto length = static_cast<std::uint8_t>(extradata.size());
  const auto bit_rate = static_cast<std::uint32_t>(std::clamp<std::int64_t>(codec.bit_rate, 0, UINT32_MAX));
  const auto esds = out.full_box("esds", 0, 0);
  out.u8(0x03);
  out.u8(static_cast<std::uint8_t>(3 + 2 + 13 + 2 + length + 3));
  out.u16(0);  // ES_ID
  out.u8(0);
  out.u8(0x04);
  out.u8(static_cast<std::uint8_t>(13 + 2 + length));
  out.u8(0x40);  // MPEG-4 audio
  out.u8(0x15);  // audio stream
  out.u24(0);    // buffer size: unsaid
  out.u32(bit_rate);
  out.u32(bit_rate);
  out.u8(0x05);
  out.u8(length);
  out.raw(extradata);
  out.u8(0x06);
  out.u8(1);
  out.u8(0x02);
}

Result<void> write_audio_entry(BoxWriter& out, const AVCodecParameters& codec) {
  if (codec.extradata_size < 2 || codec.extradata_size > 64)
    return fail(Code::kCorruptInput, "AAC: no usable AudioSpecificConfig");
  const auto entry = out.box("mp4a");
  out.zeros(6);
  out.u16(1);
  out.zeros(8);
  out.u16(static_cast<std::uint16_t>(codec.ch_layout.nb_channels));
  out.u16(16);
  out.u32(0);
  out.u32(u16(codec.sample_rate) << 16);
  write_esds(out, codec);
  return {};
}

Result<void> write_sample_table(BoxWriter& out, const AVCodecParameters& codec) {
  const auto stbl = out.box("stbl");
  SPOOL_TRY(write_sample_description(out, codec));
  for (int table = 0; table < 3; ++table) {
    const auto empty = table == 0   ? out.full_box("stts", 0, 0)
                       : table == 1 ? out.full_box("stsc", 0, 0)
                                    : out.full_box("stco", 0, 0);
    out.u32(0);
  }
  const auto stsz = out.full_box("stsz", 0, 0);
  out.u32(0);
  out.u32(0);
  return {};
}

}  // namespace

Result<void> write_sample_description(BoxWriter& out, const AVCodecParameters& codec) {
  const auto stsd = out.full_box("stsd", 0, 0);
  out.u32(1);
  switch (codec.codec_id) {
    case AV_CODEC_ID_H264:
    case AV_CODEC_ID_HEVC:
      return write_visual_entry(out, codec);
    case AV_CODEC_ID_AAC:
      return write_audio_entry(out, codec);
    default:
      return fail(Code::kUnsupported, fmt::format("{} cannot be packaged: H.264, HEVC and AAC can",
                                                  avcodec_get_name(codec.codec_id)));
  }
}

void write_movie_header(BoxWriter& out, std::uint32_t timescale, std::uint64_t duration,
                        std::uint32_t next_track) {
  const auto mvhd = out.full_box("mvhd", 1, 0);
  out.zeros(16);  // times of creation: none, or the bytes would differ
  out.u32(timescale);
  out.u64(duration);
  out.u32(0x10000);  // rate 1
  out.u16(0x100);    // volume 1
  out.zeros(10);
  matrix(out);
  out.zeros(24);
  out.u32(next_track);
}

void write_track_headers(BoxWriter& out, const TrackShape& track) {
  {
    const auto tkhd = out.full_box("tkhd", 1, track.enabled ? 3 : 2);
    out.zeros(16);
    out.u32(track.track_id);
    out.u32(0);
    out.u64(track.movie_duration);
    out.zeros(8);
    out.u16(0);
    out.u16(track.video ? 0 : track.alternate_group);
    out.u16(track.video ? 0 : 0x100);
    out.u16(0);
    matrix(out);
    out.u32(u16(track.width) << 16);
    out.u32(u16(track.height) << 16);
  }
  if (track.edits.empty()) return;
  const auto edts = out.box("edts");
  const auto elst = out.full_box("elst", 1, 0);
  out.u32(static_cast<std::uint32_t>(track.edits.size()));
  for (const Edit& edit : track.edits) {
    out.u64(edit.movie_duration);
    out.u64(static_cast<std::uint64_t>(edit.media_time));
    out.u32(0x10000);
  }
}

void write_media_headers(BoxWriter& out, const TrackShape& track) {
  {
    const auto mdhd = out.full_box("mdhd", 1, 0);
    out.zeros(16);
    out.u32(track.timescale);
    out.u64(track.media_duration);
    out.u16(packed_language(track.language));
    out.u16(0);
  }
  const auto hdlr = out.full_box("hdlr", 0, 0);
  out.u32(0);
  out.text(track.video ? "vide" : "soun");
  out.zeros(12);
  out.text(track.video ? "Video" : "Audio");
  out.u8(0);
}

void write_media_information(BoxWriter& out, bool video) {
  if (video) {
    const auto vmhd = out.full_box("vmhd", 0, 1);
    out.zeros(8);
  } else {
    const auto smhd = out.full_box("smhd", 0, 0);
    out.zeros(4);
  }
  const auto dinf = out.box("dinf");
  const auto dref = out.full_box("dref", 0, 0);
  out.u32(1);
  const auto url = out.full_box("url ", 0, 1);  // in this file
}

Result<Bytes> cmaf_init_segment(const AVCodecParameters& codec, const CmafTrack& track) {
  const bool video = codec.codec_type == AVMEDIA_TYPE_VIDEO;
  BoxWriter out;
  {
    const auto ftyp = out.box("ftyp");
    out.text("cmfc");
    out.u32(0);
    for (const char* brand : {"iso6", "cmfc", "dash", "mp41"}) out.text(brand);
  }
  {
    const auto moov = out.box("moov");
    write_movie_header(out, track.timescale, 0, track.track_id + 1);
    {
      TrackShape shape;
      shape.track_id = track.track_id;
      shape.video = video;
      shape.timescale = track.timescale;
      shape.language = track.language;
      shape.width = codec.width;
      shape.height = codec.height;
      if (track.shift != 0) shape.edits.push_back({0, track.shift});
      const auto trak = out.box("trak");
      write_track_headers(out, shape);
      const auto mdia = out.box("mdia");
      write_media_headers(out, shape);
      const auto minf = out.box("minf");
      write_media_information(out, video);
      SPOOL_TRY(write_sample_table(out, codec));
    }
    const auto mvex = out.box("mvex");
    const auto trex = out.full_box("trex", 0, 0);
    out.u32(track.track_id);
    out.u32(1);
    out.zeros(12);
  }
  return out.take();
}

Result<std::string> codec_string(const AVCodecParameters& codec) {
  if (codec.codec_id == AV_CODEC_ID_H264) {
    SPOOL_ASSIGN(const Bytes record, avc_configuration(extradata_of(codec)));
    return codec_string_of_record(fourcc("avc1"), record);
  }
  if (codec.codec_id == AV_CODEC_ID_HEVC) {
    SPOOL_ASSIGN(const Bytes record, hevc_configuration(extradata_of(codec)));
    return codec_string_of_record(fourcc("hvc1"), record);
  }
  if (codec.codec_id == AV_CODEC_ID_AAC) return codec_string_of_record(fourcc("mp4a"), extradata_of(codec));
  return fail(Code::kUnsupported,
              fmt::format("{} has no codec string here", avcodec_get_name(codec.codec_id)));
}

// ISO/IEC 14496-15 annex E for HEVC.
Result<std::string> codec_string_of_record(std::uint32_t entry, std::span<const std::byte> record) {
  FieldReader in(record);
  if (entry == fourcc("avc1")) {
    in.skip(1);
    const std::uint64_t profile = in.read(3);
    if (!in.ok()) return fail(Code::kCorruptInput, "avcC is cut off");
    return fmt::format("avc1.{:06x}", profile);
  }
  if (entry == fourcc("hvc1")) {
    in.skip(1);
    const unsigned first = in.u8();
    const std::uint32_t compatibility = in.u32();
    const std::uint64_t constraints = in.read(6);
    const unsigned level = in.u8();
    if (!in.ok()) return fail(Code::kCorruptInput, "hvcC is cut off");
    std::uint32_t reversed = 0;
    for (int i = 0; i < 32; ++i) reversed |= (compatibility >> i & 1) << (31 - i);
    static constexpr const char* kSpaces[] = {"", "A", "B", "C"};
    std::string text = fmt::format("hvc1.{}{}.{:X}.{}{}", kSpaces[first >> 6], first & 0x1f, reversed,
                                   (first & 0x20) != 0 ? 'H' : 'L', level);
    for (int shift = 40; shift >= 0 && (constraints & ((1ull << (shift + 8)) - 1)) != 0; shift -= 8)
      text += fmt::format(".{:X}", constraints >> shift & 0xff);
    return text;
  }
  BitReader bits(record);
  std::uint32_t type = bits.bits(5);
  if (type == 31) type = 32 + bits.bits(6);
  if (!bits.ok()) return fail(Code::kCorruptInput, "AudioSpecificConfig is cut off");
  return fmt::format("mp4a.40.{}", type);
}

}  // namespace spool::media
