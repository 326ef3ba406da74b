// encode_chunk: the frames that a chunk owns, decoded once, filtered once, encoded for each of its rungs.
//
// Decoding and filtering in the calling thread, which also calls the hooks; each encoder in one of its own
// (RungEncoders). Memory does not grow with the chunk: segments leave through the sink. The frames that come
// out are exactly those that were planned: where the source has a hole, or a frame too many, the last good
// frame is shown on, and the output says so. docs/decisions/damaged_video.md.
#pragma once

#include <cstdint>
#include <functional>
#include <stop_token>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "media/damage.h"
#include "media/plan.h"
#include "media/rung_encoder.h"

namespace spool::media {

struct ChunkOutput {
  std::int64_t frames = 0;          // of each rung
  std::vector<std::int64_t> bytes;  // of each of the chunk's rungs
  std::vector<Damage> damage;
};

struct ChunkHooks {
  SegmentSink segment;
  std::function<void(std::int64_t frames)> progress;  // may be empty; called after each frame
};

// Errors: kCancelled; kCorruptInput when the source no longer opens; what the source, the sink and the
// encoder report.
[[nodiscard]] Result<ChunkOutput> encode_chunk(const ByteSource& source, const ChunkTask& task,
                                               const ChunkHooks& hooks, std::stop_token stop);

}  // namespace spool::media
