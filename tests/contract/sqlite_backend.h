// The StoreBackend of SqliteStore.
#pragma once

#include <cstdlib>
#include <filesystem>

#include "base/temporary_folder.h"
#include "contract/store_backend.h"
#include "store_sqlite/sqlite_store.h"

namespace spool {

// No power is cut here: memory is as good as a disk, and does not wait.
inline const int kInMemory = std::filesystem::exists("/dev/shm") ? setenv("TMPDIR", "/dev/shm", 0) : 0;

class SqliteBackend : public StoreBackend {
 public:
  std::unique_ptr<Store> open() override { return must(open_sqlite_store(file())); }
  [[nodiscard]] std::filesystem::path file() const { return folder_.path() / "spool.db"; }

 private:
  TemporaryFolder folder_;
};

inline std::unique_ptr<StoreBackend> sqlite_backend() {
  return std::make_unique<SqliteBackend>();
}

}  // namespace spool
