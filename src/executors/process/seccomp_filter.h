// The system calls that a child may make, once it has been started and before it has seen a byte of media.
#pragma once

#include "base/error.h"

namespace spool::process {

// An allow-list for this process and all its threads, for good. What it does with the rest:
// - what no honest codec asks for (execve, ptrace, mount, bpf, ...) kills the process: SIGSYS names the
// attempt;
// - what libraries try in passing (socket, fork, kill, opening a file to write, ...) is refused with EPERM;
// - what is unknown is refused with ENOSYS, so that the C library takes the older way it has.
// Errors: kUnsupported when the kernel knows no filters.
[[nodiscard]] Result<void> apply_seccomp_filter();

// What apply_seccomp_filter() needs, asked without applying anything.
[[nodiscard]] bool seccomp_available();

}  // namespace spool::process
