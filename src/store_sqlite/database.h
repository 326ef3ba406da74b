// Ownership of SQLite's C things. Inside this module errors are thrown as StoreError and caught in one place,
// SqliteStore, which hands them on as values: docs/decisions/sqlite_exceptions.md.
//
// A Database belongs to one thread at a time. Rows must not outlive it. Text and blobs given to run() are not
// copied, those given to query() are.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/clock.h"
#include "base/error.h"
#include "base/id.h"

namespace spool::sqlite {

struct StoreError {
  Error error;
};
[[noreturn]] void refuse(Code code, std::string message);

// The one table from SQLite's codes to ours.
[[nodiscard]] Error error_of(int sqlite_code, std::string message);

struct Blob {
  const void* data;
  int size;
};

class Statement {
 public:
  Statement(sqlite3* db, std::string_view sql);

  void bind(int at, std::nullptr_t);
  void bind(int at, std::int64_t value);
  void bind(int at, int value) { bind(at, static_cast<std::int64_t>(value)); }
  void bind(int at, bool value) { bind(at, static_cast<std::int64_t>(value)); }
  void bind(int at, double value);
  void bind(int at, std::string_view value);
  void bind(int at, Blob value);
  void bind(int at, const Uuid& value) { bind(at, Blob{value.bytes.data(), 16}); }
  void bind(int at, const Token& value) { bind(at, Blob{value.bytes.data(), 16}); }
  void bind(int at, Time value) { bind(at, static_cast<std::int64_t>(value.time_since_epoch().count())); }
  void bind(int at, Duration value) { bind(at, static_cast<std::int64_t>(value.count())); }
  template <class T>
  void bind(int at, const std::optional<T>& value) {
    value ? bind(at, *value) : bind(at, nullptr);
  }

  bool step();  // true: a row
  void reset();

  sqlite3_stmt* get() const { return statement_.get(); }
  bool in_use = false;
  bool copy = true;

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* s) const { sqlite3_finalize(s); }
  };
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

// A statement in use; gives it back when it goes.
class Rows {
 public:
  explicit Rows(Statement& cached) : statement_(&cached) { cached.in_use = true; }
  explicit Rows(std::unique_ptr<Statement> own) : statement_(own.get()), own_(std::move(own)) {}
  Rows(Rows&& other) noexcept
      : statement_(std::exchange(other.statement_, nullptr)), own_(std::move(other.own_)) {}
  ~Rows();

  [[nodiscard]] bool next() { return statement_->step(); }

  [[nodiscard]] bool null(int at) const { return sqlite3_column_type(raw(), at) == SQLITE_NULL; }
  [[nodiscard]] std::int64_t i64(int at) const { return sqlite3_column_int64(raw(), at); }
  [[nodiscard]] int i32(int at) const { return sqlite3_column_int(raw(), at); }
  [[nodiscard]] double real(int at) const { return sqlite3_column_double(raw(), at); }
  [[nodiscard]] std::string_view view(int at) const;  // valid until next()
  [[nodiscard]] std::string text(int at) const { return std::string(view(at)); }
  [[nodiscard]] Uuid uuid(int at) const;
  [[nodiscard]] Token token(int at) const;
  [[nodiscard]] Time time(int at) const { return Time(Duration(i64(at))); }
  [[nodiscard]] std::optional<Time> maybe_time(int at) const;
  [[nodiscard]] std::optional<Duration> maybe_duration(int at) const;
  Statement& statement() { return *statement_; }

 private:
  sqlite3_stmt* raw() const { return statement_->get(); }
  Statement* statement_;
  std::unique_ptr<Statement> own_;
};

class Database {
 public:
  Database(const std::string& path, int flags, const std::string& vfs, Duration busy_timeout);

  // `sql` must be a constant with one address: prepared once, found again by it.
  template <class... Args>
  [[nodiscard]] Rows query(const char* sql, const Args&... args) {
    Rows rows = prepared(sql);
    bind_all(rows.statement(), true, args...);
    return rows;
  }
  template <class... Args>
  void run(const char* sql, const Args&... args) {
    Rows rows = prepared(sql);
    bind_all(rows.statement(), false, args...);
    while (rows.next()) {
    }
  }
  // As run(), with as many values as `bind` gives to the statement.
  template <class Bind>
  void run_with(const char* sql, Bind&& bind) {
    Rows rows = prepared(sql);
    rows.statement().copy = false;
    bind(rows.statement());
    while (rows.next()) {
    }
  }
  // For SQL that is put together; not kept.
  [[nodiscard]] Rows once(const std::string& sql);
  void script(const std::string& sql);

  [[nodiscard]] std::int64_t last_row() const { return sqlite3_last_insert_rowid(db_.get()); }
  [[nodiscard]] int changes() const { return sqlite3_changes(db_.get()); }
  [[nodiscard]] sqlite3* get() const { return db_.get(); }

 private:
  Rows prepared(const char* sql);
  template <class... Args>
  static void bind_all(Statement& statement, bool copy, const Args&... args) {
    statement.copy = copy;
    [[maybe_unused]] int at = 0;
    (statement.bind(++at, args), ...);
  }
  static int on_busy(void* self, int count);

  struct Close {
    void operator()(sqlite3* db) const { sqlite3_close_v2(db); }
  };
  std::unique_ptr<sqlite3, Close> db_;
  std::unordered_map<const char*, std::unique_ptr<Statement>> statements_;
  Duration busy_timeout_;
  BootClock::time_point busy_since_{};
};

// BEGIN IMMEDIATE ... COMMIT; rolls back when it goes uncommitted.
class Transaction {
 public:
  explicit Transaction(Database& db);
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  ~Transaction();
  void commit();

 private:
  Database& db_;
  bool open_ = true;
};

// A part of a transaction that can be taken back alone.
class Savepoint {
 public:
  explicit Savepoint(Database& db);
  Savepoint(const Savepoint&) = delete;
  Savepoint& operator=(const Savepoint&) = delete;
  ~Savepoint();
  void keep();

 private:
  Database& db_;
  bool open_ = true;
};

}  // namespace spool::sqlite
