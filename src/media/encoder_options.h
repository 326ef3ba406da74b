// How encoders are opened: everything that the look and the bytes of a rung depend on. Pure, thread-safe.
#pragma once

#include "av/handles.h"
#include "base/error.h"
#include "media/plan.h"

namespace spool::media {

// Ticks of the film per tick of its encoders: one frame at a constant rate, so that rate control sees one.
[[nodiscard]] std::int64_t encoder_ticks(const Film& film);

// An encoder for one rung; single-threaded. Errors: kInternal naming what was refused; kUnsupported without
// libx264/libx265.
[[nodiscard]] Result<av::CodecContext> open_encoder(const Film& film, const PlannedRung& rung);

// The lowest level (ITU-T H.264 table A-1, times ten) that allows this stream in High profile.
[[nodiscard]] int h264_level(Size size, double frames_per_second, std::int64_t max_bits_per_second,
                             std::int64_t buffer_bits);

}  // namespace spool::media
