#include "queue/follow_ups.h"

#include <spdlog/spdlog.h>

#include <exception>

namespace spool {

void FollowUps::add(const Kind& kind, std::shared_ptr<const Claim> claim) {
  const std::lock_guard lock(mutex_);
  if (ending_) return;
  waiting_[Key(&kind, claim->parent.value_or(claim->job))] = std::move(claim);
  if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
  changed_.notify_one();
}

void FollowUps::finish(bool call_rest) {
  std::thread ending;
  {
    const std::lock_guard lock(mutex_);
    if (!call_rest) waiting_.clear();
    ending_ = true;
    ending = std::move(thread_);
    changed_.notify_one();
  }
  if (ending.joinable()) ending.join();
  const std::lock_guard lock(mutex_);
  ending_ = false;
}

void FollowUps::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return ending_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    const auto next = waiting_.extract(waiting_.begin());
    lock.unlock();
    const Kind& kind = *next.key().first;
    try {
      kind.follow_up(store_, *next.mapped());
    } catch (const std::exception& e) {
      spdlog::error("follow-up of '{}': {}", kind.name, e.what());
    }
    lock.lock();
  }
}

}  // namespace spool
