#include "contract/postgres_backend.h"
#include "contract/store_contract.h"

namespace spool {
namespace {

INSTANTIATE_TEST_SUITE_P(Postgres, StoreContract, testing::Values(&postgres_backend));
INSTANTIATE_TEST_SUITE_P(PgBouncer, StoreContract, testing::Values(&bouncer_backend));

}  // namespace
}  // namespace spool
