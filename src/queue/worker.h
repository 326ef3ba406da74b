// Worker: claims what it has free slots for, gives it to executors, settles what ends.
//
// run()'s thread is the loop: one call of Store::exchange(settled, free slots) a turn. Beside it are a keeper
// (renews the lease, sends reports, rescues, inserts what schedules ask for), a watch that never touches the
// store (timeouts, the own lease), a listener (waits for the store's hints), a sweeper (removes objects of
// purged jobs), an ObjectWatch and, when a kind wants it, one for follow-ups. Media runs on none of them.
// docs/worker_protocol.md tells the whole. Thread-safe: drain() and stop() may come from any thread.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
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
  std::optional<Duration> housekeeping;       // between rescues, and between sweeps; as poll
  Duration grace = std::chrono::seconds(10);  // between asking an attempt to stop and killing it
  bool waits_for_space = true;                // when the store is full; else run() returns kStorageFull
  Duration report = std::chrono::seconds(1);  // progress of a job goes to the store at most that often
  std::string version = "dev";
  // Removes the objects of jobs that were purged (Store::purged), until `stop` says so. Called now and then,
  // from a thread of its own. Empty: this worker does not sweep.
  std::function<Result<void>(Store&, const std::function<bool()>& stop)> sweep;
  // Whether the objects answer, and serve this worker at all: one small call of theirs, of seconds at
  // most. Asked, from a thread of its own, when an attempt has failed; while they do not, failures charge
  // nothing and nothing is claimed. Empty: they are never away.
  std::function<Result<void>()> ask_objects;
  // Called by stop(), when all that runs has been asked to stop, and by the end of a run that is asking the
  // objects: what is waited for beside the store shall fail now. May be empty.
  std::function<void()> interrupt;
};

class Worker {
 public:
  // Everything outlives the worker. The executors must have been made with the AttemptEvents of events().
  Worker(Store& store, const Kinds& kinds, WorkerOptions options);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  [[nodiscard]] AttemptEvents events();
  // Jobs of a placement without an executor, and of kinds that are not known here, are put off, uncharged.
  void use(Placement placement, Executor& executor);

  // Runs until drained, stopped, or `until` (asked after every exchange, and woken by Store::wake) says so;
  // what still runs then is stopped and released. May be called again when it has returned, one call at a
  // time. A store that is busy, away or full is waited for; anything else that it says ends the run with that
  // error.
  Result<void> run(const std::function<bool()>& until = {});
  // Whether a claim of this worker's may get that job, once it is available; and whether it can run it then.
  [[nodiscard]] bool may_claim(const Job& job) const;
  [[nodiscard]] bool can_run(const Job& job) const;
  void drain();  // claim no more; return when what runs has ended (SIGTERM)
  void stop();   // stop what runs, release it, return (a second SIGTERM)

 private:
  struct State;
  std::shared_ptr<State> state_;  // shared with events(), which an executor may call late
};

}  // namespace spool
