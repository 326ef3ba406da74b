#include "executors/process/sandbox.h"

#include <fmt/format.h>
#include <link.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "base/file.h"
#include "executors/process/clean_text.h"
#include "executors/process/sanitizers.h"
#include "executors/process/spawn.h"

namespace spool::process {
namespace {

constexpr const char* kInsideProgram = "/run/spool/program";
constexpr const char* kInsideProbe = "/run/spool/probe";
constexpr uid_t kNobody = 65534;
constexpr std::int64_t kDataSlack = std::int64_t{1}
                                    << 30;  // stacks and heaps that are reserved and never touched

bool is_system(const std::filesystem::path& path) {
  const std::string text = path.string();
  return text.starts_with("/usr/lib") || text.starts_with("/lib") || text.starts_with("/usr/local/lib");
}

int collect_library(dl_phdr_info* info, std::size_t, void* into) {
  const std::filesystem::path path(info->dlpi_name);
  if (!path.is_absolute()) return 0;
  auto& found = *static_cast<std::set<std::filesystem::path>*>(into);
  std::error_code error;
  const auto real = std::filesystem::canonical(path, error);
  if (error) return 0;
  for (const auto& each : {path, real}) found.insert(is_system(each) ? each.parent_path() : each);
  return 0;
}

// Everything that this process has loaded. The child is the same program, or one beside it, and needs the
// same. System libraries by their folder: FFmpeg brings 160 of them, and a mount each costs more than
// starting the program does; what is beside them in /usr/lib is public. Libraries from elsewhere one by one.
std::vector<std::filesystem::path> library_places() {
  std::set<std::filesystem::path> places{"/lib64", "/usr/lib64"};
  dl_iterate_phdr(collect_library, &places);
  std::vector<std::filesystem::path> found;
  for (const auto& place : places) {
    const bool inside = std::any_of(found.begin(), found.end(), [&](const auto& outer) {
      return place.string().starts_with(outer.string() + "/");
    });
    if (!inside && std::filesystem::exists(place)) found.push_back(place);
  }
  return found;
}

std::string value_of(const char* file) {
  std::string text = read_file(file).value_or("");
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

}  // namespace

std::filesystem::path find_bubblewrap() {
  for (const char* path : {"/usr/bin/bwrap", "/bin/bwrap", "/usr/local/bin/bwrap"})
    if (::access(path, X_OK) == 0) return path;
  return {};
}

std::string user_namespaces_forbidden() {
  if (value_of("/proc/sys/user/max_user_namespaces") == "0")
    return "user namespaces are turned off: sysctl user.max_user_namespaces=10000";
  if (::geteuid() == 0) return {};
  if (value_of("/proc/sys/kernel/unprivileged_userns_clone") == "0")
    return "ordinary users may make no user namespaces: sysctl kernel.unprivileged_userns_clone=1";
  if (value_of("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1")
    return "AppArmor forbids user namespaces: sysctl kernel.apparmor_restrict_unprivileged_userns=0, or a "
           "profile "
           "for bwrap";
  return {};
}

Result<Sandbox> Sandbox::find(const SandboxOptions& options) {
  Sandbox sandbox;
  std::error_code error;
  sandbox.program_ =
      std::filesystem::canonical(options.program.empty() ? "/proc/self/exe" : options.program, error);
  if (error) return fail_errno(error.value(), options.program.string());
  sandbox.arguments_ = options.arguments;
  if (options.unsafe_no_sandbox) return sandbox;

  sandbox.bubblewrap_ = options.bubblewrap.empty() ? find_bubblewrap() : options.bubblewrap;
  if (sandbox.bubblewrap_.empty() || ::access(sandbox.bubblewrap_.c_str(), X_OK) != 0)
    return fail(Code::kUnsupported, "no sandbox: bubblewrap is not installed (apt install bubblewrap)");
  sandbox.libraries_ = library_places();
  // Root's children run as nobody, where nobody can reach the program.
  if (::geteuid() == 0) {
    sandbox.run_as_ = kNobody;
    if (sandbox.try_out()) return sandbox;
    sandbox.run_as_.reset();
  }
  if (auto tried = sandbox.try_out(); !tried) return fail(std::move(tried).error());
  return sandbox;
}

Command Sandbox::command(const Limits& limits, bool has_cgroup) const {
  std::vector<std::string> inner{unsafe() ? program_.string() : kInsideProgram};
  inner.insert(inner.end(), arguments_.begin(), arguments_.end());
  inner.push_back(fmt::format("--file-bytes={}", limits.file_bytes));
  inner.push_back(fmt::format("--open-files={}", limits.open_files));
  inner.push_back(fmt::format("--memory-bytes={}", limits.memory_bytes));
  if (!has_cgroup) inner.push_back(fmt::format("--data-bytes={}", limits.memory_bytes + kDataSlack));
  // Without a namespace of their own, the user's other processes would count too.
  if (!unsafe()) inner.push_back(fmt::format("--threads={}", limits.threads));
  if (unsafe()) return {std::move(inner), std::nullopt};
  return wrap(inner, {});
}

Command Sandbox::wrap(const std::vector<std::string>& inner, const std::vector<std::string>& more) const {
  Command command{{bubblewrap_.string(), "--unshare-user", "--unshare-net", "--unshare-pid", "--unshare-ipc",
                   "--unshare-uts", "--unshare-cgroup-try", "--die-with-parent", "--new-session",
                   "--cap-drop", "ALL", "--hostname", "spool", "--uid", "65534", "--gid", "65534"},
                  run_as_};
  auto& words = command.words;
  const auto bind = [&](const char* how, const std::string& from, const std::string& to) {
    words.insert(words.end(), {how, from, to});
  };
  for (const auto& place : libraries_) bind("--ro-bind", place.string(), place.string());
  // Where the loader looks: folders by name, and libraries that are links through /etc/alternatives.
  for (const char* path : {"/etc/ld.so.cache", "/etc/alternatives"}) bind("--ro-bind-try", path, path);
  for (const char* device : {"/dev/null", "/dev/urandom"}) bind("--dev-bind", device, device);
  if (kUnderSanitizer) words.insert(words.end(), {"--proc", "/proc"});  // their own start reads it
  bind("--ro-bind", program_.string(), kInsideProgram);
  words.insert(words.end(), more.begin(), more.end());
  words.insert(words.end(), {"--remount-ro", "/", "--chdir", "/", "--"});
  words.insert(words.end(), inner.begin(), inner.end());
  return command;
}

Result<void> Sandbox::try_out() const {
  const auto said = run_to_end(wrap({kInsideProbe}, {"--ro-bind", "/usr/bin/true", kInsideProbe}));
  if (!said) return fail(said.error());
  if (said->status == 0) return {};
  std::string reason = user_namespaces_forbidden();
  if (reason.empty()) reason = printable(said->output, 400);
  return fail(Code::kUnsupported,
              fmt::format("no sandbox: {}", reason.empty() ? "bwrap fails silently" : reason));
}

}  // namespace spool::process
