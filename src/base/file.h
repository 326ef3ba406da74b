// Files and descriptors: ownership, whole reads, atomic and durable writes, locks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace spool {

// Owns a descriptor.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    reset(other.release());
    return *this;
  }
  ~UniqueFd() { reset(); }

  [[nodiscard]] int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  [[nodiscard]] int release() { return std::exchange(fd_, -1); }
  void reset(int fd = -1);

 private:
  int fd_ = -1;
};

// Bytes that can be read at any offset: a local file, or (through the broker) an object elsewhere.
// read_at returns how many bytes it read, 0 at the end; it may be called from one thread at a time.
struct ByteSource {
  std::function<Result<std::size_t>(std::uint64_t offset, std::span<std::byte> into)> read_at;
  std::uint64_t size = 0;
  std::string name;          // for messages only
  std::string version = {};  // sources of one object and one version have the same bytes; empty: not known
};
// Takes the descriptor over.
[[nodiscard]] Result<ByteSource> file_source(UniqueFd fd, std::string name);

// A file without a name, for reading and writing; it is gone with its last descriptor.
[[nodiscard]] Result<UniqueFd> nameless_file(const std::filesystem::path& folder);
[[nodiscard]] Result<UniqueFd> open_file(const std::filesystem::path& path, int flags, int mode = 0644);
// For reading, by people's word. Whatever is no regular file is refused (kInvalidArgument), and never waited
// for.
[[nodiscard]] Result<UniqueFd> open_regular_file(const std::filesystem::path& path);
// Errors: kLimitExceeded beyond `most` bytes.
[[nodiscard]] Result<std::string> read_file(const std::filesystem::path& path, std::size_t most = 64u << 20);
[[nodiscard]] Result<void> write_all(int fd, std::span<const std::byte> bytes);
// Temporary name beside it, fsync, rename, fsync of the folder: readers see the old file or the new one,
// whole.
[[nodiscard]] Result<void> write_file_atomic(const std::filesystem::path& path,
                                             std::span<const std::byte> bytes);
[[nodiscard]] Result<void> sync_folder(const std::filesystem::path& folder);

// An exclusive flock on a file (made if missing), held until destruction or death of the process.
class FileLock {
 public:
  // nullopt: somebody else holds it.
  [[nodiscard]] static Result<std::optional<FileLock>> try_lock(const std::filesystem::path& path);
  [[nodiscard]] static Result<FileLock> lock(const std::filesystem::path& path);  // waits

 private:
  explicit FileLock(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace spool
