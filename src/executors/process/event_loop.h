// EventLoop: one thread, epoll, and a queue of functions from other threads.
//
// post() and stop() may come from any thread; everything else belongs to the thread in run(). A callback may
// add and remove any descriptor, its own too. Descriptors belong to who adds them, and are removed before
// they close.
#pragma once

#include <sys/epoll.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "base/clock.h"
#include "base/file.h"

namespace spool::process {

class EventLoop {
 public:
  using Id = std::uint64_t;
  using Callback = std::function<void(std::uint32_t events)>;

  static Result<std::unique_ptr<EventLoop>> make();

  // Errors: the kernel's (ENOSPC, ENOMEM).
  Result<Id> add(int fd, std::uint32_t events, Callback callback);
  void change(Id id, std::uint32_t events);
  void remove(Id id);

  void post(std::function<void()> function);
  void stop();
  // Calls `tick` when the time that it returned last has passed, and after every turn. Returns after stop().
  void run(const std::function<BootClock::time_point()>& tick);

 private:
  EventLoop(UniqueFd epoll, UniqueFd wake) : epoll_(std::move(epoll)), wake_(std::move(wake)) {}
  void run_posted();

  struct Entry {
    int fd;
    std::shared_ptr<Callback> callback;  // shared: it may remove itself while it runs
  };
  UniqueFd epoll_, wake_;
  std::map<Id, Entry> entries_;
  Id last_id_ = 0;
  std::mutex mutex_;
  std::vector<std::function<void()>> posted_;
  bool stopped_ = false;
};

}  // namespace spool::process
