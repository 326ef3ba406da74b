// Where a child runs: which program, seen through which bubblewrap, as which user.
//
// Sandbox::find looks once at what this machine can do; the value is then a recipe for command lines.
// Immutable; thread-safe.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "executors/process/limits.h"

namespace spool::process {

// Descriptor 3 of a child is its socket to its manager.
inline constexpr int kChildSocket = 3;

struct SandboxOptions {
  std::filesystem::path program;  // empty: this one
  std::vector<std::string> arguments{"run-job"};
  std::filesystem::path bubblewrap;  // empty: looked for in /usr/bin, /bin, /usr/local/bin
  bool unsafe_no_sandbox = false;
};

// A command line, and who runs it.
struct Command {
  std::vector<std::string> words;
  std::optional<uid_t> run_as;  // the manager is root: its children are not
};

class Sandbox {
 public:
  // Tries it: starts a program that does nothing in it. About 10 ms. Errors: kUnsupported, with what to
  // install or to allow; kNotFound for a program that is not there.
  [[nodiscard]] static Result<Sandbox> find(const SandboxOptions& options);

  // Without a memory cgroup the address space is limited, far above what is watched for.
  [[nodiscard]] Command command(const Limits& limits, bool has_cgroup) const;
  [[nodiscard]] bool unsafe() const { return bubblewrap_.empty(); }
  // bubblewrap ties its second process to the life of the first only when the sandbox stands. A manager that
  // is killed before leaves one that waits for ever: this ends such, of this program. Looks at all of /proc.
  void end_orphans() const;

 private:
  [[nodiscard]] Command wrap(const std::vector<std::string>& inner,
                             const std::vector<std::string>& more) const;
  [[nodiscard]] Result<void> try_out() const;

  std::filesystem::path program_, bubblewrap_;
  std::vector<std::string> arguments_;
  std::vector<std::filesystem::path> libraries_;  // folders, and files elsewhere
  std::optional<uid_t> run_as_;
};

// bubblewrap's path, or empty.
[[nodiscard]] std::filesystem::path find_bubblewrap();
// Why user namespaces cannot be had, with what to do; empty when nothing forbids them.
[[nodiscard]] std::string user_namespaces_forbidden();

}  // namespace spool::process
