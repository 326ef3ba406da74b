#include "contract/sqlite_backend.h"
#include "contract/store_contract.h"

namespace spool {
namespace {

INSTANTIATE_TEST_SUITE_P(Sqlite, StoreContract, testing::Values(&sqlite_backend));

}  // namespace
}  // namespace spool
