// Sessions: the leases of workers. The row is the truth for everybody; the lock file lets those on the same
// kernel see a dead worker at once.
#pragma once

#include <filesystem>
#include <unordered_map>
#include <vector>

#include "base/file.h"
#include "queue/store.h"
#include "store_sqlite/settle.h"

namespace spool::sqlite {

// The lock files of the workers of this handle. Not thread-safe.
class SessionLocks {
 public:
  explicit SessionLocks(std::filesystem::path folder);
  // Throws StoreError when it cannot be made.
  void take(const Uuid& session);
  void drop(const Uuid& session);  // unlocks and unlinks; also what a dead worker left
  [[nodiscard]] std::vector<Uuid> held() const;
  // False when nobody holds the lock that the session took: its process is gone.
  [[nodiscard]] bool alive(const Uuid& session) const;
  [[nodiscard]] const std::string& boot() const { return boot_; }

 private:
  std::filesystem::path file_of(const Uuid& session) const;
  std::filesystem::path folder_;
  std::string boot_;
  std::unordered_map<Uuid, FileLock> held_;
};

class Sessions {
 public:
  Sessions(LifeCycle& life, Lanes& lanes, SessionLocks& locks)
      : life_(life), db_(life.db()), lanes_(lanes), locks_(locks) {}

  // Locks of sessions that others ended meanwhile are dropped.
  void open(const Uuid& id, const WorkerInfo& worker);
  void close(const Uuid& id);
  void hand_over(const Uuid& from, const Uuid& heir, std::span<const Token> attempts);
  // Its number, when the lease is alive.
  [[nodiscard]] std::optional<std::int64_t> find(const Uuid& id);
  [[nodiscard]] Renewed renew(std::int64_t session);
  void drain(const Uuid& id);
  // So many of their jobs become available again; a session whose last job did is gone.
  struct Dead {
    int jobs = 0;
    std::vector<Uuid> gone;
  };
  [[nodiscard]] Dead end_dead(int most);
  void end_lost(const Uuid& id);

 private:
  int rescue_jobs_of(std::int64_t session, const std::string& worker, int most);

  LifeCycle& life_;
  Database& db_;
  Lanes& lanes_;
  SessionLocks& locks_;
};

}  // namespace spool::sqlite
