// Engine: the parts of a worker, wired: kinds, files, executors, the worker itself. Where `spool transcode`
// and `spool worker` meet.
#pragma once

#include <functional>
#include <memory>

#include "executors/inline_executor.h"
#include "executors/process/process_executor.h"
#include "objects/object_store.h"
#include "queue/worker.h"
#include "steps/attempt_files.h"
#include "steps/steps.h"

namespace spool {

struct EngineOptions {
  WorkerOptions worker;
  ProcessOptions process;
  steps::InputRules inputs;
  bool runs_media = true;  // false: jobs that need a sandbox are put off
  std::vector<PruneRules> retention;
};

class Engine {
 public:
  // Store and objects outlive it. `kinds` is the table, made by make_kinds() for the same `objects`.
  Engine(Store& store, ObjectStore& objects, Kinds kinds, EngineOptions options);

  [[nodiscard]] Worker& worker() { return worker_; }
  [[nodiscard]] const Kinds& kinds() const { return kinds_; }
  // After a run that was stopped: a handler in this process that does not listen cannot be ended, and
  // destroying the engine would wait for it. Its job is released: the process ends here, and children and
  // commands with it. Returns when there is no such handler.
  void leave_if_deaf(int exit_code) const;

 private:
  const Kinds kinds_;
  steps::ObjectAttemptFiles files_;
  Worker worker_;
  InlineExecutor inline_;
  ProcessExecutor process_;
};

// SIGTERM and SIGINT drain the worker, a second one stops it. Blocks both in every thread of the program:
// make it before the first thread, and only once.
class DrainOnSignals {
 public:
  DrainOnSignals();
  ~DrainOnSignals();
  DrainOnSignals(const DrainOnSignals&) = delete;
  DrainOnSignals& operator=(const DrainOnSignals&) = delete;

  // From now on; signals that came before are delivered. `drains` is called behind the first, when nothing is
  // claimed any more.
  void watch(Worker& worker, std::function<void()> drains = {});
  // The worker has returned and is not touched any more: what a second signal does from now on.
  void watch_end(std::function<void()> stops);
  [[nodiscard]] bool came() const;
  [[nodiscard]] bool came_twice() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace spool
