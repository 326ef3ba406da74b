#include "base/temporary_folder.h"
#include "contract/store_contract.h"
#include "store_sqlite/sqlite_store.h"

namespace spool {
namespace {

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
