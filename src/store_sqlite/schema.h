// The schema and its numbered migrations (migrations/NNNN_*.sql, compiled into the program).
#pragma once

#include "store_sqlite/database.h"

namespace spool::sqlite {

// Brings a new or older file up to date, in one transaction. Throws StoreError: kUnsupported for a newer
// schema and for a database of another program.
void migrate(Database& db, const std::string& path);
[[nodiscard]] int newest_schema();

}  // namespace spool::sqlite
