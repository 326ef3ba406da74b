#include "store_sqlite/wakeup.h"

#include <algorithm>

namespace spool::sqlite {
namespace {
// Per connection; changes with every commit of another one.
constexpr const char* kDataVersion = "PRAGMA data_version";
}  // namespace

void Wakeup::wake() {
  {
    const std::lock_guard lock(mutex_);
    ++generation_;
  }
  changed_.notify_all();
}

bool Wakeup::others_committed() {
  const std::lock_guard lock(db_mutex_);
  try {
    Rows row = db_->query(kDataVersion);
    const std::int64_t version = row.next() ? row.i64(0) : version_;
    return std::exchange(version_, version) != version;
  } catch (const StoreError&) {
    return false;  // a hint only
  }
}

void Wakeup::wait(Duration most) {
  const auto end = std::chrono::steady_clock::now() + most;
  const auto me = std::this_thread::get_id();
  std::unique_lock lock(mutex_);
  while (seen_[me] == generation_) {
    const auto now = std::chrono::steady_clock::now();
    if (now >= end) return;
    changed_.wait_until(lock, std::min(end, now + poll_));
    if (seen_[me] != generation_) break;
    lock.unlock();
    const bool others = others_committed();
    lock.lock();
    if (others) ++generation_, changed_.notify_all();
  }
  seen_[me] = generation_;
}

}  // namespace spool::sqlite
