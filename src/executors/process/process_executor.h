// ProcessExecutor: runs attempts in sandboxed children, each a `spool run-job` (run_job.h).
//
// One thread serves all children; a few more open and commit their files. start() and stop() never block and
// may come from any thread; the events come from the executor's thread. What a child does - crash, hang, lie
// - ends its attempt and nothing else. Without a sandbox every attempt is refused (kUnsupported), unless it
// was said that none is wanted. The destructor kills what runs and says Released for it.
#pragma once

#include <filesystem>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "executors/process/limits.h"
#include "queue/executor.h"

namespace spool {

struct ProcessOptions {
  std::filesystem::path program;  // empty: this program
  std::vector<std::string> arguments{"run-job"};
  std::filesystem::path bubblewrap;  // empty: where it usually is
  bool unsafe_no_sandbox = false;    // plain processes, with rlimits and seccomp only
  process::Limits limits;
  int spare_children = 2;  // started ahead, so that an attempt need not wait for one
  // No spare is started beyond so many children: where there is but one tree, whose children are used again.
  int most_with_spares = std::numeric_limits<int>::max();
  int most_idle = 4;  // kept for their owner's tree after an attempt
  Duration idle_timeout = std::chrono::seconds(10);
  int jobs_per_child = 64;
  std::int64_t recycle_above_bytes = std::int64_t{512} << 20;  // of resident memory, after an attempt
  Duration grace = std::chrono::seconds(5);                    // between the watchdog's word and its deed
};

class ProcessExecutor final : public Executor {
 public:
  // `files` and what `events` refers to outlive it.
  ProcessExecutor(ProcessOptions options, AttemptFiles& files, AttemptEvents events);
  ~ProcessExecutor() override;
  ProcessExecutor(const ProcessExecutor&) = delete;
  ProcessExecutor& operator=(const ProcessExecutor&) = delete;

  void start(std::shared_ptr<const Claim> claim, const Kind& kind) override;
  void stop(Uuid job, StopReason reason, Duration grace) override;
  void discard(std::shared_ptr<const Claim> claim) override;

 private:
  class Core;
  std::unique_ptr<Core> core_;
};

}  // namespace spool
