#include "base/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "base/id.h"

namespace spool {

void UniqueFd::reset(int fd) {
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

Result<ByteSource> file_source(UniqueFd fd, std::string name) {
  struct stat info {};
  if (fstat(fd.get(), &info) != 0) return fail_errno(errno, name);
  if (!S_ISREG(info.st_mode))
    return fail(Code::kInvalidArgument, fmt::format("{}: not a regular file", name));
  auto shared = std::make_shared<UniqueFd>(std::move(fd));
  ByteSource source;
  source.size = static_cast<std::uint64_t>(info.st_size);
  source.read_at = [shared, name](std::uint64_t offset, std::span<std::byte> into) -> Result<std::size_t> {
    for (;;) {
      const ssize_t n = pread(shared->get(), into.data(), into.size(), static_cast<off_t>(offset));
      if (n >= 0) return static_cast<std::size_t>(n);
      if (errno != EINTR) return fail_errno(errno, name);
    }
  };
  source.name = std::move(name);
  return source;
}

Result<UniqueFd> nameless_file(const std::filesystem::path& folder) {
  return open_file(folder, O_TMPFILE | O_RDWR, 0600);
}

Result<UniqueFd> open_file(const std::filesystem::path& path, int flags, int mode) {
  for (;;) {
    UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC, mode));
    if (fd) return fd;
    if (errno != EINTR) return fail_errno(errno, path.string());
  }
}

Result<UniqueFd> open_regular_file(const std::filesystem::path& path) {
  // Without O_NONBLOCK the opening of a FIFO waits for somebody who writes.
  SPOOL_ASSIGN(UniqueFd fd, open_file(path, O_RDONLY | O_NONBLOCK));
  struct stat info {};
  if (fstat(fd.get(), &info) != 0) return fail_errno(errno, path.string());
  if (!S_ISREG(info.st_mode))
    return fail(Code::kInvalidArgument, fmt::format("{}: not a regular file", path.string()));
  if (fcntl(fd.get(), F_SETFL, 0) != 0) return fail_errno(errno, path.string());
  return fd;
}

Result<std::string> read_file(const std::filesystem::path& path, std::size_t most) {
  SPOOL_ASSIGN(const UniqueFd fd, open_file(path, O_RDONLY));
  std::string text;
  char buffer[65536];
  for (;;) {
    const ssize_t n = ::read(fd.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(errno, path.string());
    if (n == 0) return text;
    text.append(buffer, static_cast<std::size_t>(n));
    if (text.size() > most)
      return fail(Code::kLimitExceeded, fmt::format("{}: larger than {} bytes", path.string(), most));
  }
}

Result<void> write_all(int fd, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(errno, "write");
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

Result<void> sync_folder(const std::filesystem::path& folder) {
  SPOOL_ASSIGN(const UniqueFd fd, open_file(folder.empty() ? "." : folder, O_RDONLY | O_DIRECTORY));
  if (fsync(fd.get()) != 0) return fail_errno(errno, folder.string());
  return {};
}

Result<void> write_file_atomic(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  const std::filesystem::path temporary =
      fmt::format("{}.{}.tmp", path.string(), Token::random().text().substr(0, 8));
  const auto write = [&]() -> Result<void> {
    SPOOL_ASSIGN(const UniqueFd fd, open_file(temporary, O_WRONLY | O_CREAT | O_EXCL));
    SPOOL_TRY(write_all(fd.get(), bytes));
    if (fsync(fd.get()) != 0) return fail_errno(errno, temporary.string());
    if (::rename(temporary.c_str(), path.c_str()) != 0) return fail_errno(errno, path.string());
    return {};
  };
  if (auto written = write(); !written) {
    ::unlink(temporary.c_str());
    Error error = std::move(written).error();
    error.message = fmt::format("cannot write {}: {}", path.string(), error.message);
    return fail(std::move(error));
  }
  return sync_folder(path.parent_path());
}

namespace {
Result<UniqueFd> flock_file(const std::filesystem::path& path, int operation) {
  SPOOL_ASSIGN(UniqueFd fd, open_file(path, O_RDWR | O_CREAT));
  while (flock(fd.get(), operation) != 0) {
    if (errno == EINTR) continue;
    if (errno == EWOULDBLOCK) return UniqueFd();
    return fail_errno(errno, path.string());
  }
  return fd;
}
}  // namespace

Result<std::optional<FileLock>> FileLock::try_lock(const std::filesystem::path& path) {
  SPOOL_ASSIGN(UniqueFd fd, flock_file(path, LOCK_EX | LOCK_NB));
  if (!fd) return std::nullopt;
  return FileLock(std::move(fd));
}

Result<FileLock> FileLock::lock(const std::filesystem::path& path) {
  SPOOL_ASSIGN(UniqueFd fd, flock_file(path, LOCK_EX));
  return FileLock(std::move(fd));
}

}  // namespace spool
