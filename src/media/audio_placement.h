// AudioPlacement: decoded frames become one unbroken run of samples whose n-th stands at time n / rate. What
// ffmpeg's `aresample=async` with `first_pts=0` does, made explicit: late audio is preceded by silence, early
// audio is cut, holes are filled with silence, overlaps are cut, drift is stretched away. One thread at a
// time.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "av/handles.h"
#include "base/error.h"
#include "media/audio_reader.h"

namespace spool::media {

struct AudioShape {
  int rate = 48000;
  int channels = 2;
  double gain = 1;  // linear, fixed
};

// What a track becomes: its rate where AAC players play it, else the nearest of the family; mono, stereo, or
// on request more.
[[nodiscard]] AudioShape shape_for(const AVFrame& sound, bool keep_channels);

// A stretch where the source had no sound and silence was put.
struct SilenceFilled {
  double at_seconds = 0;  // on the presentation's clock
  double seconds = 0;
};

class AudioPlacement {
 public:
  // `begin_seconds`: the time on the source's clock that becomes sample 0.
  AudioPlacement(AudioShape shape, double begin_seconds);

  Result<void> add(const AudioReader::Decoded& decoded);
  // What resamplers still hold; then silence up to `at_least` samples, and nothing beyond `at_most`.
  Result<void> finish(std::int64_t at_least, std::int64_t at_most);

  // Samples that are ready and not taken yet.
  [[nodiscard]] std::int64_t ready() const {
    return static_cast<std::int64_t>(samples_.front().size() - taken_);
  }
  // Copies `count` samples into a planar float frame of that size.
  void take(int count, AVFrame& into);

  [[nodiscard]] std::int64_t placed() const { return placed_; }  // samples, ready or taken
  [[nodiscard]] const std::vector<SilenceFilled>& filled() const { return filled_; }
  [[nodiscard]] double cut_seconds() const { return double(cut_) / shape_.rate; }
  [[nodiscard]] double longest_stretch_seconds() const { return double(longest_stretch_) / shape_.rate; }

 private:
  Result<void> prepare(const AVFrame& frame);
  Result<void> convert(const AVFrame* frame, int skip);
  Result<void> flush();
  void silence(std::int64_t count);
  void correct_drift(std::int64_t late);
  [[nodiscard]] std::int64_t position() const;

  AudioShape shape_;
  double begin_;
  av::Resampler resampler_;
  AVChannelLayout in_layout_{};
  int in_rate_ = 0, in_format_ = -1;
  std::vector<std::vector<float>> samples_;  // one a channel
  std::size_t taken_ = 0;
  std::int64_t placed_ = 0, cut_ = 0, longest_stretch_ = 0;
  std::deque<std::int64_t> lateness_;  // of the last frames
  std::int64_t stretching_until_ = 0;
  bool realign_ = false;  // behind a splice, until a frame stands exactly where it says
  std::vector<SilenceFilled> filled_;
};

}  // namespace spool::media
