#include "executors/process/child_attempt.h"

#include <fmt/format.h>

#include <algorithm>

#include "executors/process/clean_text.h"

namespace spool::process {
namespace {

constexpr auto kProgressEvery = std::chrono::milliseconds(100);
constexpr auto kReadingEvery = std::chrono::seconds(1);
constexpr std::uint64_t kMostPasses = 10;  // over a file; more is no progress but a decoder in a circle

// RLIMIT_FSIZE and a full disk are told by write(2) alone.
Result<void> named(Result<void> result, std::string_view name) {
  if (result) return result;
  Error error = std::move(result).error();
  error.message = fmt::format("output {}: {}", name, error.message);
  return fail(std::move(error));
}

}  // namespace

void ChildAttempt::progress(double fraction, Json detail) {
  const auto now = BootClock::now();
  if (last_progress_ && now - *last_progress_ < kProgressEvery && fraction < 1) return;
  last_progress_ = now;
  if (to_text(detail).size() > kMostDetailBytes) detail = nullptr;
  // A manager that is gone ends this process elsewhere.
  (void)channel_.send_blocking(Progress{std::clamp(fraction, 0.0, 1.0), std::move(detail)});
}

Result<void> ChildAttempt::checkpoint(Json value) {
  if (const std::size_t size = to_text(value).size(); size > kMostCheckpointBytes)
    return fail(Code::kLimitExceeded,
                fmt::format("a checkpoint of {} bytes; {} are the most", size, kMostCheckpointBytes));
  return channel_.send_blocking(Checkpoint{std::move(value)});
}

void ChildAttempt::log(std::string_view line) {
  (void)channel_.send_blocking(LogLine{printable(line, kMostTextBytes)});
}

void ChildAttempt::answer(Reply reply, UniqueFd descriptor) {
  const std::lock_guard lock(mutex_);
  answer_.emplace(std::move(reply), std::move(descriptor));
  answered_.notify_one();
}

Result<UniqueFd> ChildAttempt::ask(const FromChild& question) {
  SPOOL_TRY(channel_.send_blocking(question));
  std::unique_lock lock(mutex_);
  answered_.wait(lock, [&] { return answer_.has_value(); });
  auto [reply, descriptor] = std::move(*answer_);
  answer_.reset();
  if (reply.error) return fail(std::move(*reply.error));
  return std::move(descriptor);
}

// A step that only reads for a long time (a survey of a large film) has nothing else to say.
void ChildAttempt::read_on() {
  const auto now = BootClock::now();
  if (now - told_of_reading_ < kReadingEvery) return;
  told_of_reading_ = now;
  (void)channel_.send_blocking(Progress{0, nullptr});
}

Result<ByteSource> ChildAttempt::open_input(std::string_view reference) {
  SPOOL_ASSIGN(UniqueFd fd, ask(OpenInput{std::string(reference)}));
  SPOOL_ASSIGN(ByteSource source, file_source(std::move(fd), std::string(reference)));
  source.read_at = [this, read = std::move(source.read_at), left = kMostPasses * source.size](
                       std::uint64_t offset, std::span<std::byte> into) mutable {
    auto n = read(offset, into);
    if (n && *n <= left) {
      left -= *n;
      read_on();
    }
    return n;
  };
  return source;
}

Result<UniqueFd> ChildAttempt::create_output(std::string_view name) {
  return ask(CreateOutput{std::string(name)});
}

Result<void> ChildAttempt::commit_output(std::string_view name, UniqueFd fd) {
  fd.reset();  // the manager has its own
  SPOOL_TRY(ask(CommitOutput{std::string(name)}));
  return {};
}

Result<void> ChildAttempt::put_output(std::string_view name, std::span<const std::byte> bytes) {
  SPOOL_ASSIGN(UniqueFd fd, create_output(name));
  SPOOL_TRY(named(write_all(fd.get(), bytes), name));
  return commit_output(name, std::move(fd));
}

}  // namespace spool::process
