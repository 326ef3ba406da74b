#include "executors/process/event_loop.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace spool::process {

Result<std::unique_ptr<EventLoop>> EventLoop::make() {
  UniqueFd epoll(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return fail_errno(errno, "epoll_create1");
  UniqueFd wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake) return fail_errno(errno, "eventfd");
  epoll_event event{EPOLLIN, {.u64 = 0}};
  if (epoll_ctl(epoll.get(), EPOLL_CTL_ADD, wake.get(), &event) != 0) return fail_errno(errno, "epoll_ctl");
  return std::unique_ptr<EventLoop>(new EventLoop(std::move(epoll), std::move(wake)));
}

Result<EventLoop::Id> EventLoop::add(int fd, std::uint32_t events, Callback callback) {
  const Id id = ++last_id_;
  epoll_event event{events, {.u64 = id}};
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return fail_errno(errno, "epoll_ctl");
  entries_[id] = {fd, std::make_shared<Callback>(std::move(callback))};
  return id;
}

void EventLoop::change(Id id, std::uint32_t events) {
  const auto it = entries_.find(id);
  if (it == entries_.end()) return;
  epoll_event event{events, {.u64 = id}};
  epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, it->second.fd, &event);
}

void EventLoop::remove(Id id) {
  const auto it = entries_.find(id);
  if (it == entries_.end()) return;
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, it->second.fd, nullptr);
  entries_.erase(it);
}

void EventLoop::post(std::function<void()> function) {
  {
    const std::lock_guard lock(mutex_);
    posted_.push_back(std::move(function));
  }
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = ::write(wake_.get(), &one, sizeof one);
}

void EventLoop::stop() {
  post([this] { stopped_ = true; });
}

void EventLoop::run_posted() {
  std::vector<std::function<void()>> functions;
  {
    const std::lock_guard lock(mutex_);
    functions.swap(posted_);
  }
  for (const auto& function : functions) function();
}

void EventLoop::run(const std::function<BootClock::time_point()>& tick) {
  std::array<epoll_event, 64> events;
  while (!stopped_) {
    const auto wait = std::chrono::ceil<std::chrono::milliseconds>(tick() - BootClock::now()).count();
    const int timeout = static_cast<int>(std::clamp<std::int64_t>(wait, 0, 60'000));
    const int count = epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), timeout);
    for (int i = 0; i < count; ++i) {
      const auto& event = events[static_cast<std::size_t>(i)];
      if (event.data.u64 == 0) {
        std::uint64_t ignored = 0;
        [[maybe_unused]] const ssize_t n = ::read(wake_.get(), &ignored, sizeof ignored);
        continue;
      }
      // An earlier callback of this turn may have removed it.
      const auto it = entries_.find(event.data.u64);
      if (it == entries_.end()) continue;
      const auto callback = it->second.callback;
      (*callback)(event.events);
    }
    run_posted();
  }
}

}  // namespace spool::process
