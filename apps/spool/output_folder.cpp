#include "output_folder.h"

#include <fmt/format.h>

#include <system_error>

namespace spool {
namespace fs = std::filesystem;
namespace {

// Ours is a folder with our mark in it, or one that holds nothing yet.
Result<void> check_ours(const fs::path& dir) {
  std::error_code error;
  if (fs::exists(dir / ".spool", error)) return {};
  const fs::directory_iterator entries(dir, error);
  if (error) return fail_errno(error.value(), dir.string());
  if (entries != fs::directory_iterator())
    return fail(
        Code::kConflict,
        fmt::format("{}: the folder is not empty and was not made by spool; name a new or an empty one",
                    dir.string()));
  return {};
}

}  // namespace

Result<OutputFolder> OutputFolder::open(const fs::path& given) {
  std::error_code error;
  const fs::path dir = fs::absolute(given, error).lexically_normal();
  if (fs::exists(dir, error) && !fs::is_directory(dir, error))
    return fail(Code::kInvalidArgument,
                fmt::format("{}: is a file; the output must be a folder", dir.string()));
  fs::create_directories(dir, error);
  if (error)
    return fail(errno_error(error.value(), fmt::format("cannot make the output folder {}", dir.string())));
  SPOOL_TRY(check_ours(dir));
  fs::create_directories(dir / ".spool", error);
  if (error)
    return fail(
        errno_error(error.value(), fmt::format("cannot write into the output folder {}", dir.string())));

  SPOOL_ASSIGN(auto lock, FileLock::try_lock(dir / ".spool" / "lock"));
  if (!lock)
    return fail(Code::kConflict,
                fmt::format("{}: another spool is at work here; wait for it, or stop it", dir.string()));
  return OutputFolder(dir, std::move(*lock));
}

}  // namespace spool
