// NAL units of H.264 (ITU-T H.264 annex B, ISO/IEC 14496-15) and HEVC (ITU-T H.265): between start codes and
// lengths, and the decoder configuration records. Pure functions over hostile bytes, thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/error.h"
#include "media/sample.h"

namespace spool::media {

// The units between start codes, without them and without trailing zeros. Views into `stream`.
[[nodiscard]] std::vector<std::span<const std::byte>> nal_units(std::span<const std::byte> stream);

// An Annex B access unit with four-byte lengths instead of start codes. `keep` (may be null) picks units by
// their first byte; parameter sets that stand in the init segment are left out with it.
[[nodiscard]] Bytes length_prefixed(std::span<const std::byte> annex_b,
                                    bool (*keep)(std::uint8_t first_byte) = nullptr);

// AVCDecoderConfigurationRecord / HEVCDecoderConfigurationRecord out of extradata in either form (a record is
// passed on). Errors: kCorruptInput when parameter sets are missing or cut off.
[[nodiscard]] Result<Bytes> avc_configuration(std::span<const std::byte> extradata);
[[nodiscard]] Result<Bytes> hevc_configuration(std::span<const std::byte> extradata);

// Inside a NAL unit 00 00 03 stands for 00 00.
[[nodiscard]] Bytes without_emulation_prevention(std::span<const std::byte> unit);

// Bits, most significant first. Past the end it gives zeros and clears ok().
class BitReader {
 public:
  explicit BitReader(std::span<const std::byte> bytes) : bytes_(bytes) {}
  [[nodiscard]] std::uint32_t bits(int count);
  [[nodiscard]] std::uint32_t exp_golomb();
  void skip(int count) { static_cast<void>(bits(count)); }
  [[nodiscard]] bool ok() const { return ok_; }

 private:
  std::span<const std::byte> bytes_;
  std::size_t at_ = 0;  // bit
  bool ok_ = true;
};

}  // namespace spool::media
