// RungEncoder: one rung of one chunk, from frames to the samples of its segments. One thread at a time.
//
// What it writes depends on the film, the chunk and the frames alone. x264 and x265 run in the calling
// thread.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "av/handles.h"
#include "base/error.h"
#include "media/plan.h"
#include "media/sample.h"

namespace spool::media {

struct EncodedSegment {
  int rung = 0;                      // index into the film's rungs
  int index = 0;                     // in the film, from 0
  std::uint32_t first_fragment = 1;  // for cmaf_segment()
  PlannedSegment planned;
  std::vector<Sample> samples;  // in decode order
};
// Called in order of time for each rung.
using SegmentSink = std::function<Result<void>(EncodedSegment)>;

class RungEncoder {
 public:
  // Film, chunk and sink outlive it. Errors: kInternal when the encoder refuses its options.
  [[nodiscard]] static Result<RungEncoder> open(const Film& film, const Chunk& chunk, int rung,
                                                const SegmentSink& sink);

  // `frame` has the rung's size; `pts` is the planned one. Not kept beyond the call, nor changed.
  [[nodiscard]] Result<void> encode(AVFrame& frame, std::int64_t pts);
  // Everything that was held back. Errors: kInternal when frames or IDRs are not where they were planned.
  [[nodiscard]] Result<void> finish();
  [[nodiscard]] std::int64_t bytes() const { return bytes_; }
  [[nodiscard]] Bytes extradata() const;  // the headers that its samples need

 private:
  RungEncoder(const Film& film, const Chunk& chunk, int rung, const SegmentSink& sink,
              av::CodecContext encoder);
  [[nodiscard]] Result<void> receive();
  [[nodiscard]] Result<void> take(const AVPacket& packet);
  [[nodiscard]] Result<void> end_segment();

  const Film* film_;
  const Chunk* chunk_;
  const SegmentSink* sink_;
  int rung_;
  av::CodecContext encoder_;
  av::Packet packet_;
  av::Frame frame_;
  std::size_t next_idr_segment_ = 0, next_idr_ = 0;  // the next planned IDR that is fed
  std::size_t segment_ = 0;                          // the one that is being filled
  std::uint32_t fragment_;
  std::vector<Sample> samples_;
  std::int64_t bytes_ = 0;
};

// What the init segment says of a rung: extradata and all; the same for each of the film's chunks.
[[nodiscard]] Result<av::CodecParameters> encoder_parameters(const Film& film, int rung);

}  // namespace spool::media
