// Stills of a film: a poster, thumbnails, and storyboards (sprite sheets with WebVTT). Plain functions; the
// files come out by name through a callback, in order. The same film and options give the same bytes.
// Thread-safe.
#pragma once

#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/file.h"
#include "base/json.h"
#include "media/image.h"

namespace spool::media {

using EmitFile = std::function<Result<void>(std::string_view name, std::span<const std::byte> bytes)>;

struct ThumbnailOptions {
  int width = 320;  // at most; the film's shape is kept, sides are even, nothing is enlarged
  int height = 0;   // at most; 0: what follows from the width
  double every_seconds = 10;
  std::int64_t every_frames = 0;  // > 0: instead of seconds; decodes the whole film
  bool sprite = false;            // sheets of at most 10x10 and storyboard.vtt, instead of single files
  bool exact = false;  // the very picture at each time; else a keyframe less than one step before it will do
  ImageFormat format = ImageFormat::kJpeg;
  int quality = 85;
  std::function<void(double)> progress;  // 0..1; may be empty
};

// thumb-00001.jpg ... or sheet-001.jpg ... and storyboard.vtt. The result: {"count", "width", "height",
// "duration", "files": [..]}. Errors: as StillSource::open; kLimitExceeded beyond 20000 pictures; what `emit`
// says.
[[nodiscard]] Result<Json> make_thumbnails(const ByteSource& source, const ThumbnailOptions& options,
                                           const EmitFile& emit, std::stop_token stop);

struct PosterOptions {
  int width = 1280;
  int height = 0;
  std::optional<double>
      at;  // seconds; else the most telling of several keyframes, never a black one if there is another
  ImageFormat format = ImageFormat::kJpeg;
  int quality = 90;
};
// poster.jpg. The result: {"file", "at", "width", "height"}.
[[nodiscard]] Result<Json> make_poster(const ByteSource& source, const PosterOptions& options,
                                       const EmitFile& emit, std::stop_token stop);

// "00:01:02.500" (WebVTT section 3.1).
[[nodiscard]] std::string vtt_time(double seconds);

}  // namespace spool::media
