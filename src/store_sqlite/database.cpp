#include "store_sqlite/database.h"

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <thread>

namespace spool::sqlite {
namespace {

constexpr const char* kBegin = "BEGIN IMMEDIATE";
constexpr const char* kCommit = "COMMIT";
constexpr const char* kRollback = "ROLLBACK";
constexpr const char* kSavepoint = "SAVEPOINT item";
constexpr const char* kRelease = "RELEASE item";
constexpr const char* kRollbackTo = "ROLLBACK TO item";

[[noreturn]] void raise(sqlite3* db, int code, std::string_view doing) {
  const int extended = db != nullptr ? sqlite3_extended_errcode(db) : code;
  const char* text = db != nullptr ? sqlite3_errmsg(db) : sqlite3_errstr(code);
  throw StoreError{error_of(extended != 0 ? extended : code, fmt::format("database: {} ({})", text, doing))};
}

}  // namespace

void refuse(Code code, std::string message) {
  throw StoreError{Error{code, std::move(message), 0}};
}

Error error_of(int code, std::string message) {
  const auto as = [&](Code ours) { return Error{ours, std::move(message), code}; };
  switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return as(Code::kUnavailable);
    case SQLITE_FULL:
      return as(Code::kStorageFull);
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return as(Code::kPermissionDenied);
    case SQLITE_CANTOPEN:
      return as(Code::kNotFound);
    case SQLITE_TOOBIG:
    case SQLITE_NOMEM:
      return as(Code::kLimitExceeded);
    case SQLITE_IOERR:
      return as(Code::kUnavailable);
    default:  // SQLITE_NOTADB and SQLITE_CORRUPT among them
      return as(Code::kInternal);
  }
}

Statement::Statement(sqlite3* db, std::string_view sql) {
  sqlite3_stmt* made = nullptr;
  const int code = sqlite3_prepare_v3(db, sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT,
                                      &made, nullptr);
  statement_.reset(made);
  if (code != SQLITE_OK) raise(db, code, sql.substr(0, 60));
}

void Statement::bind(int at, std::nullptr_t) {
  sqlite3_bind_null(get(), at);
}
void Statement::bind(int at, std::int64_t value) {
  sqlite3_bind_int64(get(), at, value);
}
void Statement::bind(int at, double value) {
  sqlite3_bind_double(get(), at, value);
}
void Statement::bind(int at, std::string_view value) {
  // A null pointer would bind NULL.
  sqlite3_bind_text64(get(), at, value.data() != nullptr ? value.data() : "", value.size(),
                      copy ? SQLITE_TRANSIENT : SQLITE_STATIC, SQLITE_UTF8);
}
void Statement::bind(int at, Blob value) {
  sqlite3_bind_blob(get(), at, value.data, value.size, copy ? SQLITE_TRANSIENT : SQLITE_STATIC);
}

bool Statement::step() {
  const int code = sqlite3_step(get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  raise(sqlite3_db_handle(get()), code, std::string_view(sqlite3_sql(get())).substr(0, 60));
}

void Statement::reset() {
  sqlite3_reset(get());
}

Rows::~Rows() {
  if (statement_ == nullptr) return;
  statement_->reset();
  statement_->in_use = false;
}

std::string_view Rows::view(int at) const {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(raw(), at));
  return text == nullptr ? std::string_view() : std::string_view(text, sqlite3_column_bytes(raw(), at));
}

Uuid Rows::uuid(int at) const {
  Uuid id;
  const void* bytes = sqlite3_column_blob(raw(), at);
  if (bytes != nullptr && sqlite3_column_bytes(raw(), at) == 16) std::memcpy(id.bytes.data(), bytes, 16);
  return id;
}

Token Rows::token(int at) const {
  Token token;
  token.bytes = uuid(at).bytes;
  return token;
}

std::optional<Time> Rows::maybe_time(int at) const {
  return null(at) ? std::nullopt : std::optional<Time>(time(at));
}
std::optional<Duration> Rows::maybe_duration(int at) const {
  return null(at) ? std::nullopt : std::optional<Duration>(Duration(i64(at)));
}

namespace {

// Of a file that it may not make SQLite says that it is not there: it has tried to read it, then.
int why_not_opened(const std::string& path, int flags, int system) {
  if (system != ENOENT || (flags & SQLITE_OPEN_CREATE) == 0) return system;
  std::string folder = std::filesystem::path(path).parent_path();
  if (folder.empty()) folder = ".";
  return access(folder.c_str(), F_OK) == 0 && access(folder.c_str(), W_OK) != 0 ? errno : system;
}

}  // namespace

Database::Database(const std::string& path, int flags, const std::string& vfs, Duration busy_timeout)
    : busy_timeout_(busy_timeout) {
  sqlite3* made = nullptr;
  const int code =
      sqlite3_open_v2(path.c_str(), &made, flags | SQLITE_OPEN_NOMUTEX, vfs.empty() ? nullptr : vfs.c_str());
  db_.reset(made);
  if (code != SQLITE_OK) {
    const int system = made != nullptr ? sqlite3_system_errno(made) : 0;
    if (system != 0) throw StoreError{errno_error(why_not_opened(path, flags, system), path)};
    raise(made, code, path);
  }
  sqlite3_extended_result_codes(made, 1);
  sqlite3_busy_handler(made, &Database::on_busy, this);
}

// Commits take a tenth of a millisecond: SQLite's own handler, which soon sleeps for a tenth of a second,
// would let several processes on one file starve each other.
int Database::on_busy(void* self, int count) {
  auto& db = *static_cast<Database*>(self);
  const auto now = BootClock::now();
  if (count == 0) db.busy_since_ = now;
  if (now - db.busy_since_ > db.busy_timeout_) return 0;
  std::this_thread::sleep_for(std::chrono::microseconds(std::min(50 + 50 * count, 5000)));
  return 1;
}

Rows Database::prepared(const char* sql) {
  std::unique_ptr<Statement>& cached = statements_[sql];
  if (!cached) cached = std::make_unique<Statement>(db_.get(), sql);
  // In use further up the stack: a loop over its rows must not be disturbed.
  if (cached->in_use) return Rows(std::make_unique<Statement>(db_.get(), sql));
  return Rows(*cached);
}

Rows Database::once(const std::string& sql) {
  return Rows(std::make_unique<Statement>(db_.get(), sql));
}

void Database::script(const std::string& sql) {
  const int code = sqlite3_exec(db_.get(), sql.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) raise(db_.get(), code, std::string_view(sql).substr(0, 60));
}

Transaction::Transaction(Database& db) : db_(db) {
  db_.run(kBegin);
}

Transaction::~Transaction() {
  if (!open_ || sqlite3_get_autocommit(db_.get()) != 0) return;
  try {
    db_.run(kRollback);
  } catch (const StoreError&) {
    // Nothing can be done here; the next BEGIN says it again.
  }
}

void Transaction::commit() {
  try {
    db_.run(kCommit);
  } catch (StoreError& e) {
    // The log may hold the commit although its sync failed.
    if ((e.error.native & 0xff) == SQLITE_IOERR) e.error.code = Code::kInDoubt;
    throw;
  }
  open_ = false;
}

Savepoint::Savepoint(Database& db) : db_(db) {
  db_.run(kSavepoint);
}

Savepoint::~Savepoint() {
  if (!open_ || sqlite3_get_autocommit(db_.get()) != 0) return;
  try {
    db_.run(kRollbackTo);
    db_.run(kRelease);
  } catch (const StoreError&) {
    // The transaction around it fails at its commit.
  }
}

void Savepoint::keep() {
  db_.run(kRelease);
  open_ = false;
}

}  // namespace spool::sqlite
