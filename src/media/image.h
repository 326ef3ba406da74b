// Pictures as image files. The same picture gives the same bytes. Thread-safe.
#pragma once

#include "av/handles.h"
#include "media/sample.h"

namespace spool::media {

enum class ImageFormat { kJpeg, kPng };

[[nodiscard]] const char* extension(ImageFormat format);  // "jpg", "png"

// `frame` is YUVJ420P. `quality` of JPEG, 1 to 100. Errors: kInternal, the encoder's.
[[nodiscard]] Result<Bytes> encode_image(const AVFrame& frame, ImageFormat format, int quality);

// How much there is to see: the entropy of its brightness in bits (0 to 8), less when it is nearly black or
// white.
[[nodiscard]] double telling(const AVFrame& frame);

}  // namespace spool::media
