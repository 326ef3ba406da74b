#include "executors/process/run_job.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <malloc.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <exception>
#include <memory>
#include <new>
#include <thread>

#include "executors/process/channel.h"
#include "executors/process/child_attempt.h"
#include "executors/process/sandbox.h"
#include "executors/process/sanitizers.h"
#include "executors/process/seccomp_filter.h"

namespace spool {
namespace process {
namespace {

constexpr int kStartedByHand = 2;
constexpr int kCannotLimit = 3;

struct ChildOptions {
  std::int64_t file_bytes = 0, open_files = 0, threads = 0, data_bytes = 0;  // 0: as inherited
  std::int64_t memory_bytes = 0;                                             // kept to by others; for words
};

Result<ChildOptions> parse_options(int argc, char** argv) {
  ChildOptions options;
  for (int i = 2; i < argc; ++i) {
    const std::string_view word = argv[i];
    const auto equals = word.find('=');
    std::int64_t* into = nullptr;
    if (word.starts_with("--file-bytes=")) into = &options.file_bytes;
    if (word.starts_with("--open-files=")) into = &options.open_files;
    if (word.starts_with("--threads=")) into = &options.threads;
    if (word.starts_with("--memory-bytes=")) into = &options.memory_bytes;
    if (word.starts_with("--data-bytes=")) into = &options.data_bytes;
    const auto digits = word.substr(equals == std::string_view::npos ? word.size() : equals + 1);
    if (into == nullptr ||
        std::from_chars(digits.data(), digits.data() + digits.size(), *into).ec != std::errc())
      return fail(Code::kInvalidArgument, fmt::format("unknown option {}", word));
  }
  return options;
}

// Lowers a limit; a lower one that is there already stays.
Result<void> limit(__rlimit_resource what, std::int64_t most, const char* name) {
  rlimit now{};
  if (getrlimit(what, &now) != 0) return fail_errno(errno, name);
  const auto wanted = std::min(static_cast<rlim_t>(most), now.rlim_max);
  const rlimit lowered{wanted, wanted};
  if (setrlimit(what, &lowered) != 0) return fail_errno(errno, name);
  return {};
}

// Before the first byte of media is read, and for good.
Result<void> limit_self(const ChildOptions& options) {
  SPOOL_TRY(limit(RLIMIT_CORE, 0, "RLIMIT_CORE"));
  if (options.file_bytes > 0) SPOOL_TRY(limit(RLIMIT_FSIZE, options.file_bytes, "RLIMIT_FSIZE"));
  if (options.open_files > 0) SPOOL_TRY(limit(RLIMIT_NOFILE, options.open_files, "RLIMIT_NOFILE"));
  if (options.threads > 0) SPOOL_TRY(limit(RLIMIT_NPROC, options.threads, "RLIMIT_NPROC"));
  // A sanitizer's shadow memory is far beyond any limit.
  if (options.data_bytes > 0 && !kUnderSanitizer)
    SPOOL_TRY(limit(RLIMIT_DATA, options.data_bytes, "RLIMIT_DATA"));
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);  // write(2) then says EFBIG, which makes a better error than a dead process
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail_errno(errno, "PR_SET_NO_NEW_PRIVS");
  return apply_seccomp_filter();
}

// What the encoders of one chunk give back serves those of the next: pages that the kernel clears anew cost
// 1% of a chunk's time.
void keep_memory() {
  constexpr int kLargestThreshold = 32 << 20;  // the C library's
  mallopt(M_MMAP_THRESHOLD, kLargestThreshold);
  mallopt(M_TRIM_THRESHOLD, 512 << 20);
}

Usage own_usage() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return {seconds(usage.ru_utime) + seconds(usage.ru_stime), usage.ru_maxrss * 1024, 0, 0};
}

Ending run_handler(const Kinds& kinds, Attempt& attempt, std::int64_t memory_limit) {
  const Kind* kind = kinds.find(attempt.claim().kind);
  if (kind == nullptr || !kind->run)
    return Failed{{Code::kUnsupported, fmt::format("this program has no kind {}", attempt.claim().kind), 0}};
  try {
    return kind->run(attempt);
  } catch (const std::bad_alloc&) {
    return RetryLater{
        {Code::kCrashed, fmt::format("{}: its process {}", kind->name, out_of_memory_words(memory_limit)), 0},
        {}};
  } catch (const std::exception& error) {
    return RetryLater{{Code::kInternal, fmt::format("{}: {}", kind->name, error.what()), 0}, {}};
  } catch (...) {
    return RetryLater{{Code::kInternal, fmt::format("{}: an unknown exception", kind->name), 0}, {}};
  }
}

// One process's life: this thread runs handlers, another one listens.
class Runner {
 public:
  Runner(const Kinds& kinds, std::int64_t memory_limit, UniqueFd socket)
      : kinds_(kinds), memory_limit_(memory_limit), channel_(std::move(socket)) {}

  // Never returns: the listening thread ends the process when the manager is gone.
  void run() {
    std::thread([this] { listen(); }).detach();
    if (!channel_.send_blocking(Ready{})) ::_exit(0);
    for (;;) {
      ChildAttempt& attempt = wait_for_claim();
      Ended ended{run_handler(kinds_, attempt, memory_limit_), {}};
      ended.usage = subtract(own_usage(), before_);
      // What the manager would not take is said in words instead.
      if (auto problem = decode_from_child(encode(ended));
          !problem || encode(ended).size() > kMostMessageBytes)
        ended.ending =
            Failed{problem ? Error{Code::kLimitExceeded, "the ending is too large", 0} : problem.error()};
      {
        const std::lock_guard lock(mutex_);
        attempt_.reset();
      }
      if (!channel_.send_blocking(ended)) ::_exit(0);
    }
  }

 private:
  static Usage subtract(Usage now, const Usage& before) {
    now.cpu_seconds -= before.cpu_seconds;
    return now;
  }

  ChildAttempt& wait_for_claim() {
    std::unique_lock lock(mutex_);
    claimed_.wait(lock, [&] { return attempt_ != nullptr; });
    before_ = own_usage();
    return *attempt_;
  }

  void listen() {
    for (;;) {
      auto received = channel_.receive_blocking();
      // The manager is gone, or has no more use for this process: whatever runs here runs for nobody.
      if (!received || !*received) ::_exit(0);
      const std::lock_guard lock(mutex_);
      if (auto* run = std::get_if<Run>(&(*received)->message)) {
        attempt_ = std::make_unique<ChildAttempt>(channel_, std::move(run->claim));
        claimed_.notify_one();
      } else if (attempt_ != nullptr && std::holds_alternative<Stop>((*received)->message)) {
        attempt_->request_stop();
      } else if (auto* reply = std::get_if<Reply>(&(*received)->message);
                 reply != nullptr && attempt_ != nullptr) {
        attempt_->answer(std::move(*reply), std::move((*received)->descriptor));
      }
    }
  }

  const Kinds& kinds_;
  const std::int64_t memory_limit_;
  ChildChannel channel_;
  std::mutex mutex_;
  std::condition_variable claimed_;
  std::unique_ptr<ChildAttempt> attempt_;
  Usage before_;
};

bool is_socket(int fd) {
  int type = 0;
  socklen_t size = sizeof type;
  return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM;
}

}  // namespace
}  // namespace process

int run_job_main(const Kinds& kinds, int argc, char** argv) {
  using namespace process;
  if (!is_socket(kChildSocket)) {
    std::fputs("spool run-job is started by a worker, not by hand\n", stderr);
    return kStartedByHand;
  }
  const auto options = parse_options(argc, argv);
  if (!options) {
    fmt::print(stderr, "spool run-job: {}\n", options.error().message);
    return kStartedByHand;
  }
  fcntl(kChildSocket, F_SETFD, FD_CLOEXEC);
  keep_memory();
  if (const auto limited = limit_self(*options); !limited) {
    fmt::print(stderr, "spool run-job: cannot limit itself: {}\n", limited.error().message);
    return kCannotLimit;
  }
  Runner(kinds, options->memory_bytes, UniqueFd(kChildSocket)).run();
  return 0;
}

}  // namespace spool
