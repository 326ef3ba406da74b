// Pool: the connections of one process to one database. Thread-safe.
//
// read() and write() are how the store uses it: they take a connection for one piece of work and give it
// back. What fails because of other transactions is repeated there; what a lost connection leaves open is not
// guessed at.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <type_traits>
#include <utility>

#include "base/clock.h"
#include "store_postgres/connection.h"

namespace spool::postgres {

class Pool {
 public:
  // At most so many connections, made when they are needed; what is idle for `idle` is closed when another
  // one is given back. take() waits at most `patience` for one.
  Pool(Conninfo conninfo, int most, Duration patience = std::chrono::seconds(30),
       Duration idle = std::chrono::minutes(1))
      : conninfo_(std::move(conninfo)), most_(most), patience_(patience), idle_time_(idle) {}

  // A connection, lent. Gives it back when it goes; a lost one is not used again.
  class Lent {
   public:
    Lent(Pool& pool, std::unique_ptr<Connection> connection, bool fresh)
        : pool_(&pool), connection_(std::move(connection)), fresh_(fresh) {}
    Lent(Lent&&) = default;
    ~Lent() {
      if (connection_) pool_->give_back(std::move(connection_));
    }
    [[nodiscard]] Connection& operator*() const { return *connection_; }
    [[nodiscard]] bool fresh() const { return fresh_; }  // made just now

   private:
    Pool* pool_;
    std::unique_ptr<Connection> connection_;
    bool fresh_;
  };

  // An idle one that is alive, or a new one. Throws as Connection does, and kUnavailable when all are in use.
  // Who was let in once and is refused now (a new password, another pg_hba.conf, a server that is being
  // moved) is told kUnavailable too: it passes.
  [[nodiscard]] Lent take();
  [[nodiscard]] int open() const;  // connections, idle and lent
  [[nodiscard]] const Conninfo& conninfo() const { return conninfo_; }

 private:
  void give_back(std::unique_ptr<Connection> connection);

  const Conninfo conninfo_;
  const int most_;
  const Duration patience_, idle_time_;
  mutable std::mutex mutex_;
  std::condition_variable given_back_;
  struct Idle {
    std::unique_ptr<Connection> connection;
    BootClock::time_point since;
  };
  std::deque<Idle> idle_;  // the last one used is taken first
  int open_ = 0;
  bool let_in_ = false;
};

// Decides what is done again. Conflicts: with pauses, the longer the more often. A connection that had died
// while it was idle: once, on a new one, for a statement that was not sent, and for any read.
class Attempts {
 public:
  explicit Attempts(bool reads) : reads_(reads) {}
  // Returns when the work is to be done again; throws `failed` otherwise, which no read makes kInDoubt.
  void after(StoreError failed, bool fresh_connection);

 private:
  bool reads_;
  bool replaced_ = false;
  int conflicts_ = 0;
};

template <class Work>
auto with(Pool& pool, bool reads, Work&& work) -> std::invoke_result_t<Work&, Connection&> {
  for (Attempts attempts(reads);;) {
    StoreError failed;
    bool fresh = true;
    {
      const Pool::Lent lent = pool.take();
      try {
        return work(*lent);
      } catch (StoreError& e) {
        failed = std::move(e);
        fresh = lent.fresh();
      }
    }
    attempts.after(std::move(failed), fresh);
  }
}

// One transaction: `work(Connection&)`, which begins and commits it, or is one statement alone. It may be
// called several times. When the answer was lost the error is kInDoubt: ask.
template <class Work>
auto write(Pool& pool, Work&& work) {
  return with(pool, false, std::forward<Work>(work));
}

// As write(), for what changes nothing, and is never in doubt.
template <class Work>
auto read(Pool& pool, Work&& work) {
  return with(pool, true, std::forward<Work>(work));
}

}  // namespace spool::postgres
