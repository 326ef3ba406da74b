// RungEncoders: the encoders of a chunk. Where the chunk is likely to run alone, each has a thread of its
// own.
//
// The bytes do not change: each encoder sees the same frames in the same order. All calls come from one
// thread, and finished segments leave in it too, for what they are given to serves one thread.
// docs/decisions/chunk_threads.md.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "av/handles.h"
#include "base/error.h"
#include "media/rung_encoder.h"

namespace spool::media {

class RungEncoders {
 public:
  // Film, chunk and sink outlive it. Errors: those of RungEncoder::open.
  [[nodiscard]] static Result<std::unique_ptr<RungEncoders>> start(const Film& film, const Chunk& chunk,
                                                                   const SegmentSink& sink);
  ~RungEncoders();  // what was not finished is thrown away

  // One frame for each of the chunk's rungs, in their order; only referenced. Waits while the slowest encoder
  // is kMostWaiting frames behind. Errors: the first of any encoder, or of the sink.
  [[nodiscard]] Result<void> encode(const std::vector<AVFrame*>& frames, std::int64_t pts);
  // Everything that was held back. Errors: as encode().
  [[nodiscard]] Result<void> finish();
  [[nodiscard]] std::vector<std::int64_t> bytes() const;  // of each rung; after finish()

 private:
  static constexpr std::size_t kMostWaiting = 8;

  struct Work {
    av::Frame frame;  // empty: the end
    std::int64_t pts = 0;
  };
  struct Lane {
    std::unique_ptr<RungEncoder> encoder;
    std::deque<Work> waiting;
    bool done = false;
    std::thread thread;
  };

  explicit RungEncoders(const SegmentSink& sink) : sink_(sink) {}
  void run(Lane& lane);
  Result<void> push(const std::vector<AVFrame*>& frames, std::int64_t pts);
  [[nodiscard]] bool threaded() const { return lanes_.front()->thread.joinable(); }
  Result<void> hand_on();  // what is finished
  // Waits until `ready`, and hands on what is finished meanwhile. Under the lock.
  template <class Condition>
  Result<void> wait(std::unique_lock<std::mutex>& lock, Condition ready);

  const SegmentSink& sink_;
  SegmentSink collect_;
  mutable std::mutex mutex_;
  std::condition_variable to_encoders_, to_owner_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::deque<EncodedSegment> finished_;
  Result<void> outcome_;
  bool stopping_ = false;
};

}  // namespace spool::media
