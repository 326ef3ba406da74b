#include "executors/inline_attempt.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <ctime>

#include "queue/handler_call.h"

namespace spool {
namespace {

// A handler may say something for every frame; the worker need not hear of each.
constexpr auto kBetweenReports = std::chrono::milliseconds(50);

double thread_cpu_seconds() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

tl::unexpected<Error> no_files() {
  return fail(Code::kUnsupported, "this worker gives its inline jobs no inputs and outputs");
}

}  // namespace

void InlineAttempt::send(ProgressReport report) {
  sent_ = BootClock::now();
  unsent_.reset();
  if (events_.report) events_.report(*claim_, std::move(report));
}

void InlineAttempt::progress(double fraction, Json detail) {
  ProgressReport report{claim_->job, claim_->token, std::clamp(fraction, 0.0, 1.0), std::move(detail), {}};
  if (BootClock::now() - sent_ < kBetweenReports) {
    if (report.detail.is_null() && unsent_) report.detail = std::move(unsent_->detail);
    unsent_ = std::move(report);
  } else {
    send(std::move(report));
  }
}

Result<void> InlineAttempt::checkpoint(Json value) {
  if (const std::size_t size = to_text(value).size(); size > kMostCheckpointBytes)
    return fail(Code::kLimitExceeded,
                fmt::format("a checkpoint of {} bytes: at most {} are kept", size, kMostCheckpointBytes));
  ProgressReport report =
      unsent_ ? std::move(*unsent_) : ProgressReport{claim_->job, claim_->token, {}, {}, {}};
  report.checkpoint = std::move(value);
  send(std::move(report));
  return {};
}

void InlineAttempt::log(std::string_view line) {
  log_.append(line.substr(0, kMostLogTailBytes)).push_back('\n');
  if (log_.size() > 2 * kMostLogTailBytes) log_.erase(0, log_.size() - kMostLogTailBytes);
}

void InlineAttempt::add_usage(const Usage& usage) {
  usage_.cpu_seconds += usage.cpu_seconds;
  usage_.peak_memory_bytes = std::max(usage_.peak_memory_bytes, usage.peak_memory_bytes);
  usage_.bytes_read += usage.bytes_read;
  usage_.bytes_written += usage.bytes_written;
}

Result<ByteSource> InlineAttempt::open_input(std::string_view reference) {
  if (files_ == nullptr) return no_files();
  SPOOL_ASSIGN(OpenedInput input, files_->open_input(*claim_, reference));
  if (auto* fd = std::get_if<UniqueFd>(&input)) {
    SPOOL_ASSIGN(input, file_source(std::move(*fd), std::string(reference)));
  }
  ByteSource source = std::get<ByteSource>(std::move(input));
  source.name = reference;
  source.read_at = [read = std::move(source.read_at), total = bytes_read_](std::uint64_t offset,
                                                                           std::span<std::byte> into) {
    auto n = read(offset, into);
    if (n) *total += static_cast<std::int64_t>(*n);
    return n;
  };
  return source;
}

Result<void> InlineAttempt::put_output(std::string_view name, std::span<const std::byte> bytes) {
  SPOOL_ASSIGN(UniqueFd fd, create_output(name));
  SPOOL_TRY(write_all(fd.get(), bytes));
  return commit_output(name, std::move(fd));
}

Result<UniqueFd> InlineAttempt::create_output(std::string_view name) {
  if (files_ == nullptr) return no_files();
  return files_->create_output(*claim_, name);
}

Result<void> InlineAttempt::commit_output(std::string_view name, UniqueFd fd) {
  if (files_ == nullptr) return no_files();
  struct stat info {};
  if (fstat(fd.get(), &info) == 0) usage_.bytes_written += info.st_size;
  return files_->commit_output(*claim_, name, fd.get());
}

void InlineAttempt::stop(StopReason reason) {
  int none = -1;
  if (!reason_.compare_exchange_strong(none, static_cast<int>(reason)) && reason == StopReason::kLeaseLost)
    reason_ = static_cast<int>(reason);
  stop_.request_stop();
}

Settlement InlineAttempt::run() {
  const double cpu_before = thread_cpu_seconds();
  Settlement settlement{claim_->job, claim_->token, Released{}, {}, {}};
  // Stopped before it began: nothing is called, nothing is charged but what the reason says.
  if (!stop_.stop_requested()) settlement.ending = call_handler(kind_, *this);
  if (const int reason = reason_; reason >= 0)
    settlement.ending = ending_after_stop(std::move(settlement.ending), static_cast<StopReason>(reason));
  if (unsent_) send(std::move(*unsent_));
  usage_.cpu_seconds += thread_cpu_seconds() - cpu_before;
  usage_.bytes_read += *bytes_read_;
  settlement.usage = usage_;
  settlement.log_tail = std::move(log_);
  return settlement;
}

}  // namespace spool
