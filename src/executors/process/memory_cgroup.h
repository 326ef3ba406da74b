// A memory cgroup of its own for each child: the kernel then ends the child that wants too much, and nothing
// else.
//
// MemoryCgroups finds out once where groups can be made; MemoryCgroup owns one. Version 1 (a group below this
// process's own) and version 2 (where this process may hand controllers down) are known. Thread-safe.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "base/file.h"

namespace spool::process {

class MemoryCgroup {
 public:
  MemoryCgroup(MemoryCgroup&&) = default;
  MemoryCgroup& operator=(MemoryCgroup&&) = delete;
  // Removes the group if nothing runs in it; if something still does, its cleaner removes it later.
  ~MemoryCgroup();

  // A descriptor of cgroup.procs: who writes "0" to it joins.
  [[nodiscard]] int procs() const { return procs_.get(); }
  // How many processes in it the kernel has killed for want of memory.
  [[nodiscard]] std::int64_t oom_kills() const;

 private:
  friend class MemoryCgroups;
  MemoryCgroup(std::filesystem::path folder, bool unified, UniqueFd procs)
      : folder_(std::move(folder)), unified_(unified), procs_(std::move(procs)) {}

  std::filesystem::path folder_;
  bool unified_;
  UniqueFd procs_;
};

class MemoryCgroups {
 public:
  // Looks in /proc/self and below /sys/fs/cgroup; `root` replaces "/" in tests.
  [[nodiscard]] static MemoryCgroups find(const std::filesystem::path& root = "/");

  [[nodiscard]] bool available() const { return parent_.has_value(); }
  // Where groups are made, or why they cannot be, for people.
  [[nodiscard]] const std::string& words() const { return words_; }
  // Errors: the kernel's.
  [[nodiscard]] Result<MemoryCgroup> make(std::int64_t limit_bytes) const;
  // Removes what earlier groups of this process, and of dead ones, have left.
  void sweep() const;

 private:
  std::optional<std::filesystem::path> parent_;
  bool unified_ = false;
  std::string words_;
};

}  // namespace spool::process
