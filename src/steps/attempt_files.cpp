#include "steps/attempt_files.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "queue/input_references.h"

namespace spool::steps {
namespace {

constexpr std::string_view kOurs = ".spool/";

}  // namespace

std::string all_attempts() {
  return fmt::format("{}attempts", kOurs);
}
std::string attempts_prefix(const Uuid& job) {
  return fmt::format("{}/{}", all_attempts(), job.text());
}
std::optional<Uuid> job_of_attempt(std::string_view key) {
  const std::string all = all_attempts() + "/";
  if (!key.starts_with(all)) return std::nullopt;
  key.remove_prefix(all.size());
  const auto id = Uuid::parse(key.substr(0, key.find('/')));
  return id ? std::optional(*id) : std::nullopt;
}
std::string attempt_prefix(const Uuid& job, const Token& token) {
  return fmt::format("{}/{}", attempts_prefix(job), token.text());
}

Result<OpenedInput> ObjectAttemptFiles::open_object(std::string_view key) {
  SPOOL_ASSIGN(std::optional<UniqueFd> local, objects_.local_fd(key));
  if (local) return OpenedInput(std::move(*local));
  SPOOL_ASSIGN(ByteSource source, objects_.open(key));
  return OpenedInput(cache_.reader(std::string(key), std::move(source)));
}

Result<OpenedInput> ObjectAttemptFiles::open_input(const Claim& claim, std::string_view reference) {
  if (!names_input(claim.args, reference))
    return fail(Code::kPermissionDenied, fmt::format("'{}' is not an input of this job", reference));
  if (const auto it = rules_.named.find(reference); it != rules_.named.end())
    return open_regular_file(it->second);
  if (reference.starts_with("object:")) {
    const std::string_view key = reference.substr(7);
    if (key.starts_with(kOurs))
      return fail(Code::kPermissionDenied, fmt::format("'{}' is spool's own", reference));
    return open_object(key);
  }
  if (reference.starts_with("file:/")) {
    if (!rules_.local_files)
      return fail(
          Code::kPermissionDenied,
          fmt::format("'{}': this worker may not read files of its machine; upload it (object:KEY), or set "
                      "local_files = true under [worker] in spool.toml",
                      reference));
    return open_regular_file(std::string(reference.substr(5)));
  }
  return fail(Code::kInvalidArgument, fmt::format("'{}' is no input: object:KEY or file:/PATH", reference));
}

Result<UniqueFd> ObjectAttemptFiles::create_output(const Claim&, std::string_view name) {
  SPOOL_TRY(check_key(name));
  return objects_.create_file();
}

Result<void> ObjectAttemptFiles::commit_output(const Claim& claim, std::string_view name, int fd) {
  SPOOL_TRY(check_key(name));
  return objects_.put_file(fmt::format("{}/{}", attempt_prefix(claim.job, claim.token), name), fd);
}

void ObjectAttemptFiles::discard(const Claim& claim) {
  const std::string prefix = attempt_prefix(claim.job, claim.token);
  if (const auto removed = objects_.remove_all(prefix); !removed)
    spdlog::warn("{} is left behind: {}", prefix, removed.error().message);
}

}  // namespace spool::steps
