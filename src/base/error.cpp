#include "base/error.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace spool {
namespace {

struct Row {
  Code code;
  std::string_view name;
  Disposition disposition;
};

constexpr std::array kTable{
    Row{Code::kInvalidArgument, "invalid_argument", Disposition::kGiveUp},
    Row{Code::kNotFound, "not_found", Disposition::kGiveUp},
    Row{Code::kConflict, "conflict", Disposition::kGiveUp},
    Row{Code::kLeaseLost, "lease_lost", Disposition::kGiveUp},
    Row{Code::kUnsupported, "unsupported", Disposition::kGiveUp},
    Row{Code::kCorruptInput, "corrupt_input", Disposition::kGiveUp},
    Row{Code::kLimitExceeded, "limit_exceeded", Disposition::kGiveUp},
    Row{Code::kPermissionDenied, "permission_denied", Disposition::kGiveUp},
    Row{Code::kStorageFull, "storage_full", Disposition::kRetry},
    Row{Code::kUnavailable, "unavailable", Disposition::kRetry},
    Row{Code::kTimeout, "timeout", Disposition::kRetry},
    Row{Code::kCancelled, "cancelled", Disposition::kGiveUp},
    Row{Code::kCrashed, "crashed", Disposition::kRetry},
    Row{Code::kInDoubt, "in_doubt", Disposition::kInDoubt},
    Row{Code::kInternal, "internal", Disposition::kRetry},
};

const Row& row(Code code) {
  return kTable[static_cast<std::size_t>(code)];
}

Code code_of_errno(int err) {
  switch (err) {
    case ENOSPC:
    case EDQUOT:
      return Code::kStorageFull;
    case ENOENT:
      return Code::kNotFound;
    case EACCES:
    case EPERM:
    case EROFS:
      return Code::kPermissionDenied;
    case EINVAL:
    case ENOTDIR:
    case EISDIR:
    case ENAMETOOLONG:
      return Code::kInvalidArgument;
    case EFBIG:
      return Code::kLimitExceeded;
    case EAGAIN:
    case EBUSY:
    case ENOMEM:
    case EMFILE:
    case ENFILE:
      return Code::kUnavailable;
    case ETIMEDOUT:
      return Code::kTimeout;
    case EEXIST:
      return Code::kConflict;
    default:
      return Code::kInternal;
  }
}

}  // namespace

std::string_view name(Code code) {
  return row(code).name;
}
Disposition disposition(Code code) {
  return row(code).disposition;
}

Code code_from_name(std::string_view name) {
  for (const Row& r : kTable)
    if (r.name == name) return r.code;
  return Code::kInternal;
}

Error errno_error(int err, std::string_view what) {
  return Error{code_of_errno(err), fmt::format("{}: {}", what, std::strerror(err)), err};
}
tl::unexpected<Error> fail_errno(int err, std::string_view what) {
  return tl::unexpected<Error>(errno_error(err, what));
}

}  // namespace spool
