#include "executors/process/memory_cgroup.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <charconv>
#include <mutex>
#include <sstream>
#include <vector>

namespace spool::process {
namespace {

constexpr std::string_view kPrefix = "spool-";

Result<void> write_value(const std::filesystem::path& file, std::string_view value) {
  SPOOL_ASSIGN(const UniqueFd fd, open_file(file, O_WRONLY));
  return write_all(fd.get(), std::as_bytes(std::span(value)));
}

// Of a line of /proc/self/cgroup, "4:memory:/a/b", the path whose controllers hold `controller`; of version
// 2's line, "0::/a", where it is empty (cgroups(7)).
std::optional<std::string> own_group(const std::string& text, std::string_view controller) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const bool match = controller.empty()
                           ? controllers == ",,"
                           : controllers.find(fmt::format(",{},", controller)) != std::string::npos;
    if (match) return line.substr(second + 2);
  }
  return std::nullopt;
}

// Groups whose last process was still on its way out.
class Leftovers {
 public:
  void add(std::filesystem::path folder) {
    const std::lock_guard lock(mutex_);
    folders_.push_back(std::move(folder));
  }
  void remove_all() {
    const std::lock_guard lock(mutex_);
    std::erase_if(folders_,
                  [](const auto& folder) { return ::rmdir(folder.c_str()) == 0 || errno != EBUSY; });
  }

 private:
  std::mutex mutex_;
  std::vector<std::filesystem::path> folders_;
};
Leftovers& leftovers() {
  static Leftovers all;
  return all;
}

bool can_make_groups(const std::filesystem::path& folder, std::string_view limit_file) {
  const auto probe = folder / fmt::format("{}{}-probe", kPrefix, getpid());
  if (::mkdir(probe.c_str(), 0755) != 0 && errno != EEXIST) return false;
  const bool good = ::access((probe / limit_file).c_str(), W_OK) == 0;
  ::rmdir(probe.c_str());
  return good;
}

// Version 2 lets a group with processes hand no controllers down: this process moves into a leaf first. That
// works where the group is ours alone (systemd's Delegate=yes, a container).
bool hand_down(const std::filesystem::path& folder) {
  const auto leaf = folder / "spool-manager";
  if (::mkdir(leaf.c_str(), 0755) != 0 && errno != EEXIST) return false;
  if (!write_value(leaf / "cgroup.procs", "0")) return false;
  if (write_value(folder / "cgroup.subtree_control", "+memory")) return true;
  (void)write_value(folder / "cgroup.procs", "0");
  ::rmdir(leaf.c_str());
  return false;
}

}  // namespace

MemoryCgroup::~MemoryCgroup() {
  if (procs_ && ::rmdir(folder_.c_str()) != 0 && errno == EBUSY) leftovers().add(folder_);
}

std::int64_t MemoryCgroup::oom_kills() const {
  const auto text = read_file(folder_ / (unified_ ? "memory.events" : "memory.oom_control"));
  if (!text) return 0;
  const auto at = text->find("\noom_kill ");
  if (at == std::string::npos) return 0;
  std::int64_t kills = 0;
  std::from_chars(text->data() + at + 10, text->data() + text->size(), kills);
  return kills;
}

MemoryCgroups MemoryCgroups::find(const std::filesystem::path& root) {
  MemoryCgroups groups;
  const std::string own = read_file(root / "proc/self/cgroup").value_or("");
  if (const auto path = own_group(own, "memory")) {
    const auto folder = root / "sys/fs/cgroup/memory" / *path;
    if (can_make_groups(folder, "memory.limit_in_bytes")) {
      groups.parent_ = folder;
      groups.words_ = fmt::format("cgroup v1, below {}", folder.string());
    } else {
      groups.words_ = fmt::format("{} is not writable for this user", folder.string());
    }
    return groups;
  }
  const auto path = own_group(own, "");
  if (!path) {
    groups.words_ = "this kernel has no cgroups";
    return groups;
  }
  const auto folder = root / "sys/fs/cgroup" / *path;
  const bool known =
      read_file(folder / "cgroup.controllers").value_or("").find("memory") != std::string::npos;
  if (known && (can_make_groups(folder, "memory.max") || hand_down(folder))) {
    groups.parent_ = folder;
    groups.unified_ = true;
    groups.words_ = fmt::format("cgroup v2, below {}", folder.string());
  } else {
    groups.words_ = fmt::format("{} hands no memory controller to this user", folder.string());
  }
  return groups;
}

Result<MemoryCgroup> MemoryCgroups::make(std::int64_t limit_bytes) const {
  static std::atomic<std::uint64_t> count{0};
  if (!parent_) return fail(Code::kUnsupported, words_);
  const auto folder = *parent_ / fmt::format("{}{}-{}", kPrefix, getpid(), ++count);
  if (::mkdir(folder.c_str(), 0755) != 0) return fail_errno(errno, folder.string());
  const std::string limit = std::to_string(limit_bytes);
  auto prepare = [&]() -> Result<UniqueFd> {
    SPOOL_TRY(write_value(folder / (unified_ ? "memory.max" : "memory.limit_in_bytes"), limit));
    // Swap would let it grow beyond the limit; not every kernel counts it.
    (void)write_value(folder / (unified_ ? "memory.swap.max" : "memory.memsw.limit_in_bytes"),
                      unified_ ? "0" : limit);
    return open_file(folder / "cgroup.procs", O_WRONLY);
  };
  Result<UniqueFd> procs = prepare();
  if (!procs) {
    ::rmdir(folder.c_str());
    return fail(std::move(procs).error());
  }
  return MemoryCgroup(folder, unified_, std::move(*procs));
}

void MemoryCgroups::sweep() const {
  leftovers().remove_all();
  if (!parent_) return;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(*parent_, error)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(kPrefix)) continue;
    pid_t pid = 0;
    std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), pid);
    // One of a living manager may be about to be joined.
    if (pid <= 0 || ::kill(pid, 0) == 0 || errno != ESRCH) continue;
    // Left in it: what was being started in the moment in which its manager was killed.
    std::istringstream left(read_file(entry.path() / "cgroup.procs").value_or(""));
    for (pid_t orphan = 0; left >> orphan;) ::kill(orphan, SIGKILL);
    ::rmdir(entry.path().c_str());
  }
}

}  // namespace spool::process
