// What a running attempt says of itself. In one write transaction.
#pragma once

#include "queue/store.h"
#include "store_sqlite/life_cycle.h"

namespace spool::sqlite {

// True when the attempt has been asked to stop, or is past its deadline. Errors: kLeaseLost, kLimitExceeded;
// nothing has changed then.
[[nodiscard]] Result<bool> write_report(LifeCycle& life, const ProgressReport& report);

}  // namespace spool::sqlite
