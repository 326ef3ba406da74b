// Store on PostgreSQL. Any number of processes, on any machines, may share the database.
//
// What happens to jobs is decided by functions of the schema `spool` (migrations/*.sql): each call of the
// store is one statement in a transaction of its own. So nothing is held while work runs, and PgBouncer in
// transaction mode may stand between. The clock is the server's. docs/decisions/postgres_functions.md says
// why.
#pragma once

#include <memory>
#include <string_view>

#include "queue/store.h"

namespace spool {

struct PostgresOptions {
  int connections = 4;      // at most, beside the one that listens
  bool make_schema = true;  // where there is none; false: that is kNotFound
};

// `url`: postgres://user:password@host:port/database. An older schema has to be migrated by
// migrate_postgres(). Errors: kInvalidArgument (the URL), kUnavailable (not reached, or full),
// kPermissionDenied, kNotFound (no such database, or no schema in it), kUnsupported (a newer or older schema,
// no UTF-8, no TLS).
[[nodiscard]] Result<std::unique_ptr<Store>> open_postgres_store(std::string_view url,
                                                                 PostgresOptions options = {});

// Brings the schema up to date, beside workers that run; returns the version it has now.
[[nodiscard]] Result<int> migrate_postgres(std::string_view url);

}  // namespace spool
