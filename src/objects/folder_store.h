// FolderStore: ObjectStore in a local folder, a file an object.
//
// Symbolic links below the root are never followed. A copy is a hard link where the file system allows:
// objects are replaced, never written in place. For writing what is too large for memory: create() and
// commit().
#pragma once

#include <filesystem>
#include <memory>

#include "objects/object_store.h"

namespace spool {

class FolderStore : public ObjectStore {
 public:
  // Makes the folder if it is missing. Errors: kUnsupported on a file system that has no nameless files (NFS,
  // FAT, most of FUSE).
  [[nodiscard]] static Result<std::unique_ptr<FolderStore>> at(const std::filesystem::path& root);

  Result<void> put(std::string_view key, std::span<const std::byte> bytes) override;
  Result<void> put_file(std::string_view key, int fd) override;  // of create(): nothing is copied
  Result<void> put_if_absent(std::string_view key, std::span<const std::byte> bytes) override;
  Result<std::string> get(std::string_view key, std::size_t most) override;
  Result<ByteSource> open(std::string_view key) override;
  Result<std::optional<ObjectInfo>> stat(std::string_view key) override;
  Result<std::vector<ObjectInfo>> list(std::string_view prefix) override;
  Result<void> copy(std::string_view from, std::string_view to) override;
  Result<void> remove(std::string_view key) override;
  Result<void> remove_all(std::string_view prefix) override;
  Result<std::optional<UniqueFd>> local_fd(std::string_view key) override { return open_fd(key); }
  Result<UniqueFd> create_file() override { return create(); }
  [[nodiscard]] std::optional<std::filesystem::path> lock_folder() const override { return root_ / ".spool"; }

  // For reading, as a descriptor.
  [[nodiscard]] Result<UniqueFd> open_fd(std::string_view key);
  // A nameless file in the folder's file system, for reading and writing; it is gone unless it is committed.
  [[nodiscard]] Result<UniqueFd> create();
  // Makes a file of create() durable and gives it its key.
  Result<void> commit(std::string_view key, int fd);

  [[nodiscard]] const std::filesystem::path& root() const { return root_; }

 private:
  FolderStore(std::filesystem::path root, UniqueFd fd) : root_(std::move(root)), fd_(std::move(fd)) {}
  // The open folder that holds `key`'s file, and the file's name in it; folders are made on the way if asked.
  struct Place {
    UniqueFd folder;
    std::string name;
  };
  Result<Place> place(std::string_view key, bool make_folders);
  // A file of create() that holds the bytes.
  Result<UniqueFd> written(std::string_view key, std::span<const std::byte> bytes);
  // Gives a file its place, at once and durably, replacing what stood there; `link` makes a name for it in a
  // folder. Returns 0 or what the kernel said.
  template <class Link>
  int link_into(const Place& at, Link link);

  std::filesystem::path root_;
  UniqueFd fd_;
};

}  // namespace spool
