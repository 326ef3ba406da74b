// ClockRepair: timestamps that jump (wraps of 33 bits, splices in transport streams) made continuous again.
// Value type; started again from a keyframe's saved state it goes on exactly as it did in the scan.
#pragma once

#include <algorithm>
#include <cstdint>

#include "media/frame_rate.h"

namespace spool::media {

struct ClockState {
  std::int64_t offset = 0;    // what is added to stored timestamps
  std::int64_t last_dts = 0;  // of the packet before, repaired
  bool started = false;
  bool operator==(const ClockState&) const = default;
};

class ClockRepair {
 public:
  // `enabled`: only for formats whose clocks may jump. A step of more than ten seconds is no pause but a jump
  // (as the ffmpeg program has it).
  ClockRepair(bool enabled, Ratio time_base, ClockState state = {})
      : enabled_(enabled && time_base.num > 0),
        threshold_(10 * time_base.den / std::max<std::int64_t>(1, time_base.num)),
        state_(state) {}

  // The offset for a packet with this stored decode time; `step` is how long one frame lasts, 0 if unknown.
  std::int64_t offset_for(std::int64_t dts, std::int64_t step) {
    if (enabled_ && state_.started) {
      const std::int64_t moved = dts + state_.offset - state_.last_dts;
      if (moved > threshold_ || moved < -threshold_) state_.offset -= moved - step;
    }
    state_.started = true;
    state_.last_dts = dts + state_.offset;
    return state_.offset;
  }

  [[nodiscard]] const ClockState& state() const { return state_; }

 private:
  bool enabled_;
  std::int64_t threshold_;
  ClockState state_;
};

}  // namespace spool::media
