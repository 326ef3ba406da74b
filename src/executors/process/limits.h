// The limits of a sandboxed child, and of what it may say. All in one place, so that they can be read
// together.
#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "queue/job.h"

namespace spool::process {

// What the kernel enforces on a child.
struct Limits {
  std::int64_t memory_bytes = std::int64_t{4} << 30;  // of its cgroup; without one, its resident set, watched
  std::int64_t file_bytes = std::int64_t{64} << 30;   // of one file that it writes (RLIMIT_FSIZE)
  double cpu_seconds = 0;                             // of one attempt; 0: its timeout is limit enough
  int threads = 256;
  int open_files = 256;

  bool operator==(const Limits&) const = default;
};

// What an attempt's process did that wanted more, whoever noticed: its group, the watch, or it itself.
[[nodiscard]] inline std::string out_of_memory_words(std::int64_t limit_bytes) {
  return fmt::format("ran out of memory (limit {} MB)", limit_bytes >> 20);
}

// What a message may hold. A child that says more is killed.
inline constexpr std::size_t kMostMessageBytes = 16 << 20;          // child to manager: a large fan-out
inline constexpr std::size_t kMostMessageToChildBytes = 256 << 20;  // a claim with its children's results
inline constexpr std::size_t kMostMessageValues = 1 << 20;          // JSON values in one message
inline constexpr std::size_t kMostNameBytes = 1024;                 // of an output, a reference, a kind
inline constexpr std::size_t kMostReferenceBytes = 8192;
inline constexpr std::size_t kMostTextBytes = 4096;    // an error's message, a log line
inline constexpr std::size_t kMostDetailBytes = 4096;  // the detail of a progress message
inline constexpr std::size_t kMostOpenOutputs = 64;
inline constexpr std::size_t kMostOpenInputs = 64;         // that are no local files
inline constexpr std::int64_t kMostReadBytes = 256 << 10;  // of such an input, at once
inline constexpr std::size_t kMostNeeds = 4096;            // of one child of a fan-out
inline constexpr std::size_t kMostTags = 64;
inline constexpr std::size_t kMostChildren = 100'000;  // of a fan-out, whatever its kind's rule allows

}  // namespace spool::process
