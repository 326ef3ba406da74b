// FileThreads: threads for what may block: files, and objects that are elsewhere.
//
// They are made when all others are at work, and stay. run() may be called from any thread. The destructor
// lets what has begun finish and drops the rest.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace spool {

class FileThreads {
 public:
  explicit FileThreads(std::size_t most) : most_(most) {
    threads_.emplace_back([this] { work(); });
  }
  FileThreads(const FileThreads&) = delete;
  FileThreads& operator=(const FileThreads&) = delete;
  ~FileThreads() {
    {
      const std::lock_guard lock(mutex_);
      stopped_ = true;
    }
    changed_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  void run(std::function<void()> function) {
    const std::lock_guard lock(mutex_);
    queue_.push_back(std::move(function));
    if (queue_.size() > idle_ && threads_.size() < most_) add_thread();
    changed_.notify_one();
  }

 private:
  void add_thread() {
    try {
      threads_.emplace_back([this] { work(); });
    } catch (const std::system_error&) {  // the machine has no more: those that are there do it
    }
  }

  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      ++idle_;
      changed_.wait(lock, [&] { return stopped_ || !queue_.empty(); });
      --idle_;
      if (stopped_) return;
      {
        const auto function = std::move(queue_.front());
        queue_.pop_front();
        lock.unlock();
        function();
      }
      lock.lock();
    }
  }

  const std::size_t most_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> queue_;
  std::vector<std::thread> threads_;
  std::size_t idle_ = 0;
  bool stopped_ = false;
};

}  // namespace spool
