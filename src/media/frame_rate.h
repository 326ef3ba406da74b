// Is it constant frame rate, and which one exactly? Containers round (Matroska to milliseconds) and lie.
// Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace spool::media {

struct Ratio {
  std::int64_t num = 0;
  std::int64_t den = 1;
  [[nodiscard]] double value() const {
    return den == 0 ? 0.0 : static_cast<double>(num) / static_cast<double>(den);
  }
  bool operator==(const Ratio&) const = default;
};

struct FrameGrid {
  Ratio rate;                          // frames a second
  std::vector<std::int64_t> position;  // of each frame on the grid; the first is 0; gaps are missing frames
};

// `pts` strictly increasing, in ticks of `time_base` seconds. `hints` are what the container claims; they are
// believed only if the frames agree. nullopt: the rate really varies. A stream with a few missing frames is
// still on a grid. Fewer than two frames: nullopt.
[[nodiscard]] std::optional<FrameGrid> frame_grid(std::span<const std::int64_t> pts, Ratio time_base,
                                                  std::span<const Ratio> hints);

// The smallest timescale of at least 90000 ticks a second in which a frame of this rate lasts whole ticks.
[[nodiscard]] std::int64_t exact_timescale(Ratio rate);

}  // namespace spool::media
