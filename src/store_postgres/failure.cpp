#include "store_postgres/failure.h"

namespace spool::postgres {
namespace {

struct Row {
  std::string_view sqlstate;  // or its beginning: of several the first counts
  Code code;
};

// PostgreSQL's appendix A. docs/architecture.md says what a caller does with each code.
constexpr Row kTable[] = {
    {"SP001", Code::kInvalidArgument},   // raised by our functions
    {"SP002", Code::kNotFound},          //
    {"SP003", Code::kConflict},          //
    {"SP004", Code::kLimitExceeded},     //
    {"SP005", Code::kLeaseLost},         //
    {"SP006", Code::kInternal},          //
    {"SP007", Code::kUnsupported},       //
    {"08", Code::kUnavailable},          // connection exceptions; PgBouncer's own troubles
    {"0A", Code::kUnsupported},          // feature not supported
    {"22", Code::kInvalidArgument},      // data exceptions
    {"23505", Code::kConflict},          // unique violation
    {"25006", Code::kUnavailable},       // read-only: it became a standby
    {"28", Code::kPermissionDenied},     // invalid authorization
    {"3D000", Code::kNotFound},          // no such database
    {"3F000", Code::kUnsupported},       // no such schema
    {"40", Code::kUnavailable},          // serialization failure, deadlock
    {"42501", Code::kPermissionDenied},  // insufficient privilege
    {"42883", Code::kUnsupported},       // no such function
    {"42P01", Code::kUnsupported},       // no such table
    {"53100", Code::kStorageFull},       // disk full
    {"53", Code::kUnavailable},          // out of memory, too many connections
    {"54", Code::kLimitExceeded},        // program limit exceeded
    {"55P03", Code::kUnavailable},       // lock not available
    {"57", Code::kUnavailable},          // shutdown, starting up, cancelled
    {"58030", Code::kUnavailable},       // I/O error
};

}  // namespace

void refuse(Code code, std::string message) {
  throw StoreError{Error{code, std::move(message), 0}};
}

Code code_of(std::string_view sqlstate) {
  for (const Row& row : kTable)
    if (sqlstate.starts_with(row.sqlstate)) return row.code;
  return Code::kInternal;
}

bool is_conflict(std::string_view sqlstate) {
  return sqlstate == "40001" || sqlstate == "40P01";
}

bool is_standby(std::string_view sqlstate) {
  return sqlstate == "25006";
}

}  // namespace spool::postgres
