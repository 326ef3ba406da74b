#include "media/rung_encoders.h"

#include <algorithm>

namespace spool::media {

Result<std::unique_ptr<RungEncoders>> RungEncoders::start(const Film& film, const Chunk& chunk,
                                                          const SegmentSink& sink) {
  std::unique_ptr<RungEncoders> encoders(new RungEncoders(sink));
  encoders->collect_ = [self = encoders.get()](EncodedSegment segment) -> Result<void> {
    const std::lock_guard lock(self->mutex_);
    self->finished_.push_back(std::move(segment));
    self->to_owner_.notify_one();
    return {};
  };
  for (const int rung : chunk.rungs) {
    SPOOL_ASSIGN(RungEncoder encoder, RungEncoder::open(film, chunk, rung, encoders->collect_));
    auto lane = std::make_unique<Lane>();
    lane->encoder = std::make_unique<RungEncoder>(std::move(encoder));
    encoders->lanes_.push_back(std::move(lane));
  }
  if (!chunk.alone) return encoders;
  for (const auto& lane : encoders->lanes_)
    lane->thread = std::thread([self = encoders.get(), at = lane.get()] { self->run(*at); });
  return encoders;
}

RungEncoders::~RungEncoders() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  to_encoders_.notify_all();
  for (const auto& lane : lanes_)
    if (lane->thread.joinable()) lane->thread.join();
}

void RungEncoders::run(Lane& lane) {
  Result<void> result;
  for (bool end = false; result && !end;) {
    Work work;
    {
      std::unique_lock lock(mutex_);
      to_encoders_.wait(lock, [&] { return stopping_ || !lane.waiting.empty(); });
      if (stopping_) return;
      work = std::move(lane.waiting.front());
      lane.waiting.pop_front();
      if (lane.waiting.size() + 1 == kMostWaiting) to_owner_.notify_one();
    }
    end = !work.frame;
    result = end ? lane.encoder->finish() : lane.encoder->encode(*work.frame, work.pts);
  }
  const std::lock_guard lock(mutex_);
  if (!result && outcome_) outcome_ = std::move(result);
  lane.done = true;
  to_owner_.notify_one();
}

template <class Condition>
Result<void> RungEncoders::wait(std::unique_lock<std::mutex>& lock, Condition ready) {
  for (;;) {
    to_owner_.wait(lock, [&] { return !outcome_ || !finished_.empty() || ready(); });
    if (!outcome_) return outcome_;
    if (finished_.empty()) return {};
    EncodedSegment segment = std::move(finished_.front());
    finished_.pop_front();
    lock.unlock();
    auto taken = sink_(std::move(segment));
    lock.lock();
    if (!taken) return taken;
  }
}

Result<void> RungEncoders::hand_on() {
  std::unique_lock lock(mutex_);
  return wait(lock, [] { return true; });
}

Result<void> RungEncoders::push(const std::vector<AVFrame*>& frames, std::int64_t pts) {
  std::unique_lock lock(mutex_);
  SPOOL_TRY(wait(lock, [&] {
    return std::all_of(lanes_.begin(), lanes_.end(),
                       [](const auto& lane) { return lane->waiting.size() < kMostWaiting; });
  }));
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    Work work{nullptr, pts};
    if (!frames.empty()) {
      work.frame = av::make_frame();
      if (const int err = av_frame_ref(work.frame.get(), frames[i]); err < 0)
        return av::fail_av(err, "a frame");
    }
    lanes_[i]->waiting.push_back(std::move(work));
  }
  to_encoders_.notify_all();
  return {};
}

Result<void> RungEncoders::encode(const std::vector<AVFrame*>& frames, std::int64_t pts) {
  if (threaded()) return push(frames, pts);
  for (std::size_t i = 0; i < lanes_.size(); ++i) SPOOL_TRY(lanes_[i]->encoder->encode(*frames[i], pts));
  return hand_on();
}

Result<void> RungEncoders::finish() {
  if (!threaded()) {
    for (const auto& lane : lanes_) SPOOL_TRY(lane->encoder->finish());
    return hand_on();
  }
  SPOOL_TRY(push({}, 0));
  std::unique_lock lock(mutex_);
  return wait(lock, [&] {
    return std::all_of(lanes_.begin(), lanes_.end(), [](const auto& lane) { return lane->done; });
  });
}

std::vector<std::int64_t> RungEncoders::bytes() const {
  std::vector<std::int64_t> all;
  for (const auto& lane : lanes_) all.push_back(lane->encoder->bytes());
  return all;
}

}  // namespace spool::media
