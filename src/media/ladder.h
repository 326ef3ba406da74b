// Ladder: which renditions a film becomes. A document (ladders/*.yaml) turned into plain values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/json.h"

namespace spool::media {

enum class VideoCodec { kH264, kHevc };
enum class Speed { kFast, kBalanced };  // x264/x265 presets veryfast, medium

struct Rung {
  std::string name;    // "720p"
  int short_side = 0;  // pixels; 0: the source's own
  VideoCodec codec = VideoCodec::kH264;
  double crf = 23;
  std::int64_t max_bits_per_second = 0;  // VBV cap
  std::int64_t buffer_bits = 0;          // VBV size
  bool operator==(const Rung&) const = default;
};

struct Ladder {
  std::string name;
  std::vector<Rung> rungs;  // highest first
  std::int64_t audio_bits_per_second = 128000;
  double segment_seconds = 4;
  double gop_seconds = 2;  // IDR distance; divides segment_seconds
};

// The schema of a ladder document, and the document read. Errors: kInvalidArgument naming the rung and key.
[[nodiscard]] const Json& ladder_schema();
[[nodiscard]] Result<Ladder> ladder_from_json(const Json& document);
[[nodiscard]] Json to_json(const Ladder& ladder);
[[nodiscard]] Json to_json(const Rung& rung);
// `position` is for messages.
[[nodiscard]] Result<Rung> rung_from_json(const Json& document, std::size_t position = 0);

// Rungs that fit a source of this size: by the short side, never upscaling; if none fits, one at the source's
// size.
[[nodiscard]] std::vector<Rung> rungs_for(const Ladder& ladder, int source_width, int source_height);
// Upright, square-pixel source size to even output size of a rung.
struct Size {
  int width = 0;
  int height = 0;
  bool operator==(const Size&) const = default;
};
[[nodiscard]] Size size_for(const Rung& rung, Size source);

}  // namespace spool::media
