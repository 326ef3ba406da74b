// What the kernel says of a process, read from /proc: its CPU time, memory and bytes read and written.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>

namespace spool::process {

struct ProcessStats {
  double cpu_seconds = 0;
  std::int64_t resident_bytes = 0;
  std::int64_t peak_bytes = 0;  // of its resident set, since it began or since reset_peak()
  // Through system calls (rchar, wchar); what is mapped is not counted. nullopt: not ours to see.
  std::optional<std::int64_t> bytes_read, bytes_written;
};

// nullopt: there is no such process, or it has ended.
[[nodiscard]] std::optional<ProcessStats> read_stats(pid_t pid);
// Best effort: without the right to do so the peak stays that of the whole life.
void reset_peak(pid_t pid);

}  // namespace spool::process
