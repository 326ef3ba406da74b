// Child: one sandboxed process, as its manager holds it: its socket, its output, its memory group, its end.
//
// Belongs to the event loop's thread. Destroying one kills the process and waits for it.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "executors/process/channel.h"
#include "executors/process/clean_text.h"
#include "executors/process/event_loop.h"
#include "executors/process/memory_cgroup.h"
#include "executors/process/process_stats.h"
#include "executors/process/sandbox.h"
#include "executors/process/spawn.h"

namespace spool::process {

class Child;

// How a process ended.
struct Gone {
  int exit_code = 0;
  int signal = 0;  // 0: it exited
  bool out_of_memory = false;
  // "killed by SIGSEGV (Segmentation fault)", "exited with code 3", "ran out of memory (limit 4096 MB)".
  [[nodiscard]] std::string words(std::int64_t memory_limit) const;
};

class ChildListener {
 public:
  virtual ~ChildListener() = default;
  virtual void on_message(Child& child, FromChild message) = 0;
  // It broke the protocol. Nothing more will be received from it.
  virtual void on_violation(Child& child, Error error) = 0;
  // It closed its socket; most often because it ends, and on_gone follows.
  virtual void on_closed(Child& child) = 0;
  // The process is gone; all that it said was told before. The listener may destroy the child.
  virtual void on_gone(Child& child, const Gone& gone) = 0;
};

class Child {
 public:
  // `cgroups` may be unable to make groups: the memory is then for others to watch. Errors: the kernel's.
  static Result<std::unique_ptr<Child>> start(EventLoop& loop, ChildListener& listener,
                                              const Sandbox& sandbox, const Limits& limits,
                                              const MemoryCgroups& cgroups);
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child();

  void send(const FromManager& message, UniqueFd descriptor = {});
  void kill();  // at once; on_gone follows
  // nullopt before it has spoken, and after its end.
  [[nodiscard]] std::optional<ProcessStats> stats() const;
  void forget_peak() const;
  [[nodiscard]] bool has_cgroup() const { return cgroup_.has_value(); }
  // What it wrote on stderr and what was logged for it.
  [[nodiscard]] Tail& log() { return log_; }
  // Takes what it has written on stderr so far.
  void read_output();

 private:
  Child(EventLoop& loop, ChildListener& listener, UniqueFd socket)
      : loop_(loop), listener_(listener), channel_(std::move(socket)) {}
  Result<void> watch();
  void receive();
  void on_socket(std::uint32_t events);
  void on_exit();
  [[nodiscard]] Gone reap();

  EventLoop& loop_;
  ChildListener& listener_;
  ManagerChannel channel_;
  UniqueFd output_;
  Spawned process_;
  bool sandboxed_ = true;
  UniqueFd inner_;  // of the process inside the sandbox, once it has spoken
  std::optional<MemoryCgroup> cgroup_;
  EventLoop::Id socket_id_ = 0, output_id_ = 0, exit_id_ = 0;
  bool listening_ = true;  // to its words
  bool writing_ = false;
  bool reaped_ = false;
  Tail log_{kMostLogTailBytes};
};

}  // namespace spool::process
