// FollowUps: calls Kind::follow_up on a thread of its own, after the commit that it follows.
//
// Calls are coalesced per kind and parent: however many siblings settle while one call runs, one more
// follows. Made on first use; thread-safe. An exception from a follow-up is logged and goes no further.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include "queue/kind.h"
#include "queue/store.h"

namespace spool {

class FollowUps {
 public:
  explicit FollowUps(Store& store) : store_(store) {}
  ~FollowUps() { finish(false); }
  FollowUps(const FollowUps&) = delete;
  FollowUps& operator=(const FollowUps&) = delete;

  void add(const Kind& kind, std::shared_ptr<const Claim> claim);
  // Returns when nothing is left; `call_rest` false: what has not begun is dropped. What is added meanwhile
  // is dropped too.
  void finish(bool call_rest);

 private:
  using Key = std::pair<const Kind*, Uuid>;
  void run();

  Store& store_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<Key, std::shared_ptr<const Claim>> waiting_;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace spool
