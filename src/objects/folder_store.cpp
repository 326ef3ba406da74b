#include "objects/folder_store.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <system_error>

#include "base/id.h"

namespace spool {
namespace {

namespace fs = std::filesystem;

// Names for the moment in which an object replaces another; what a kill left there goes at the next start.
constexpr char kTemporaryFolder[] = ".spool/tmp";
constexpr char kTemporaryPrefix[] = ".tmp-";
constexpr int kMostSwept = 10;

tl::unexpected<Error> fail_key(int err, std::string_view key) {
  return fail_errno(err, fmt::format("object {}", key));
}

Result<void> sync(int fd, std::string_view key) {
  if (fsync(fd) != 0) return fail_key(errno, key);
  return {};
}

std::string temporary_name() {
  return kTemporaryPrefix + Token::random().text().substr(0, 16);
}

// From the beginning of `from`, whose offset stays.
Result<void> copy_bytes(int from, int to, std::string_view key) {
  bool shares = true;  // blocks, between these file systems
  for (off_t at = 0;;) {
    const ssize_t n =
        shares ? copy_file_range(from, &at, to, nullptr, 1 << 30, 0) : sendfile(to, from, &at, 1 << 30);
    if (n == 0) return {};
    if (n > 0 || errno == EINTR) continue;
    if (!shares || (errno != EXDEV && errno != EINVAL && errno != EOPNOTSUPP)) return fail_key(errno, key);
    shares = false;
  }
}

std::string name_of(int fd) {
  return fmt::format("/proc/self/fd/{}", fd);
}

}  // namespace

Result<std::unique_ptr<FolderStore>> FolderStore::at(const fs::path& root) {
  std::error_code error;
  fs::create_directories(root, error);
  if (error)
    return fail_errno(error.value(), fmt::format("cannot make the objects folder {}", root.string()));
  SPOOL_ASSIGN(UniqueFd fd, open_file(root, O_PATH | O_DIRECTORY));
  fs::remove_all(root / kTemporaryFolder, error);  // a living program's are made again: link_into()
  std::unique_ptr<FolderStore> store(new FolderStore(fs::absolute(root), std::move(fd)));
  SPOOL_TRY(store->create());
  return store;
}

Result<FolderStore::Place> FolderStore::place(std::string_view key, bool make_folders) {
  SPOOL_TRY(check_key(key));
  UniqueFd folder(fcntl(fd_.get(), F_DUPFD_CLOEXEC, 0));
  if (!folder) return fail_key(errno, key);
  for (std::size_t slash; (slash = key.find('/')) != std::string_view::npos; key.remove_prefix(slash + 1)) {
    const std::string part(key.substr(0, slash));
    constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    UniqueFd next(openat(folder.get(), part.c_str(), kFlags));
    if (!next && errno == ENOENT && make_folders) {
      if (mkdirat(folder.get(), part.c_str(), 0755) != 0 && errno != EEXIST) return fail_key(errno, key);
      if (UniqueFd above(openat(folder.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)); above)
        SPOOL_TRY(sync(above.get(), key));
      next = UniqueFd(openat(folder.get(), part.c_str(), kFlags));
    }
    if (!next) return fail_key(errno, key);
    folder = std::move(next);
  }
  // The root is held as a path only: a folder that can be synced is opened from it.
  UniqueFd readable(openat(folder.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!readable) return fail_key(errno, key);
  return Place{std::move(readable), std::string(key)};
}

template <class Link>
int FolderStore::link_into(const Place& at, Link link) {
  if (link(at.folder.get(), at.name.c_str()) == 0) return fsync(at.folder.get()) == 0 ? 0 : errno;
  if (errno != EEXIST) return errno;
  for (int turn = 0;; ++turn) {
    const auto tmp = place(std::string(kTemporaryFolder) + "/" + temporary_name(), true);
    if (!tmp) return tmp.error().native != 0 ? tmp.error().native : EIO;
    const int linked = link(tmp->folder.get(), tmp->name.c_str());
    if (linked == 0 &&
        renameat(tmp->folder.get(), tmp->name.c_str(), at.folder.get(), at.name.c_str()) == 0) {
      unlinkat(tmp->folder.get(), tmp->name.c_str(), 0);  // two names of one file: rename() left both
      return fsync(at.folder.get()) == 0 ? 0 : errno;
    }
    const int err = errno;
    if (linked == 0) unlinkat(tmp->folder.get(), tmp->name.c_str(), 0);
    // Swept by a program that started in this moment.
    if (err != ENOENT || turn == kMostSwept) return err;
  }
}

Result<UniqueFd> FolderStore::create() {
  UniqueFd fd(openat(fd_.get(), ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0644));
  if (fd) return fd;
  if (errno == EOPNOTSUPP)
    return fail(
        Error{Code::kUnsupported,
              fmt::format("{}: its file system has no nameless files (O_TMPFILE), of which whole outputs "
                          "are made; name a folder on ext4, xfs, btrfs or tmpfs",
                          root_.string()),
              errno});
  return fail_errno(errno, fmt::format("cannot write into {}", root_.string()));
}

Result<void> FolderStore::commit(std::string_view key, int fd) {
  SPOOL_TRY(sync(fd, key));
  SPOOL_ASSIGN(const Place at, place(key, true));
  const std::string self = name_of(fd);
  const int err = link_into(at, [&](int folder, const char* name) {
    return linkat(AT_FDCWD, self.c_str(), folder, name, AT_SYMLINK_FOLLOW);
  });
  if (err != 0) return fail_key(err, key);
  return {};
}

Result<UniqueFd> FolderStore::written(std::string_view key, std::span<const std::byte> bytes) {
  SPOOL_TRY(check_key(key));
  SPOOL_ASSIGN(UniqueFd fd, create());
  if (auto all = write_all(fd.get(), bytes); !all)
    return fail(
        Error{all.error().code, fmt::format("object {}: {}", key, all.error().message), all.error().native});
  return fd;
}

Result<void> FolderStore::put(std::string_view key, std::span<const std::byte> bytes) {
  SPOOL_ASSIGN(const UniqueFd fd, written(key, bytes));
  return commit(key, fd.get());
}

Result<void> FolderStore::put_if_absent(std::string_view key, std::span<const std::byte> bytes) {
  SPOOL_ASSIGN(const UniqueFd fd, written(key, bytes));
  SPOOL_TRY(sync(fd.get(), key));
  SPOOL_ASSIGN(const Place at, place(key, true));
  if (linkat(AT_FDCWD, name_of(fd.get()).c_str(), at.folder.get(), at.name.c_str(), AT_SYMLINK_FOLLOW) != 0)
    return fail_key(errno, key);
  return sync(at.folder.get(), key);
}

Result<void> FolderStore::put_file(std::string_view key, int fd) {
  SPOOL_TRY(check_key(key));
  struct stat info {};
  if (fstat(fd, &info) != 0) return fail_key(errno, key);
  if (!S_ISREG(info.st_mode))
    return fail(Code::kInvalidArgument, fmt::format("object {}: comes from no regular file", key));
  if (info.st_nlink == 0) {
    auto linked = commit(key, fd);
    // Of another file system, or one that had a name.
    if (linked || (linked.error().native != EXDEV && linked.error().native != ENOENT)) return linked;
  }
  SPOOL_ASSIGN(const UniqueFd copy, create());
  SPOOL_TRY(copy_bytes(fd, copy.get(), key));
  return commit(key, copy.get());
}

Result<UniqueFd> FolderStore::open_fd(std::string_view key) {
  SPOOL_ASSIGN(const Place at, place(key, false));
  UniqueFd fd(openat(at.folder.get(), at.name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!fd) return fail_key(errno, key);
  struct stat info {};
  if (fstat(fd.get(), &info) != 0) return fail_key(errno, key);
  if (!S_ISREG(info.st_mode))
    return fail(Code::kInvalidArgument, fmt::format("object {}: not a regular file", key));
  return fd;
}

Result<ByteSource> FolderStore::open(std::string_view key) {
  SPOOL_ASSIGN(UniqueFd fd, open_fd(key));
  return file_source(std::move(fd), std::string(key));
}

Result<std::string> FolderStore::get(std::string_view key, std::size_t most) {
  SPOOL_ASSIGN(const ByteSource source, open(key));
  if (source.size > most)
    return fail(Code::kLimitExceeded, fmt::format("object {}: larger than {} bytes", key, most));
  std::string text(source.size, '\0');
  for (std::size_t at = 0; at < text.size();) {
    SPOOL_ASSIGN(const std::size_t n,
                 source.read_at(at, std::as_writable_bytes(std::span(text).subspan(at))));
    if (n == 0) return fail(Code::kInternal, fmt::format("object {}: shorter than it was", key));
    at += n;
  }
  return text;
}

Result<std::optional<ObjectInfo>> FolderStore::stat(std::string_view key) {
  auto at = place(key, false);
  if (!at && at.error().code == Code::kNotFound) return std::nullopt;
  if (!at) return fail(at.error());
  struct stat info {};
  if (fstatat(at->folder.get(), at->name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return std::nullopt;
    return fail_key(errno, key);
  }
  if (!S_ISREG(info.st_mode)) return std::nullopt;
  return ObjectInfo{std::string(key), info.st_size};
}

Result<std::vector<ObjectInfo>> FolderStore::list(std::string_view prefix) {
  if (!prefix.empty()) SPOOL_TRY(check_key(prefix));
  std::vector<ObjectInfo> found;
  std::error_code error;
  const fs::path top = prefix.empty() ? root_ : root_ / prefix;
  fs::recursive_directory_iterator it(top, fs::directory_options::none, error);
  if (error == std::errc::no_such_file_or_directory || error == std::errc::not_a_directory) return found;
  for (; !error && it != fs::recursive_directory_iterator(); it.increment(error)) {
    std::error_code gone;  // between the listing and the look at it
    if (!it->is_regular_file(gone) || it->is_symlink(gone)) continue;
    if (it->path().filename().string().starts_with(kTemporaryPrefix)) continue;
    const auto bytes = static_cast<std::int64_t>(it->file_size(gone));
    if (!gone) found.push_back({it->path().lexically_relative(root_).string(), bytes});
  }
  if (error) return fail_errno(error.value(), fmt::format("listing {}", top.string()));
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.key < b.key; });
  return found;
}

Result<void> FolderStore::copy(std::string_view from, std::string_view to) {
  SPOOL_ASSIGN(const Place source, place(from, false));
  SPOOL_ASSIGN(const Place target, place(to, true));
  const int err = link_into(target, [&](int folder, const char* name) {
    return linkat(source.folder.get(), source.name.c_str(), folder, name, 0);
  });
  if (err == 0) return {};
  // Another file system, or one without hard links, or too many of them.
  SPOOL_ASSIGN(const UniqueFd in, open_fd(from));
  SPOOL_ASSIGN(const UniqueFd out, create());
  SPOOL_TRY(copy_bytes(in.get(), out.get(), to));
  return commit(to, out.get());
}

Result<void> FolderStore::remove(std::string_view key) {
  auto at = place(key, false);
  if (!at && at.error().code == Code::kNotFound) return {};
  if (!at) return fail(at.error());
  if (unlinkat(at->folder.get(), at->name.c_str(), 0) != 0 && errno != ENOENT) return fail_key(errno, key);
  return {};
}

Result<void> FolderStore::remove_all(std::string_view prefix) {
  SPOOL_TRY(check_key(prefix));
  std::error_code error;
  fs::remove_all(root_ / prefix, error);
  if (error) return fail_errno(error.value(), fmt::format("removing {}", prefix));
  return {};
}

}  // namespace spool
