#include "executors/process/sandbox_check.h"

#include <fmt/format.h>
#include <unistd.h>

#include <string_view>

#include "executors/process/memory_cgroup.h"
#include "executors/process/seccomp_filter.h"
#include "executors/process/spawn.h"

namespace spool {
namespace {

using namespace process;

SandboxFinding bubblewrap(const SandboxOptions& options) {
  const auto path = options.bubblewrap.empty() ? find_bubblewrap() : options.bubblewrap;
  if (path.empty() || ::access(path.c_str(), X_OK) != 0)
    return {"bubblewrap", false, true, "not installed", "apt install bubblewrap"};
  const auto said = run_to_end({{path.string(), "--version"}, std::nullopt});
  const std::string version =
      said && said->status == 0 ? said->output.substr(0, said->output.find('\n')) : "?";
  return {"bubblewrap", true, true, fmt::format("{} ({})", path.string(), version), ""};
}

SandboxFinding user_namespaces() {
  const std::string why = user_namespaces_forbidden();
  if (why.empty()) return {"user namespaces", true, true, "allowed", ""};
  const auto colon = why.find(": ");
  return {"user namespaces", false, true, why.substr(0, colon), why.substr(colon + 2)};
}

SandboxFinding seccomp() {
  if (seccomp_available()) return {"seccomp", true, true, "the kernel filters system calls", ""};
  return {"seccomp", false, true, "the kernel filters no system calls",
          "a kernel with CONFIG_SECCOMP_FILTER; in a container, one that allows prctl(PR_SET_SECCOMP)"};
}

SandboxFinding memory() {
  const auto groups = MemoryCgroups::find();
  if (groups.available()) return {"memory cgroup", true, false, groups.words(), ""};
  return {
      "memory cgroup", false, false,
      fmt::format(
          "{}: a child's memory is watched instead, twice a second, and a sudden one may get further than "
          "its limit",
          groups.words()),
      "run the worker as a systemd service with Delegate=memory, or as root"};
}

SandboxFinding verdict(const SandboxOptions& options) {
  const auto sandbox = Sandbox::find(options);
  if (sandbox) return {"sandbox", true, true, "media jobs run in a sandbox", ""};
  return {"sandbox", false, true, sandbox.error().message + "; jobs that read media are not run",
          "what is said above; or --unsafe-no-sandbox, for files that you trust"};
}

}  // namespace

std::vector<SandboxFinding> check_sandbox(const SandboxOptions& options) {
  return {bubblewrap(options), user_namespaces(), seccomp(), memory(), verdict(options)};
}

}  // namespace spool
