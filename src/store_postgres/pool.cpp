#include "store_postgres/pool.h"

#include <fmt/format.h>

#include <random>
#include <thread>
#include <vector>

namespace spool::postgres {
namespace {

constexpr int kMostConflicts = 10;

// 1, 2, 4, ... 64 ms at most: transactions that met once must not meet again in step.
void pause_after_conflict(int times) {
  thread_local std::minstd_rand random(std::random_device{}());
  const int most = 1000 << std::min(times, 6);
  std::this_thread::sleep_for(
      std::chrono::microseconds(std::uniform_int_distribution<>(most / 4, most)(random)));
}

}  // namespace

Pool::Lent Pool::take() {
  const auto end = std::chrono::steady_clock::now() + patience_;
  std::vector<std::unique_ptr<Connection>> dead;  // closed without the lock
  std::unique_lock lock(mutex_);
  for (;;) {
    while (!idle_.empty()) {
      auto connection = std::move(idle_.back().connection);
      idle_.pop_back();
      if (!connection->stale()) return Lent(*this, std::move(connection), false);
      dead.push_back(std::move(connection));
      --open_;
    }
    if (open_ < most_) break;
    if (given_back_.wait_until(lock, end) == std::cv_status::timeout && idle_.empty() && open_ >= most_)
      refuse(Code::kUnavailable, fmt::format("database: none of {} connections became free within {} s",
                                             most_, std::chrono::duration<double>(patience_).count()));
  }
  ++open_;
  const bool was_let_in = let_in_;
  lock.unlock();
  try {
    auto connection = std::make_unique<Connection>(conninfo_);
    lock.lock();
    let_in_ = true;
    lock.unlock();
    return Lent(*this, std::move(connection), true);
  } catch (StoreError& e) {
    give_back(nullptr);
    if (was_let_in) e.error.code = Code::kUnavailable;
    throw;
  } catch (...) {
    give_back(nullptr);
    throw;
  }
}

// Where one connection was lost the idle ones are not trusted either: a host that has gone without a word
// would let each of them wait for its time-out.
void Pool::give_back(std::unique_ptr<Connection> connection) {
  std::vector<Idle> dead;  // closed without the lock
  const auto now = BootClock::now();
  {
    const std::lock_guard lock(mutex_);
    const bool lost = !connection || !connection->alive();
    while (!idle_.empty() && (lost || idle_.front().since + idle_time_ <= now)) {
      dead.push_back(std::move(idle_.front()));
      idle_.pop_front();
      --open_;
    }
    if (lost) {
      --open_;
    } else {
      connection->discard_notifications();
      idle_.push_back({std::move(connection), now});
    }
  }
  given_back_.notify_one();
}

int Pool::open() const {
  const std::lock_guard lock(mutex_);
  return open_;
}

void Attempts::after(StoreError failed, bool fresh_connection) {
  if (failed.fate == Fate::kConflict && conflicts_ < kMostConflicts)
    return pause_after_conflict(conflicts_++);
  const bool harmless = failed.fate == Fate::kUnsent || (reads_ && failed.fate == Fate::kUnknown);
  if (harmless && !fresh_connection && !std::exchange(replaced_, true)) return;
  if (reads_ && failed.error.code == Code::kInDoubt) failed.error.code = Code::kUnavailable;
  throw failed;
}

}  // namespace spool::postgres
