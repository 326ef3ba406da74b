// Wakeup: lets threads sleep until there may be work. Thread-safe.
//
// Commits of this handle wake at once; those of other handles and processes are seen by looking at the file's
// data version every few milliseconds, which takes a microsecond and no lock.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "base/clock.h"
#include "store_sqlite/database.h"

namespace spool::sqlite {

class Wakeup {
 public:
  // Opens a connection of its own.
  Wakeup(std::unique_ptr<Database> db, Duration poll) : db_(std::move(db)), poll_(poll) {}

  void wake();
  // Until wake() or another handle's commit since this thread last returned from here, or `most` passed.
  void wait(Duration most);

 private:
  [[nodiscard]] bool others_committed();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t generation_ = 1;
  std::unordered_map<std::thread::id, std::uint64_t> seen_;  // so that no thread takes another one's wake-up

  std::mutex db_mutex_;
  std::unique_ptr<Database> db_;
  std::int64_t version_ = -1;
  Duration poll_;
};

}  // namespace spool::sqlite
