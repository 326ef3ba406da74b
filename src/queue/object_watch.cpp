#include "queue/object_watch.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <iterator>

namespace spool {
namespace {

constexpr Duration kLongestWait = std::chrono::seconds(15);

// nullptr: it did not fail, or was asked to end.
const Error* failure(const Ending& ending) {
  if (const auto* again = std::get_if<RetryLater>(&ending)) return &again->error;
  const auto* failed = std::get_if<Failed>(&ending);
  return failed != nullptr && failed->error.code != Code::kCancelled ? &failed->error : nullptr;
}

void release(Settlement& settlement) {
  spdlog::info("job {}: is done again, since the objects were away: {}", settlement.job.text(),
               failure(settlement.ending)->message);
  settlement.ending = Released{};
}

}  // namespace

void ObjectWatch::start() {
  ends_ = false;
  if (world_.ask) thread_ = std::thread([this] { watch(); });
}

void ObjectWatch::end(const std::function<void()>& interrupt) {
  {
    const std::lock_guard lock(mutex_);
    ends_ = true;
    wake_.notify_one();
    if (asks_ && interrupt) interrupt();
  }
  if (thread_.joinable()) thread_.join();
}

void ObjectWatch::put(Settlement settlement) {
  if (world_.ask && failure(settlement.ending) != nullptr) {
    const std::lock_guard lock(mutex_);
    if (!away_ && std::ranges::find(begun_before_, settlement.token) == begun_before_.end()) {
      held_.push_back(std::move(settlement));
      wake_.notify_one();
      return;
    }
    release(settlement);
  }
  world_.pass_on(std::move(settlement));
}

bool ObjectWatch::away() const {
  const std::lock_guard lock(mutex_);
  return away_;
}

void ObjectWatch::watch() {
  std::unique_lock lock(mutex_);
  for (Duration wait = world_.first_wait;;) {
    if (away_)
      wake_.wait_for(lock, wait, [this] { return ends_; });
    else
      wake_.wait(lock, [this] { return ends_ || !held_.empty(); });
    if (ends_) return;
    wait = away_ ? std::min(wait * 2, kLongestWait) : world_.first_wait;
    std::vector<Settlement> ended = std::exchange(held_, {});
    asks_ = true;
    lock.unlock();
    const Result<void> answer = world_.ask();
    std::vector<Token> running = world_.running();
    lock.lock();
    asks_ = false;
    if (!answer) {
      // A no is the answer to what has ended meanwhile, too; a yes may have come before its trouble.
      std::ranges::move(std::exchange(held_, {}), std::back_inserter(ended));
      note_away(answer.error());
    } else if (away_) {
      note_back(std::move(running));
    }
    lock.unlock();
    for (Settlement& settlement : ended) {
      if (!answer) release(settlement);
      world_.pass_on(std::move(settlement));
    }
    lock.lock();
  }
}

void ObjectWatch::note_away(const Error& why) {
  if (std::exchange(away_, true) || why.code == Code::kCancelled) return;  // cancelled: we end
  spdlog::warn("the objects do not answer, waiting for them: {}", why.message);
}

void ObjectWatch::note_back(std::vector<Token> running) {
  away_ = false;
  begun_before_ = std::move(running);
  spdlog::info("the objects answer again");
  world_.back();
}

}  // namespace spool
