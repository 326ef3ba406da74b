// PacketSurvey: what the packets of one stream say together. Fed in file order; one thread at a time.
#pragma once

#include <vector>

#include "av/handles.h"
#include "base/json.h"

namespace spool::media {

class PacketSurvey {
 public:
  void add(const AVPacket& packet);

  [[nodiscard]] std::int64_t packets() const { return packets_; }
  [[nodiscard]] std::int64_t bytes() const { return bytes_; }
  [[nodiscard]] std::int64_t hidden() const { return hidden_; }    // an edit list hides them
  [[nodiscard]] std::int64_t damaged() const { return damaged_; }  // the demuxer says so
  [[nodiscard]] double seconds(
      AVRational time_base) const;  // from the first to the end of the last; 0 if unknown

  // "cfr" with the exact rate, or "vfr": {"mode": ..., "rate": [num, den] or null}; null if it cannot be
  // told.
  [[nodiscard]] Json rate(AVRational time_base, std::vector<AVRational> hints) const;
  // Distances of keyframes in frames, whether GOPs are open (frames shown before the keyframe they follow),
  // reordering.
  [[nodiscard]] Json gop(AVRational time_base) const;

 private:
  std::int64_t packets_ = 0, bytes_ = 0, hidden_ = 0, damaged_ = 0;
  std::int64_t end_ = INT64_MIN;
  std::vector<std::int64_t> pts_;               // that are known
  std::vector<std::int64_t> key_at_, key_pts_;  // of keyframes: their place among packets, their PTS
  bool reordered_ = false;
  bool leading_ = false;  // a frame is shown before the keyframe that it follows
};

}  // namespace spool::media
