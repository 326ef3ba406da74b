// Reads our own CMAF segments back: for the progressive MP4, and for tests. The bytes may be hostile all the
// same. Pure functions, thread-safe. Errors: kCorruptInput naming the box; kUnsupported for what we never
// write.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "media/sample.h"

namespace spool::media {

struct InitSegment {
  std::uint32_t track_id = 0;
  std::uint32_t timescale = 0;
  bool video = false;
  std::string language = "und";
  int width = 0, height = 0;
  std::int64_t shift = 0;    // the edit's media time
  Bytes sample_description;  // the whole stsd box
  std::string codecs;        // RFC 6381
  std::uint32_t sample_rate = 0;
  int channels = 0;
};
[[nodiscard]] Result<InitSegment> read_init_segment(std::span<const std::byte> bytes);

struct StoredSample {
  std::uint64_t offset = 0;  // of its first byte, in the segment
  std::uint32_t size = 0;
  std::uint32_t duration = 0;    // until the next decode time
  std::int32_t composition = 0;  // pts - dts
  bool sync = false;
};
struct StoredFragment {
  std::uint64_t offset = 0;  // of its moof
  std::uint64_t size = 0;    // moof + mdat
  std::uint32_t sequence = 0;
  std::uint64_t decode_time = 0;  // tfdt
  std::vector<StoredSample> samples;
};
// A whole segment, or a byte range of one.
[[nodiscard]] Result<std::vector<StoredFragment>> read_segment(std::span<const std::byte> bytes);
// The same without reading the media: only the headers are fetched.
[[nodiscard]] Result<std::vector<StoredFragment>> read_segment(const ByteSource& segment);

// Errors: kCorruptInput when the source ends before.
[[nodiscard]] Result<void> read_exactly(const ByteSource& source, std::uint64_t offset,
                                        std::span<std::byte> into);

}  // namespace spool::media
