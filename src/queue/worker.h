// Worker: claims what it has free slots for, gives it to executors, settles what ends.
//
// One loop thread calls Store::exchange(settled, free slots); a second one renews the lease and sends
// reports. Media never runs on either. Thread-safe: drain() and stop() may come from any thread.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "queue/executor.h"
#include "queue/kind.h"
#include "queue/store.h"

namespace spool {

struct WorkerOptions {
  int slots = 2;
  std::vector<std::string> queues;  // empty: all
  std::vector<std::string> tags;
  Duration lease = std::chrono::seconds(30);
  Duration poll = std::chrono::seconds(1);
  Duration grace = std::chrono::seconds(10);  // between asking an attempt to stop and killing it
  std::string version = "dev";
};

class Worker {
 public:
  // `executors` gives the executor for a placement. Everything outlives the worker. The executors must have
  // been made with the AttemptEvents of events().
  Worker(Store& store, const Kinds& kinds, WorkerOptions options);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  [[nodiscard]] AttemptEvents events();
  void use(Placement placement, Executor& executor);

  // Runs until drained, stopped, or `until` (asked after every exchange, and woken by Store::wake) says so.
  Result<void> run(const std::function<bool()>& until = {});
  void drain();  // claim no more; return when what runs has ended (SIGTERM)
  void stop();   // stop what runs, release it, return (a second SIGTERM)

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace spool
