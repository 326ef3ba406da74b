// The schema `spool` and its numbered migrations (migrations/NNNN_*.sql, compiled into the program).
//
// Each migration is one transaction under a lock, so that of several processes that start at once one does
// it. spool.schema_version says which ones were applied.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "store_postgres/connection.h"

namespace spool::postgres {

struct Migration {
  std::string_view file;
  std::string_view sql;
};
[[nodiscard]] std::span<const Migration> migrations();
[[nodiscard]] int newest_schema();

// None: there is no schema. Throws kUnsupported for a schema `spool` of another program.
[[nodiscard]] std::optional<int> schema_version(Connection& db);

// Brings the schema up to date, beside workers that run: it does not hold them up while it waits for its turn
// at a table. Throws StoreError: kUnsupported for a newer schema, kPermissionDenied.
void migrate(Connection& db, std::span<const Migration> known = migrations());

// Throws in words unless the schema is the one that this program knows: kUnsupported, or kNotFound where
// there is none.
void check_schema(Connection& db, std::span<const Migration> known = migrations());

// What a store does as it opens: a database without the schema gets it, any other is checked.
void make_schema_if_missing(Connection& db, std::span<const Migration> known = migrations());

}  // namespace spool::postgres
