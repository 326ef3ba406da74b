// OutputFolder: the folder `spool transcode -o DIR` writes to, held under a lock while it lives.
//
//   DIR/                 what people use: playlists, segments
//   DIR/.spool/          ours: the store, attempts' outputs, the lock
#pragma once

#include <filesystem>

#include "base/file.h"

namespace spool {

class OutputFolder {
 public:
  // Makes DIR if it is missing. Errors: kConflict when DIR holds files and is not ours, or another run holds
  // it; kPermissionDenied, kStorageFull, ... when it cannot be written.
  [[nodiscard]] static Result<OutputFolder> open(const std::filesystem::path& dir);

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] std::filesystem::path database() const { return database(path_); }
  [[nodiscard]] static std::filesystem::path database(const std::filesystem::path& dir) {
    return dir / ".spool" / "spool.db";
  }

 private:
  OutputFolder(std::filesystem::path path, FileLock lock) : path_(std::move(path)), lock_(std::move(lock)) {}
  std::filesystem::path path_;
  FileLock lock_;
};

}  // namespace spool
