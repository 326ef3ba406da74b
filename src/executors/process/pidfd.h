// pidfd_open(2) and pidfd_send_signal(2) as system calls: glibc 2.36 declares them without C linkage.
#pragma once

#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/file.h"

namespace spool::process {

// Empty when there is no such process (errno says why).
[[nodiscard]] inline UniqueFd open_pidfd(pid_t pid) {
  return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
}
// A process that is gone already is fine.
inline void signal_pidfd(int pidfd, int signal) {
  (void)::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0);
}

}  // namespace spool::process
