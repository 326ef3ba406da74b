// AudioSegments: packets of one AAC track become segments, cut at the packet nearest to each of the video's
// borders. Owned by whoever feeds it; one thread.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "media/cmaf.h"

namespace spool::media {

class AudioSegments {
 public:
  using Deliver = std::function<Result<void>(std::size_t index, const Segment&)>;

  // Borders and film as in AudioTask. `track.timescale` is the sample rate. The references outlive this.
  AudioSegments(const std::vector<double>& borders, double segment_seconds,
                std::optional<double> film_seconds, const Deliver& deliver, CmafTrack track)
      : borders_(borders),
        segment_seconds_(segment_seconds),
        film_seconds_(film_seconds),
        deliver_(deliver),
        track_(std::move(track)) {
    next_border_ = border(1);
  }

  Result<void> add(Sample sample) {
    if (!samples_.empty() && sample.pts + sample.duration / 2 >= next_border_) SPOOL_TRY(deliver());
    samples_.push_back(std::move(sample));
    return {};
  }
  // What is left, at the end.
  Result<void> deliver() {
    if (samples_.empty()) return {};
    SPOOL_ASSIGN(const Segment segment,
                 cmaf_segment(track_, false, static_cast<std::uint32_t>(index_ + 1), samples_));
    samples_.clear();
    SPOOL_TRY(deliver_(index_, segment));
    next_border_ = border(++index_ + 1);
    return {};
  }
  // Not delivered yet.
  [[nodiscard]] std::vector<Sample>& pending() { return samples_; }

 private:
  // In samples. Sound that is a little longer than the film goes into the last segment, as far as the target
  // duration allows (RFC 8216 section 4.3.3.1: durations are rounded).
  [[nodiscard]] std::int64_t border(std::size_t index) const {
    double seconds = double(index) * segment_seconds_;
    if (index < borders_.size()) {
      seconds = borders_[index];
    } else if (!borders_.empty()) {
      double longest = film_seconds_.value_or(0) - borders_.back();
      for (std::size_t i = 1; i < borders_.size(); ++i)
        longest = std::max(longest, borders_[i] - borders_[i - 1]);
      const double last = film_seconds_ ? std::max(1.0, std::round(longest)) + 0.45 : segment_seconds_;
      seconds = borders_.back() + last + double(index - borders_.size()) * segment_seconds_;
    }
    return std::llround(seconds * track_.timescale);
  }

  const std::vector<double>& borders_;
  double segment_seconds_;
  std::optional<double> film_seconds_;
  const Deliver& deliver_;
  CmafTrack track_;
  std::vector<Sample> samples_;
  std::size_t index_ = 0;
  std::int64_t next_border_ = 0;
};

}  // namespace spool::media
