// What went wrong with PostgreSQL. Inside this module errors are thrown as StoreError and caught in one
// place, PostgresStore, which hands them on as values (docs/decisions/sqlite_exceptions.md holds here too).
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace spool::postgres {

// What happened to the statement, beyond its code.
enum class Fate {
  kRefused,   // it had no effect, and the connection is well
  kConflict,  // it was rolled back because of another transaction: repeat it at once
  kUnsent,    // the connection was lost before the server had it: no effect
  kUnknown,   // the connection was lost while its answer was awaited: a write is in doubt
};

struct StoreError {
  Error error;
  Fate fate = Fate::kRefused;
};
[[noreturn]] void refuse(Code code, std::string message);

// Error::native: the five characters of an SQLSTATE as a number of base 36.
[[nodiscard]] constexpr int native_of(std::string_view sqlstate) {
  int number = 0;
  for (const char c : sqlstate) number = number * 36 + (c <= '9' ? c - '0' : c - 'A' + 10);
  return number;
}

// The one table from SQLSTATEs to codes; the functions of the schema raise SP001 to SP007.
[[nodiscard]] Code code_of(std::string_view sqlstate);
// The statement was rolled back only because another one ran beside it.
[[nodiscard]] bool is_conflict(std::string_view sqlstate);
// The server cannot write here any more (it became a standby): the connection is of no use.
[[nodiscard]] bool is_standby(std::string_view sqlstate);

}  // namespace spool::postgres
