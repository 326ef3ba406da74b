// A worker on a thread of its own, with inline handlers. For tests.
#pragma once

#include <gtest/gtest.h>

#include <future>
#include <semaphore>
#include <thread>

#include "executors/inline_executor.h"
#include "queue/worker.h"
#include "support/faulty_store.h"

namespace spool::test {

using namespace std::chrono_literals;

inline Kind inline_kind(std::string name, Handler run) {
  Kind kind;
  kind.name = std::move(name);
  kind.run = std::move(run);
  kind.placement = Placement::kInline;
  return kind;
}

inline NewJob new_job(std::string kind) {
  NewJob job;
  job.kind = std::move(kind);
  return job;
}

inline WorkerOptions quick(int slots = 2) {
  WorkerOptions options;
  options.slots = slots;
  options.poll = 10ms;
  options.report = 10ms;
  options.grace = 100ms;
  return options;
}

inline Uuid insert_one(Store& store, NewJob job) {
  auto inserted = store.insert(std::span(&job, 1));
  EXPECT_TRUE(inserted && (*inserted)[0]);
  return (*inserted)[0]->id;
}

// Runs until destroyed (stop) or drained.
class RunningWorker {
 public:
  RunningWorker(Store& store, const Kinds& kinds, const WorkerOptions& options = quick())
      : worker_(store, kinds, options), executor_(worker_.events(), nullptr) {
    worker_.use(Placement::kInline, executor_);
    result_ = std::async(std::launch::async, [this] { return worker_.run(); });
  }
  ~RunningWorker() {
    worker_.stop();
    if (result_.valid()) result_.wait();
  }
  Worker& operator*() { return worker_; }
  Worker* operator->() { return &worker_; }
  Result<void> wait() { return result_.get(); }

 private:
  Worker worker_;
  InlineExecutor executor_;
  std::future<Result<void>> result_;
};

// Holds handlers until they are let go; ends with its own destruction at the latest.
class Gate {
 public:
  void wait_inside() {
    entered_.release();
    std::unique_lock lock(mutex_);
    opened_.wait(lock, [&] { return open_; });
  }
  void await_entered() { entered_.acquire(); }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    opened_.notify_all();
  }

 private:
  std::counting_semaphore<> entered_{0};
  std::mutex mutex_;
  std::condition_variable opened_;
  bool open_ = false;
};

// Waits until the attempt is asked to stop.
inline void await_stop(Attempt& attempt) {
  std::mutex mutex;
  std::condition_variable_any changed;
  std::unique_lock lock(mutex);
  changed.wait(lock, attempt.stop_token(), [] { return false; });
}

}  // namespace spool::test
