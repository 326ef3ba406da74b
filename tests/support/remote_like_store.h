// RemoteLikeStore: an ObjectStore whose objects are no local files: no descriptors, no locks. It counts what
// is asked of it, and can be made to fail. Its bytes are in a folder. Thread-safe, but for its hooks, which
// are set before it is used.
#pragma once

#include <sys/stat.h>

#include <atomic>
#include <functional>
#include <optional>

#include "objects/folder_store.h"

namespace spool::test {

class RemoteLikeStore : public ObjectStore {
 public:
  explicit RemoteLikeStore(const std::filesystem::path& root) : inner_(FolderStore::at(root).value()) {}

  // Asked before each read of an object's bytes; an error that it returns is the read's. May block.
  std::function<std::optional<Error>(const std::string& key, std::uint64_t offset)> before_read;
  // The same before each write: put, put_file and copy.
  std::function<std::optional<Error>(const std::string& key)> before_write;

  std::atomic<std::int64_t> reads = 0, bytes_read = 0;

  Result<void> put(std::string_view key, std::span<const std::byte> bytes) override {
    SPOOL_TRY(ask(key));
    return inner_->put(key, bytes);
  }
  Result<void> put_file(std::string_view key, int fd) override {
    SPOOL_TRY(ask(key));
    return inner_->put_file(key, fd);
  }
  Result<std::string> get(std::string_view key, std::size_t most) override { return inner_->get(key, most); }
  Result<ByteSource> open(std::string_view key) override {
    SPOOL_ASSIGN(UniqueFd fd, inner_->open_fd(key));
    struct stat info {};
    if (fstat(fd.get(), &info) != 0) return fail_errno(errno, key);
    SPOOL_ASSIGN(ByteSource source, file_source(std::move(fd), std::string(key)));
    source.version = std::to_string(info.st_ino) + "." + std::to_string(info.st_mtim.tv_nsec);
    source.read_at = [this, key = std::string(key), read = std::move(source.read_at)](
                         std::uint64_t offset, std::span<std::byte> into) -> Result<std::size_t> {
      if (before_read)
        if (auto error = before_read(key, offset)) return fail(std::move(*error));
      auto n = read(offset, into);
      ++reads;
      if (n) bytes_read += static_cast<std::int64_t>(*n);
      return n;
    };
    return source;
  }
  Result<std::optional<ObjectInfo>> stat(std::string_view key) override { return inner_->stat(key); }
  Result<std::vector<ObjectInfo>> list(std::string_view prefix) override { return inner_->list(prefix); }
  Result<void> copy(std::string_view from, std::string_view to) override {
    SPOOL_TRY(ask(to));
    return inner_->copy(from, to);
  }
  Result<void> remove(std::string_view key) override { return inner_->remove(key); }
  Result<void> remove_all(std::string_view prefix) override { return inner_->remove_all(prefix); }

 private:
  Result<void> ask(std::string_view key) {
    if (before_write)
      if (auto error = before_write(std::string(key))) return fail(std::move(*error));
    return {};
  }

  std::unique_ptr<FolderStore> inner_;
};

}  // namespace spool::test
