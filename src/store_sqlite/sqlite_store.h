// Store on one SQLite file. Several threads and several processes of one machine may share it.
//
// WAL and synchronous=FULL: what was acknowledged survives a power cut. One writing connection behind a
// mutex, one for reads. Beside the file lie FILE-wal, FILE-shm and FILE-sessions/ (a lock file for each
// living worker).
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "queue/store.h"

namespace spool {

struct SqliteOptions {
  Duration busy_timeout = std::chrono::seconds(30);  // how long another process may hold the file
  Duration poll = std::chrono::milliseconds(10);     // how often wait() looks for commits of other processes
  std::string vfs;                                   // empty: SQLite's own; tests bring one that loses power
};

// Makes the file if there is none (its folder must exist) and brings an older schema up to date.
// Errors: kUnsupported (a newer schema, or a database of another program), kInternal (no database, or a
// broken one), kPermissionDenied, kNotFound (no folder), kStorageFull, kUnavailable (busy).
[[nodiscard]] Result<std::unique_ptr<Store>> open_sqlite_store(const std::filesystem::path& path,
                                                               SqliteOptions options = {});

[[nodiscard]] std::string sqlite_version();  // of the library, as it runs

}  // namespace spool
