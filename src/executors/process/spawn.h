// Starting a process from a program with many threads: between fork and exec nothing but system calls.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/file.h"
#include "executors/process/sandbox.h"

namespace spool::process {

struct Spawn {
  Command command;
  int socket = -1;        // becomes descriptor 3; -1: none
  int output = -1;        // becomes stdout and stderr
  int cgroup_procs = -1;  // joined before exec; -1: none
};

struct Spawned {
  pid_t pid = 0;
  UniqueFd pidfd;
};

// The process has no environment, no other descriptor, a session of its own, and dies with the calling thread
// (PR_SET_PDEATHSIG is the thread's): call it from one that lives as long as the process may.
// Errors: kUnavailable; what exec said, as an errno.
[[nodiscard]] Result<Spawned> spawn(const Spawn& what);

struct Said {
  int status = 0;      // an exit code, or 128 + a signal
  std::string output;  // at most 64 KiB
};
// Starts it, reads what it says, waits for its end. For short ones.
[[nodiscard]] Result<Said> run_to_end(const Command& command);

}  // namespace spool::process
