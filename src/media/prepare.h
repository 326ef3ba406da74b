// Preparer: decoded frames made upright, progressive and standard range. Nothing to do for most films.
// One thread at a time.
#pragma once

#include <functional>

#include "av/handles.h"
#include "base/error.h"
#include "media/plan.h"

namespace spool::media {

class Preparer {
 public:
  using Emit = std::function<Result<void>(const AVFrame& frame)>;  // its pts is a tick

  // `top`: the size of the highest rung; HDR becomes SDR at that size, where it costs least.
  Preparer(const Film& film, Size top);

  // Ticks beyond a chunk's borders that it needs to see.
  [[nodiscard]] static std::int64_t reach(const Film& film);

  // nullptr: the end; all that is held back comes out. Errors: kInternal naming the filter.
  [[nodiscard]] Result<void> push(AVFrame* frame, const Emit& emit);

 private:
  [[nodiscard]] Result<void> build(const AVFrame& like);
  [[nodiscard]] Result<void> drain(const Emit& emit);

  std::string description_;  // empty: frames pass through
  std::int64_t timescale_;
  av::FilterGraph graph_;
  AVFilterContext* source_ = nullptr;  // the graph's
  AVFilterContext* sink_ = nullptr;
  int width_ = 0, height_ = 0, format_ = -1;  // that the graph was built for
  av::Frame out_;
};

// The filter graph's description, for tests and logs; empty when nothing is to be done.
[[nodiscard]] std::string preparation(const Picture& picture, Size top);

}  // namespace spool::media
