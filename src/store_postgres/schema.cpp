#include "store_postgres/schema.h"

#include <fmt/format.h>

#include <string>
#include <thread>

namespace spool::postgres {
namespace {

constexpr Migration kMigrations[] = {
#include "migrations.inc"  // made by CMake: {"0001_tables.sql", R"sql(...)sql"},
};

constexpr const char* kLock = "SELECT pg_advisory_xact_lock($1)";
constexpr std::int64_t kOurLock = 0x53504f4c;  // "SPOL"
// Whoever waits for an exclusive lock at a table holds up all that come behind it.
constexpr const char* kLockTimeout = "SET LOCAL lock_timeout = '2s'";
constexpr const char* kSchema = R"(
SELECT EXISTS (SELECT FROM pg_catalog.pg_class WHERE relnamespace = n.oid), v.oid IS NOT NULL,
       pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(v.oid, 'SELECT')
FROM pg_catalog.pg_namespace n
  LEFT JOIN pg_catalog.pg_class v ON v.relnamespace = n.oid AND v.relname = 'schema_version'
WHERE nspname = 'spool')";
constexpr const char* kVersion = "SELECT coalesce(max(version), 0) FROM spool.schema_version";
constexpr const char* kMayCreate = R"(
SELECT coalesce((SELECT pg_catalog.has_schema_privilege(oid, 'CREATE') FROM pg_catalog.pg_namespace
                 WHERE nspname = 'spool'),
                pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE')))";
constexpr const char* kHasSchema = "SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'spool'";
constexpr const char* kCreateSchema = "CREATE SCHEMA spool";
constexpr const char* kCreateVersions = R"(
CREATE TABLE spool.schema_version (
  version integer PRIMARY KEY,
  file    text NOT NULL,
  applied timestamptz NOT NULL DEFAULT now()
))";
constexpr const char* kApplied = "INSERT INTO spool.schema_version (version, file) VALUES ($1, $2)";

constexpr auto kMostTime = std::chrono::hours(1);  // of one migration
constexpr int kMostLockTimeouts = 30;
const int kLockNotAvailable = native_of("55P03");

bool is_there(Rows rows) {
  return rows.next();
}

[[noreturn]] void refuse_newer(const Connection& db, int version, int newest) {
  refuse(Code::kUnsupported,
         fmt::format("{}: its schema is version {}, this program knows versions up to {}: use a newer spool",
                     db.conninfo().shown, version, newest));
}

void make_schema(Connection& db) {
  if (!is_there(db.query(kHasSchema))) db.run(kCreateSchema);
  db.run(kCreateVersions);
}

// Applies the next one that is missing, in a new schema all of them; false: there is none.
bool apply_next(Connection& db, std::span<const Migration> known) {
  Transaction transaction(db);
  db.run(kLock, kOurLock);
  db.run(kLockTimeout);
  const std::optional<int> found = schema_version(db);
  if (!found) make_schema(db);
  const auto newest = static_cast<int>(known.size());
  const int version = found.value_or(0);
  if (version > newest) refuse_newer(db, version, newest);
  if (version == newest && found) return false;
  for (int i = version; i < (found ? version + 1 : newest); ++i) {
    db.script(std::string(known[static_cast<std::size_t>(i)].sql));
    db.run(kApplied, i + 1, known[static_cast<std::size_t>(i)].file);
  }
  transaction.commit();
  return true;
}

// The time of one migration instead of that of a statement.
class LongAnswers {
 public:
  explicit LongAnswers(Connection& db) : db_(db) { db.set_answer_timeout(kMostTime); }
  LongAnswers(const LongAnswers&) = delete;
  LongAnswers& operator=(const LongAnswers&) = delete;
  ~LongAnswers() { db_.set_answer_timeout(db_.conninfo().answer_timeout); }

 private:
  Connection& db_;
};

}  // namespace

std::span<const Migration> migrations() {
  return kMigrations;
}
int newest_schema() {
  return static_cast<int>(std::size(kMigrations));
}

std::optional<int> schema_version(Connection& db) {
  Rows schema = db.query(kSchema);
  if (!schema.next()) return std::nullopt;
  if (!schema.boolean(1)) {
    if (!schema.boolean(0)) return std::nullopt;  // made by an operator, for us to fill
    refuse(Code::kUnsupported,
           fmt::format("{}: its schema spool belongs to another program: use another database",
                       db.conninfo().shown));
  }
  if (!schema.boolean(2))
    refuse(Code::kPermissionDenied,
           fmt::format("{}: this role may not use the schema spool: connect as its owner, or let it: SELECT "
                       "spool.allow_worker('ROLE'); roles of spool.allow() make jobs by SQL alone",
                       db.conninfo().shown));
  Rows version = db.query(kVersion);
  return version.next() ? version.i32(0) : 0;
}

void migrate(Connection& db, std::span<const Migration> known) {
  const LongAnswers patience(db);
  for (int lock_timeouts = 0;;) {
    try {
      while (apply_next(db, known)) lock_timeouts = 0;
      return;
    } catch (const StoreError& e) {
      if (e.fate == Fate::kConflict) continue;
      if (e.error.native != kLockNotAvailable || ++lock_timeouts > kMostLockTimeouts) throw;
    }
    std::this_thread::sleep_for(std::chrono::seconds(1));  // lets those go on that queued up behind us
  }
}

void check_schema(Connection& db, std::span<const Migration> known) {
  const auto newest = static_cast<int>(known.size());
  const std::optional<int> version = schema_version(db);
  if (!version)
    refuse(
        Code::kNotFound,
        fmt::format(
            "{}: there is no spool schema in this database: is its name right? `spool migrate` or a worker "
            "makes it",
            db.conninfo().shown));
  if (*version > newest) refuse_newer(db, *version, newest);
  if (*version < newest)
    refuse(Code::kUnsupported, fmt::format("{}: its schema is version {}, this program needs version {}: run "
                                           "`spool migrate` with the same --store",
                                           db.conninfo().shown, *version, newest));
}

void make_schema_if_missing(Connection& db, std::span<const Migration> known) {
  if (!schema_version(db)) {
    Rows row = db.query(kMayCreate);
    if (!row.next() || !row.boolean(0))
      refuse(Code::kPermissionDenied, fmt::format("{}: it has no schema of spool, and this role may not make "
                                                  "it: run `spool migrate` as the database's owner",
                                                  db.conninfo().shown));
    migrate(db, known);
  }
  check_schema(db, known);
}

}  // namespace spool::postgres
