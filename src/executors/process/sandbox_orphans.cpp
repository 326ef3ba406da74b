#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <sstream>

#include "executors/process/pidfd.h"
#include "executors/process/sandbox.h"

namespace spool::process {
namespace {

struct Process {
  std::vector<std::string> words;  // its command line
  pid_t parent = 0;
  uid_t user = 0;
  int namespaces = 0;  // of pids, ours among them, that it is in
};

std::optional<Process> look_at(pid_t pid) {
  const auto line = read_file(fmt::format("/proc/{}/cmdline", pid));
  const auto status = read_file(fmt::format("/proc/{}/status", pid));
  if (!line || !status) return std::nullopt;
  Process process;
  std::istringstream words(*line), lines(*status);
  for (std::string word; std::getline(words, word, '\0');) process.words.push_back(word);
  for (std::string text; std::getline(lines, text);) {
    std::istringstream values(text);
    std::string key;
    values >> key;
    if (key == "PPid:") values >> process.parent;
    if (key == "Uid:") values >> process.user;
    if (key == "NSpid:")
      for (pid_t each = 0; values >> each;) ++process.namespaces;
  }
  return process;
}

bool runs(const std::optional<Process>& process, const std::string& program) {
  return process && !process->words.empty() && process->words.front() == program;
}

}  // namespace

void Sandbox::end_orphans() const {
  if (unsafe()) return;
  const auto is_orphan = [&](pid_t pid) {
    const auto process = look_at(pid);
    if (!runs(process, bubblewrap_) || process->namespaces <= 1 ||
        (process->user != ::geteuid() && process->user != run_as_) ||
        std::count(process->words.begin(), process->words.end(), program_.string()) == 0)
      return false;
    // It was given to a process of our own world: in a container's it would be the container's.
    const auto parent = look_at(process->parent);
    return parent && parent->namespaces == 1 && !runs(parent, bubblewrap_);
  };
  std::error_code error;
  std::filesystem::directory_iterator it("/proc", error);
  for (; !error && it != std::filesystem::directory_iterator(); it.increment(error)) {
    const std::string name = it->path().filename();
    pid_t pid = 0;
    if (std::from_chars(name.data(), name.data() + name.size(), pid).ec != std::errc() || !is_orphan(pid))
      continue;
    const UniqueFd handle = open_pidfd(pid);
    if (handle && is_orphan(pid)) signal_pidfd(handle.get(), SIGKILL);  // the same one: it is held now
  }
}

}  // namespace spool::process
