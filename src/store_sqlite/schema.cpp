#include "store_sqlite/schema.h"

#include <fmt/format.h>

#include <array>
#include <string_view>

namespace spool::sqlite {
namespace {

struct Migration {
  std::string_view file;
  std::string_view sql;
};

constexpr Migration kMigrations[] = {
#include "migrations.inc"  // made by CMake: {"0001_jobs.sql", R"sql(...)sql"},
};

constexpr int kApplicationId = 0x53504f4c;  // "SPOL", in the header of the file

int pragma(Database& db, const char* sql) {
  Rows rows = db.once(sql);
  return rows.next() ? rows.i32(0) : 0;
}

}  // namespace

int newest_schema() {
  return static_cast<int>(std::size(kMigrations));
}

void migrate(Database& db, const std::string& path) {
  if (pragma(db, "PRAGMA application_id") == kApplicationId &&
      pragma(db, "PRAGMA user_version") == newest_schema())
    return;
  Transaction transaction(db);
  const int version = pragma(db, "PRAGMA user_version");
  const bool ours = pragma(db, "PRAGMA application_id") == kApplicationId;
  if (!ours && pragma(db, "SELECT count(*) FROM sqlite_schema") > 0)
    refuse(Code::kUnsupported, fmt::format("{}: a database of another program", path));
  if (ours && version > newest_schema())
    refuse(
        Code::kUnsupported,
        fmt::format("{}: its schema is version {}, this program knows versions up to {}: use a newer spool",
                    path, version, newest_schema()));
  for (int i = ours ? version : 0; i < newest_schema(); ++i) db.script(std::string(kMigrations[i].sql));
  db.script(
      fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {}", kApplicationId, newest_schema()));
  transaction.commit();
}

}  // namespace spool::sqlite
