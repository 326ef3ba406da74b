// The answer of a statement, all of it. Owns its memory: it may outlive its connection. One thread at a time.
#pragma once

#include <libpq-fe.h>

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/id.h"

namespace spool::postgres {

struct Clear {
  void operator()(PGresult* result) const { PQclear(result); }
};
using Answer = std::unique_ptr<PGresult, Clear>;

// Columns are counted from 0. What is null reads as 0, "" or nil; a column of another type throws kInternal.
class Rows {
 public:
  explicit Rows(Answer answer) : answer_(std::move(answer)) {}

  [[nodiscard]] bool next() { return ++row_ < count(); }
  [[nodiscard]] int count() const { return PQntuples(answer_.get()); }

  [[nodiscard]] bool null(int at) const { return PQgetisnull(answer_.get(), row_, at) == 1; }
  [[nodiscard]] std::int64_t i64(int at) const;  // smallint and integer too
  [[nodiscard]] int i32(int at) const { return static_cast<int>(i64(at)); }
  [[nodiscard]] double real(int at) const;
  [[nodiscard]] bool boolean(int at) const;
  [[nodiscard]] std::string_view view(
      int at) const;  // text, varchar, json, jsonb, bytea; valid as long as this
  [[nodiscard]] std::string text(int at) const { return std::string(view(at)); }
  [[nodiscard]] Uuid uuid(int at) const;
  [[nodiscard]] Token token(int at) const { return Token{uuid(at).bytes}; }
  [[nodiscard]] Time time(int at) const { return Time(Duration(i64(at))); }
  [[nodiscard]] Duration duration(int at) const { return Duration(i64(at)); }
  [[nodiscard]] std::optional<Time> maybe_time(int at) const;
  [[nodiscard]] std::optional<Duration> maybe_duration(int at) const;

  // Arrays; elements that are null read as above.
  [[nodiscard]] std::vector<std::string> texts(int at) const;
  [[nodiscard]] std::vector<std::int64_t> i64s(int at) const;  // integer[] too
  [[nodiscard]] std::vector<Uuid> uuids(int at) const;

 private:
  [[nodiscard]] std::string_view raw(int at) const;
  [[nodiscard]] std::vector<std::string_view> elements(int at, std::initializer_list<Oid> arrays) const;
  [[noreturn]] void wrong_type(int at, std::string_view wanted) const;

  Answer answer_;
  int row_ = -1;
};

}  // namespace spool::postgres
