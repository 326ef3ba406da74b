#include "media/nal.h"

#include <algorithm>

#include "media/box.h"

namespace spool::media {
namespace {

using View = std::span<const std::byte>;

constexpr int kAvcSps = 7, kAvcPps = 8;
constexpr int kHevcVps = 32, kHevcSps = 33, kHevcPps = 34;

std::uint8_t at(View bytes, std::size_t i) {
  return std::to_integer<std::uint8_t>(bytes[i]);
}

// Index of the next 00 00 01 at or after `from`, or the size.
std::size_t start_code(View stream, std::size_t from) {
  for (std::size_t i = from; i + 3 <= stream.size(); ++i) {
    if (at(stream, i) == 0 && at(stream, i + 1) == 0 && at(stream, i + 2) == 1) return i;
  }
  return stream.size();
}

std::vector<View> of_type(const std::vector<View>& units, int (*type)(std::uint8_t), int wanted) {
  std::vector<View> found;
  std::ranges::copy_if(units, std::back_inserter(found),
                       [&](View unit) { return type(at(unit, 0)) == wanted; });
  return found;
}
int avc_type(std::uint8_t first) {
  return first & 0x1f;
}
int hevc_type(std::uint8_t first) {
  return first >> 1 & 0x3f;
}

void sized(BoxWriter& out, View unit) {
  out.u16(static_cast<std::uint16_t>(unit.size()));
  out.raw(unit);
}

bool too_long(const std::vector<View>& units) {
  return units.size() > 31 || std::ranges::any_of(units, [](View unit) { return unit.size() > 0xffff; });
}

struct HevcSps {
  std::uint8_t sub_layers = 1;
  bool nested = false;
  Bytes profile_tier_level;  // 12 bytes
  std::uint32_t chroma = 1, luma_depth = 8, chroma_depth = 8;
};

// ITU-T H.265 7.3.2.2, as far as the record needs it.
Result<HevcSps> parse_hevc_sps(View unit) {
  const Bytes plain = without_emulation_prevention(unit);
  HevcSps sps;
  if (plain.size() < 16) return fail(Code::kCorruptInput, "HEVC: the SPS is cut off");
  sps.sub_layers = static_cast<std::uint8_t>((at(plain, 2) >> 1 & 7) + 1);
  sps.nested = (at(plain, 2) & 1) != 0;
  sps.profile_tier_level.assign(plain.begin() + 3, plain.begin() + 15);
  BitReader bits(View(plain).subspan(15));
  const int below = sps.sub_layers - 1;
  bool profile[8] = {}, level[8] = {};
  for (int i = 0; i < below; ++i) {
    profile[i] = bits.bits(1) != 0;
    level[i] = bits.bits(1) != 0;
  }
  if (below > 0) bits.skip(2 * (8 - below));
  for (int i = 0; i < below; ++i) {
    for (int j = 0; profile[i] && j < 11; ++j) bits.skip(8);
    if (level[i]) bits.skip(8);
  }
  static_cast<void>(bits.exp_golomb());  // sps_seq_parameter_set_id
  sps.chroma = bits.exp_golomb();
  if (sps.chroma == 3) bits.skip(1);
  static_cast<void>(bits.exp_golomb());  // width
  static_cast<void>(bits.exp_golomb());  // height
  if (bits.bits(1) != 0)
    for (int i = 0; i < 4; ++i) static_cast<void>(bits.exp_golomb());  // conformance window
  sps.luma_depth = bits.exp_golomb() + 8;
  sps.chroma_depth = bits.exp_golomb() + 8;
  if (!bits.ok() || sps.chroma > 3 || sps.luma_depth > 16 || sps.chroma_depth > 16)
    return fail(Code::kCorruptInput, "HEVC: the SPS makes no sense");
  return sps;
}

}  // namespace

std::vector<View> nal_units(View stream) {
  std::vector<View> units;
  std::size_t begin = start_code(stream, 0);
  while (begin < stream.size()) {
    const std::size_t next = start_code(stream, begin + 3);
    std::size_t end = next;
    while (end > begin + 3 && at(stream, end - 1) == 0) --end;
    if (end > begin + 3) units.push_back(stream.subspan(begin + 3, end - begin - 3));
    begin = next;
  }
  return units;
}

Bytes length_prefixed(View annex_b, bool (*keep)(std::uint8_t)) {
  BoxWriter out;
  out.reserve(annex_b.size() + 16);
  for (const View unit : nal_units(annex_b)) {
    if (keep != nullptr && !keep(at(unit, 0))) continue;
    out.u32(static_cast<std::uint32_t>(unit.size()));
    out.raw(unit);
  }
  return out.take();
}

Bytes without_emulation_prevention(View unit) {
  Bytes plain;
  plain.reserve(unit.size());
  int zeros = 0;
  for (const std::byte b : unit) {
    if (zeros >= 2 && b == std::byte(3)) {
      zeros = 0;
      continue;
    }
    zeros = b == std::byte(0) ? zeros + 1 : 0;
    plain.push_back(b);
  }
  return plain;
}

std::uint32_t BitReader::bits(int count) {
  std::uint32_t value = 0;
  for (int i = 0; i < count; ++i, ++at_) {
    if (at_ / 8 >= bytes_.size()) {
      ok_ = false;
      return 0;
    }
    value = value << 1 | (std::to_integer<unsigned>(bytes_[at_ / 8]) >> (7 - at_ % 8) & 1);
  }
  return value;
}

std::uint32_t BitReader::exp_golomb() {
  int zeros = 0;
  while (ok_ && bits(1) == 0) {
    if (++zeros > 31) ok_ = false;
  }
  return ok_ ? (1u << zeros) - 1 + bits(zeros) : 0;
}

Result<Bytes> avc_configuration(View extradata) {
  if (extradata.size() >= 7 && at(extradata, 0) == 1) return Bytes(extradata.begin(), extradata.end());
  const auto units = nal_units(extradata);
  const auto sps = of_type(units, avc_type, kAvcSps);
  const auto pps = of_type(units, avc_type, kAvcPps);
  if (sps.empty() || pps.empty() || sps.front().size() < 4 || too_long(sps) || too_long(pps))
    return fail(Code::kCorruptInput, "H.264: no usable SPS and PPS");
  BoxWriter out;
  out.u8(1);
  out.raw(sps.front().subspan(1, 3));  // profile, constraints, level
  out.u8(0xfc | 3);                    // four-byte lengths
  out.u8(static_cast<std::uint8_t>(0xe0 | sps.size()));
  for (const View unit : sps) sized(out, unit);
  out.u8(static_cast<std::uint8_t>(pps.size()));
  for (const View unit : pps) sized(out, unit);
  const int profile = at(sps.front(), 1);
  if (profile == 100 || profile == 110 || profile == 122 || profile == 244) {
    // High profiles add chroma format and depths (ISO/IEC 14496-15 5.3.3.1.2).
    const Bytes plain = without_emulation_prevention(sps.front());
    BitReader bits(View(plain).subspan(4));
    static_cast<void>(bits.exp_golomb());
    const std::uint32_t chroma = bits.exp_golomb();
    if (chroma == 3) bits.skip(1);
    const std::uint32_t luma = bits.exp_golomb(), chroma_depth = bits.exp_golomb();
    if (!bits.ok() || chroma > 3 || luma > 6 || chroma_depth > 6)
      return fail(Code::kCorruptInput, "H.264: the SPS makes no sense");
    out.u8(static_cast<std::uint8_t>(0xfc | chroma));
    out.u8(static_cast<std::uint8_t>(0xf8 | luma));
    out.u8(static_cast<std::uint8_t>(0xf8 | chroma_depth));
    out.u8(0);
  }
  return out.take();
}

Result<Bytes> hevc_configuration(View extradata) {
  if (extradata.size() >= 23 && at(extradata, 0) == 1) return Bytes(extradata.begin(), extradata.end());
  const auto units = nal_units(extradata);
  const std::pair<int, std::vector<View>> sets[] = {{kHevcVps, of_type(units, hevc_type, kHevcVps)},
                                                    {kHevcSps, of_type(units, hevc_type, kHevcSps)},
                                                    {kHevcPps, of_type(units, hevc_type, kHevcPps)}};
  for (const auto& [type, list] : sets) {
    if (list.empty() || too_long(list)) return fail(Code::kCorruptInput, "HEVC: no usable VPS, SPS and PPS");
  }
  SPOOL_ASSIGN(const HevcSps sps, parse_hevc_sps(sets[1].second.front()));
  BoxWriter out;  // ISO/IEC 14496-15 8.3.3.1.2
  out.u8(1);
  out.raw(sps.profile_tier_level);
  out.u16(0xf000);  // min_spatial_segmentation_idc
  out.u8(0xfc);     // parallelismType
  out.u8(static_cast<std::uint8_t>(0xfc | sps.chroma));
  out.u8(static_cast<std::uint8_t>(0xf8 | (sps.luma_depth - 8)));
  out.u8(static_cast<std::uint8_t>(0xf8 | (sps.chroma_depth - 8)));
  out.u16(0);  // avgFrameRate: unsaid
  out.u8(static_cast<std::uint8_t>(sps.sub_layers << 3 | (sps.nested ? 4 : 0) | 3));
  out.u8(3);
  for (const auto& [type, list] : sets) {
    out.u8(static_cast<std::uint8_t>(0x80 | type));  // complete: none of this type in the samples
    out.u16(static_cast<std::uint16_t>(list.size()));
    for (const View unit : list) sized(out, unit);
  }
  return out.take();
}

}  // namespace spool::media
