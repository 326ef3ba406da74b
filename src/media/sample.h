// Sample: one coded frame as an ISO BMFF file stores it (H.264/HEVC length-prefixed, AAC raw). Plain value.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace spool::media {

using Bytes = std::vector<std::byte>;

// Times are ticks of the track's timescale, on the presentation's one clock (0 is the film's first instant).
struct Sample {
  std::int64_t pts = 0;
  std::int64_t dts = 0;       // strictly increasing within a track
  std::int64_t duration = 0;  // for how long it is shown or heard
  bool sync = false;          // IDR, or any audio sample
  Bytes data;
};

}  // namespace spool::media
