#include "steps/command.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "base/file.h"

namespace spool::steps {
namespace {

using std::chrono::milliseconds;

// What the guardian tells: why the program could not be run, or how it ended.
struct Report {
  int exec_errno = 0;
  int status = 0;
  rusage usage{};
};

// Everything a fork of a program with threads may need, made before: after it, nothing may be allocated.
struct Prepared {
  std::string program;
  std::vector<std::string> environment;
  std::vector<char*> argv, envp;
  std::string folder;
};

constexpr char kTerminate = 'T', kKill = 'K';

Result<std::string> find_program(const std::string& name, const std::string& path) {
  if (name.find('/') != std::string::npos) {
    if (access(name.c_str(), X_OK) != 0) return fail_errno(errno, fmt::format("the command {}", name));
    return name;
  }
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find(':', begin), path.size());
    const std::string candidate = path.substr(begin, end - begin) + "/" + name;
    if (access(candidate.c_str(), X_OK) == 0) return candidate;
    begin = end + 1;
  }
  return fail(Code::kNotFound, fmt::format("there is no program '{}' in {}", name, path));
}

Result<Prepared> prepare(const Command& command) {
  Prepared p;
  const auto path = command.environment.find("PATH");
  SPOOL_ASSIGN(p.program, find_program(command.words.at(0),
                                       path == command.environment.end() ? "/usr/bin:/bin" : path->second));
  for (const auto& [key, value] : command.environment) p.environment.push_back(key + "=" + value);
  for (std::string& entry : p.environment) p.envp.push_back(entry.data());
  p.envp.push_back(nullptr);
  for (const std::string& word : command.words) p.argv.push_back(const_cast<char*>(word.c_str()));
  p.argv.push_back(nullptr);
  p.folder = command.folder.string();
  return p;
}

struct Pipe {
  UniqueFd read, write;
};
Result<Pipe> make_pipe() {
  std::array<int, 2> fds{};
  if (pipe2(fds.data(), O_CLOEXEC) != 0) return fail_errno(errno, "pipe");
  return Pipe{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

// Below: after a fork. Async-signal-safe calls only, until exec or _exit.

void reset_signals(std::initializer_list<int> ignored) {
  for (int s = 1; s < 32; ++s) signal(s, SIG_DFL);
  for (const int s : ignored) signal(s, SIG_IGN);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

// Leaves 0 (nothing to read), 1, 2 and those given.
void close_others(int keep_a, int keep_b) {
  const auto low = static_cast<unsigned>(std::min(keep_a, keep_b)),
             high = static_cast<unsigned>(std::max(keep_a, keep_b));
  if (low > 3) close_range(3, low - 1, 0);
  if (high > low + 1) close_range(low + 1, high - 1, 0);
  close_range(high + 1, ~0u, 0);
}

[[noreturn]] void become_command(const Prepared& p, int report) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  reset_signals({});
  if (chdir(p.folder.c_str()) == 0) execve(p.program.c_str(), p.argv.data(), p.envp.data());
  Report failed;
  failed.exec_errno = errno;
  (void)!write(report, &failed, sizeof failed);
  _exit(127);
}

[[noreturn]] void guard(const Prepared& p, int life, int report, int out, int error) {
  setpgid(0, 0);  // a terminal's Ctrl-C is not for us
  // Who ends a service may signal all its processes at once: when we end is our master's to say.
  reset_signals({SIGPIPE, SIGTERM, SIGINT, SIGHUP});
  const int nothing = open("/dev/null", O_RDONLY);
  dup2(nothing, 0);
  dup2(out, 1);
  dup2(error, 2);
  close_others(life, report);
  const pid_t child = fork();
  if (child == 0) become_command(p, report);
  if (child < 0) _exit(1);
  setpgid(child, child);
  close(1);
  close(2);
  // ECHILD and the like cannot happen: nobody else waits for it.
  const int ends = static_cast<int>(syscall(SYS_pidfd_open, child, 0));
  for (;;) {
    std::array<pollfd, 2> fds{{{life, POLLIN, 0}, {ends, POLLIN, 0}}};
    if (poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) kill(-child, SIGKILL);
    if (fds[1].revents != 0) break;
    if (fds[0].revents == 0) continue;
    char wish = kKill;
    if (read(life, &wish, 1) <= 0) {
      kill(-child, SIGKILL);  // our master is gone
      _exit(0);
    }
    kill(-child, wish == kTerminate ? SIGTERM : SIGKILL);
  }
  Report done;
  kill(-child, SIGKILL);  // what it left behind; it is not reaped yet, so the group is still its own
  wait4(child, &done.status, 0, &done.usage);
  (void)!write(report, &done, sizeof done);
  _exit(0);
}

// Above: after a fork.

double seconds_of(const timeval& t) {
  return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
}

class Running {
 public:
  Running(const Command& command, pid_t guardian, UniqueFd life, UniqueFd report, UniqueFd out,
          UniqueFd error)
      : command_(command),
        guardian_(guardian),
        life_(std::move(life)),
        report_(std::move(report)),
        outputs_{std::move(out), std::move(error)},
        stopped_(eventfd(0, EFD_CLOEXEC)) {
    for (const UniqueFd& fd : outputs_) fcntl(fd.get(), F_SETFL, O_NONBLOCK);
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  ~Running() {
    life_.reset();  // ends it, if it has not ended
    while (waitpid(guardian_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }

  Result<CommandEnd> await() {
    const std::stop_callback on_stop(command_.stop, [this] { eventfd_write(stopped_.get(), 1); });
    if (command_.timeout) wish_at_ = BootClock::now() + *command_.timeout;
    for (;;) {
      std::array<pollfd, 4> fds{{{report_.get(), POLLIN, 0},
                                 {wish_ == 0 ? stopped_.get() : -1, POLLIN, 0},
                                 {outputs_[0].get(), POLLIN, 0},
                                 {outputs_[1].get(), POLLIN, 0}}};
      if (poll(fds.data(), fds.size(), wait_milliseconds()) < 0 && errno != EINTR)
        return fail_errno(errno, "poll");
      if (fds[2].revents != 0) pass_on(outputs_[0], command_.out);
      if (fds[3].revents != 0) pass_on(outputs_[1], command_.error);
      if (fds[0].revents != 0) return ended();
      if (fds[1].revents != 0) {
        ask();
      } else if (wish_at_ && BootClock::now() >= *wish_at_) {
        timed_out_ |= wish_ == 0;
        ask();
      }
    }
  }

 private:
  int wait_milliseconds() const {
    if (!wish_at_) return -1;
    const auto left = std::chrono::ceil<milliseconds>(*wish_at_ - BootClock::now()).count();
    return static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000));
  }

  // First kindly, then, after the grace, not.
  void ask() {
    wish_ = wish_ == 0 ? kTerminate : kKill;
    (void)!write(life_.get(), &wish_, 1);
    wish_at_.reset();
    if (wish_ == kTerminate) wish_at_ = BootClock::now() + command_.grace;
  }

  // One read: whoever writes without end must not keep us from looking at the clock. How much it read.
  static std::size_t pass_on(UniqueFd& from, const std::function<void(std::string_view)>& to) {
    std::array<char, 65536> bytes;
    const ssize_t n = read(from.get(), bytes.data(), bytes.size());
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) from.reset();
    if (n <= 0) return 0;
    if (to) to({bytes.data(), static_cast<std::size_t>(n)});
    return static_cast<std::size_t>(n);
  }

  // What lies in the pipe now; somebody who left the group may still write.
  static void pass_on_rest(UniqueFd& from, const std::function<void(std::string_view)>& to) {
    int left = 0;
    if (ioctl(from.get(), FIONREAD, &left) != 0) return;
    while (from && left > 0) left -= static_cast<int>(pass_on(from, to));
  }

  Result<CommandEnd> ended() {
    Report report;
    ssize_t n = 0;
    while ((n = read(report_.get(), &report, sizeof report)) < 0 && errno == EINTR) {
    }
    if (n != sizeof report) return fail(Code::kCrashed, "the command's guardian was killed");
    if (report.exec_errno != 0)
      return fail_errno(report.exec_errno, fmt::format("cannot run {}", command_.words[0]));
    pass_on_rest(outputs_[0], command_.out);
    pass_on_rest(outputs_[1], command_.error);
    CommandEnd end;
    if (WIFEXITED(report.status)) end.exit_code = WEXITSTATUS(report.status);
    if (WIFSIGNALED(report.status)) end.signal = WTERMSIG(report.status);
    end.timed_out = timed_out_;
    end.cpu_seconds = seconds_of(report.usage.ru_utime) + seconds_of(report.usage.ru_stime);
    end.peak_memory_bytes = std::int64_t{report.usage.ru_maxrss} * 1024;
    return end;
  }

  const Command& command_;
  const pid_t guardian_;
  UniqueFd life_, report_;
  std::array<UniqueFd, 2> outputs_;
  UniqueFd stopped_;
  std::optional<BootClock::time_point> wish_at_;
  char wish_ = 0;
  bool timed_out_ = false;
};

}  // namespace

Result<CommandEnd> run_command(const Command& command) {
  SPOOL_ASSIGN(const Prepared prepared, prepare(command));
  SPOOL_ASSIGN(Pipe life, make_pipe());
  SPOOL_ASSIGN(Pipe report, make_pipe());
  SPOOL_ASSIGN(Pipe out, make_pipe());
  SPOOL_ASSIGN(Pipe error, make_pipe());
  const pid_t guardian = fork();
  if (guardian < 0) return fail_errno(errno, "fork");
  if (guardian == 0) guard(prepared, life.read.get(), report.write.get(), out.write.get(), error.write.get());
  report.write.reset();
  out.write.reset();
  error.write.reset();
  life.read.reset();
  Running running(command, guardian, std::move(life.write), std::move(report.read), std::move(out.read),
                  std::move(error.read));
  return running.await();
}

}  // namespace spool::steps
