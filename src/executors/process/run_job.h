// The child's side: what `spool run-job` does. A worker starts it, inside the sandbox, with a socket as
// descriptor 3.
//
// It limits itself (rlimits, seccomp), says that it is ready, and runs the attempts it is told to, one after
// the other, until its manager closes the socket or dies; then it is gone at once.
#pragma once

#include "queue/kind.h"

namespace spool {

// Give it argc and argv of main() when argv[1] is "run-job". The exit code: 0 when the manager closed the
// socket, 2 when a person started it, 3 when it could not limit itself. Does not throw.
[[nodiscard]] int run_job_main(const Kinds& kinds, int argc, char** argv);

}  // namespace spool
