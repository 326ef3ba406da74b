// What this machine has and lacks for sandboxed children, in words with the fix: for `spool doctor`.
#pragma once

#include <string>
#include <vector>

#include "executors/process/sandbox.h"

namespace spool {

struct SandboxFinding {
  std::string name;  // "bubblewrap", "user namespaces", "seccomp", "memory cgroup", "sandbox"
  bool good = false;
  bool needed = true;  // without it no media job runs; otherwise something works less well
  std::string words;   // what was found, or what is missing and what follows from it
  std::string fix;     // a command or a setting; empty where nothing is to be done
};

// Tries everything for real, as the user that asks; about 20 ms. The last finding, "sandbox", is the verdict.
[[nodiscard]] std::vector<SandboxFinding> check_sandbox(const process::SandboxOptions& options = {});

}  // namespace spool
