#include "executors/process/child_attempt.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

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
  answer_ = Answer{std::move(reply), std::move(descriptor)};
  answered_.notify_one();
}

Result<ChildAttempt::Answer> ChildAttempt::ask(const FromChild& question) {
  SPOOL_TRY(channel_.send_blocking(question));
  std::unique_lock lock(mutex_);
  answered_.wait(lock, [&] { return answer_.has_value(); });
  Answer answer = std::move(*answer_);
  answer_.reset();
  if (answer.reply.error) return fail(std::move(*answer.reply.error));
  return answer;
}

// An input that the manager reads: what it read last is in `memory`.
class ChildAttempt::RemoteSource {
 public:
  RemoteSource(ChildAttempt& attempt, int input, UniqueFd memory)
      : attempt_(attempt), input_(input), memory_(std::move(memory)) {}
  RemoteSource(const RemoteSource&) = delete;
  RemoteSource& operator=(const RemoteSource&) = delete;
  ~RemoteSource() { (void)attempt_.channel_.send_blocking(CloseInput{input_}); }

  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> into) {
    std::size_t done = 0;
    while (done < into.size()) {
      const std::uint64_t at = offset + done;
      if (at < begin_ || at >= begin_ + bytes_) SPOOL_TRY(read_on_from(at));
      if (bytes_ == 0) break;
      const std::uint64_t inside = at - begin_;
      const std::size_t most = std::min<std::uint64_t>(into.size() - done, bytes_ - inside);
      const ssize_t n = pread(memory_.get(), into.data() + done, most, static_cast<off_t>(inside));
      if (n <= 0) return fail_errno(n == 0 ? EIO : errno, "what the manager has read");
      done += static_cast<std::size_t>(n);
    }
    return done;
  }

 private:
  Result<void> read_on_from(std::uint64_t offset) {
    bytes_ = 0;
    SPOOL_ASSIGN(const Answer answer, attempt_.ask(ReadInput{input_, static_cast<std::int64_t>(offset),
                                                             static_cast<int>(kMostReadBytes)}));
    begin_ = offset;
    bytes_ = static_cast<std::uint64_t>(answer.reply.bytes);
    return {};
  }

  ChildAttempt& attempt_;
  const int input_;
  const UniqueFd memory_;
  std::uint64_t begin_ = 0, bytes_ = 0;
};

Result<ByteSource> ChildAttempt::source_of(Answer opened, const std::string& reference) {
  if (opened.reply.input == 0) return file_source(std::move(opened.descriptor), reference);
  ByteSource source;
  source.size = static_cast<std::uint64_t>(opened.reply.size);
  source.name = reference;
  source.read_at =
      [remote = std::make_shared<RemoteSource>(*this, opened.reply.input, std::move(opened.descriptor))](
          std::uint64_t offset, std::span<std::byte> into) { return remote->read_at(offset, into); };
  return source;
}

// A step that only reads for a long time (a survey of a large film) has nothing else to say.
void ChildAttempt::read_on() {
  const auto now = BootClock::now();
  if (now - told_of_reading_ < kReadingEvery) return;
  told_of_reading_ = now;
  (void)channel_.send_blocking(Progress{0, nullptr});
}

Result<ByteSource> ChildAttempt::open_input(std::string_view reference) {
  SPOOL_ASSIGN(Answer opened, ask(OpenInput{std::string(reference)}));
  SPOOL_ASSIGN(ByteSource source, source_of(std::move(opened), std::string(reference)));
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
  SPOOL_ASSIGN(Answer created, ask(CreateOutput{std::string(name)}));
  return std::move(created.descriptor);
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
