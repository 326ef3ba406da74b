#include "store_sqlite/sqlite_store.h"

#include <cstdlib>
#include <filesystem>

#include "base/temporary_folder.h"
#include "contract/store_contract.h"

namespace spool {
namespace {

// No power is cut here: memory is as good as a disk, and does not wait.
const int kInMemory = std::filesystem::exists("/dev/shm") ? setenv("TMPDIR", "/dev/shm", 0) : 0;

class SqliteBackend final : public StoreBackend {
 public:
  std::unique_ptr<Store> open() override { return must(open_sqlite_store(folder_.path() / "spool.db")); }

 private:
  TemporaryFolder folder_;
};
std::unique_ptr<StoreBackend> sqlite_backend() {
  return std::make_unique<SqliteBackend>();
}

INSTANTIATE_TEST_SUITE_P(Sqlite, StoreContract, testing::Values(&sqlite_backend));

}  // namespace
}  // namespace spool
