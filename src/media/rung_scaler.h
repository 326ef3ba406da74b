// RungScaler: a prepared frame at the sizes of a ladder, each from the next larger one. One thread at a time.
#pragma once

#include <vector>

#include "av/handles.h"
#include "base/error.h"
#include "media/plan.h"

namespace spool::media {

class RungScaler {
 public:
  // Scales down to `lowest`, an index into the film's rungs; rungs between are made on the way, so that a
  // rung looks the same whichever others are made with it.
  RungScaler(const Film& film, int lowest);

  // The film's rungs 0..lowest, 8-bit 4:2:0, limited range; valid until the next call, and as long as they
  // are referenced. The first may be `source` itself.
  [[nodiscard]] Result<std::vector<AVFrame*>> scale(const AVFrame& source);

 private:
  struct Step {
    Size size;
    av::Scaler scaler;
    std::vector<av::Frame> frames;  // encoders hold some of them for a while
    int from_width = 0, from_height = 0, from_format = -1, from_range = -1;
  };
  [[nodiscard]] Result<AVFrame*> run(Step& step, const AVFrame& from);
  [[nodiscard]] Result<void> open(Step& step, const AVFrame& from);
  [[nodiscard]] static Result<AVFrame*> free_frame(Step& step);

  int matrix_;
  bool full_range_;
  bool converted_;  // the preparer has already made it limited range
  av::Frame original_;
  std::vector<Step> steps_;
};

}  // namespace spool::media
