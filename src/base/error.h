// Errors as values across module seams.
//
// A function that can fail for a reason outside the program returns Result<T>. Exceptions stay inside
// libraries; they are caught at three walls (worker, process main, later the HTTP session).
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace spool {

// Closed set: what a caller can act on. The message is for a person.
enum class Code {
  kInvalidArgument,  // the request is wrong; it will be wrong the next time too
  kNotFound,
  kConflict,       // the same id with another body, or a state that forbids it
  kLeaseLost,      // the token is stale: another attempt owns the job
  kUnsupported,    // understood, and not done here
  kCorruptInput,   // the media or document is damaged
  kLimitExceeded,  // too large, too many, too long
  kPermissionDenied,
  kStorageFull,  // ENOSPC, EDQUOT, SQLITE_FULL
  kUnavailable,  // busy or away: try again
  kTimeout,
  kCancelled,
  kCrashed,   // the process that ran it died
  kInDoubt,   // it may have happened: ask
  kInternal,  // a bug of ours, or a store that is broken
};

// What a retry policy does with a code.
enum class Disposition { kRetry, kGiveUp, kInDoubt };

[[nodiscard]] std::string_view name(Code code);            // "invalid_argument", ...
[[nodiscard]] Code code_from_name(std::string_view name);  // unknown names are kInternal
[[nodiscard]] Disposition disposition(Code code);          // the one table

struct Error {
  Code code = Code::kInternal;
  std::string message;  // for a person: names the thing, says what is wrong and what to do
  int native = 0;       // errno, AVERROR, SQLite extended code, SQLSTATE in base 36; 0 if none

  bool operator==(const Error&) const = default;
};

template <class T>
using Result = tl::expected<T, Error>;

[[nodiscard]] inline tl::unexpected<Error> fail(Code code, std::string message, int native = 0) {
  return tl::unexpected<Error>(Error{code, std::move(message), native});
}
[[nodiscard]] inline tl::unexpected<Error> fail(Error error) {
  return tl::unexpected<Error>(std::move(error));
}

// An errno as an Error: "<what>: <strerror>", ENOSPC -> kStorageFull, ENOENT -> kNotFound, ...
[[nodiscard]] Error errno_error(int err, std::string_view what);
[[nodiscard]] tl::unexpected<Error> fail_errno(int err, std::string_view what);

}  // namespace spool

// TRY(expr): the error of a Result travels upward; ASSIGN(decl, expr): the value is unpacked.
#define SPOOL_TRY(expr)                                          \
  do {                                                           \
    if (auto spool_try_result = (expr); !spool_try_result)       \
      return ::spool::fail(std::move(spool_try_result).error()); \
  } while (false)
#define SPOOL_CONCAT_(a, b) a##b
#define SPOOL_CONCAT(a, b) SPOOL_CONCAT_(a, b)
#define SPOOL_ASSIGN_(tmp, decl, expr)                    \
  auto tmp = (expr);                                      \
  if (!tmp) return ::spool::fail(std::move(tmp).error()); \
  decl = std::move(*tmp)
#define SPOOL_ASSIGN(decl, expr) SPOOL_ASSIGN_(SPOOL_CONCAT(spool_assign_, __LINE__), decl, expr)
