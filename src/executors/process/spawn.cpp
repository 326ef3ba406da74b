#include "executors/process/spawn.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "executors/process/pidfd.h"

namespace spool::process {
namespace {

// Everything that the new process needs, made before the fork: after it, no memory may be asked for.
struct Prepared {
  const Spawn& what;
  std::vector<char*> words;
  std::array<char*, 4> environment;
  pid_t parent;
  int null;
  int failed;  // where to tell why it could not be started
};

// Who ends a service may signal all its processes at once. When a child ends is its manager's to say: these
// stay ignored over exec, in the sandbox too.
void reset_signals() {
  struct sigaction usual {
  }, ignored{};
  usual.sa_handler = SIG_DFL;
  ignored.sa_handler = SIG_IGN;
  for (int signal = 1; signal < NSIG; ++signal) sigaction(signal, &usual, nullptr);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaction(signal, &ignored, nullptr);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

bool become(uid_t user) {
  return syscall(SYS_setgroups, 0, nullptr) == 0 && syscall(SYS_setresgid, user, user, user) == 0 &&
         syscall(SYS_setresuid, user, user, user) == 0;
}

// When the machine runs out of memory, the kernel should take a child first and a manager late.
void volunteer() {
  const int fd = ::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (fd >= 0) [[maybe_unused]]
    const ssize_t n = ::write(fd, "500", 3);
}

// Descriptors 0 to 3, and one more that closes itself; `high` ones first, so that none is overwritten early.
bool arrange_descriptors(const Prepared& p, int& failed) {
  const int socket = p.what.socket >= 0 ? fcntl(p.what.socket, F_DUPFD, 16) : -1;
  const int output = fcntl(p.what.output, F_DUPFD, 16);
  const int null = fcntl(p.null, F_DUPFD, 16);
  const int tell = fcntl(failed, F_DUPFD, 16);
  if (output < 0 || null < 0 || tell < 0) return false;
  if (dup2(null, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0) return false;
  if (socket >= 0 && dup2(socket, kChildSocket) < 0) return false;
  failed = kChildSocket + 1;
  if (dup2(tell, failed) < 0 || fcntl(failed, F_SETFD, FD_CLOEXEC) != 0) return false;
  if (socket < 0) ::close(kChildSocket);
  return syscall(SYS_close_range, static_cast<unsigned>(failed + 1), ~0u, 0u) == 0;
}

[[noreturn]] void child(const Prepared& p) {
  int failed = p.failed;
  reset_signals();
  setsid();
  volunteer();
  bool good = p.what.cgroup_procs < 0 || ::write(p.what.cgroup_procs, "0", 1) == 1;
  good = good && arrange_descriptors(p, failed);
  good = good && (!p.what.command.run_as || become(*p.what.command.run_as));
  // After the change of user, which clears it.
  good = good && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0;
  if (good && getppid() != p.parent) _exit(127);  // the manager died meanwhile
  if (good) execve(p.words[0], p.words.data(), p.environment.data());
  const int error = errno;
  [[maybe_unused]] const ssize_t n = ::write(failed, &error, sizeof error);
  _exit(127);
}

// What the new process had to tell before its exec; 0 when exec went well.
int told(int fd) {
  int error = 0;
  ssize_t n = 0;
  do n = ::read(fd, &error, sizeof error);
  while (n < 0 && errno == EINTR);
  return n == static_cast<ssize_t>(sizeof error) ? error : 0;
}

}  // namespace

Result<Spawned> spawn(const Spawn& what) {
  const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  int ends[2];
  if (!null || pipe2(ends, O_CLOEXEC) != 0) return fail_errno(errno, "cannot start a process");
  const UniqueFd listen(ends[0]);
  UniqueFd tell(ends[1]);
  std::string path = "PATH=/usr/bin:/bin", locale = "LC_ALL=C.UTF-8";
  std::string libraries;
  if (const char* found = ::getenv("LD_LIBRARY_PATH")) libraries = fmt::format("LD_LIBRARY_PATH={}", found);
  Prepared prepared{what,
                    {},
                    {path.data(), locale.data(), libraries.empty() ? nullptr : libraries.data(), nullptr},
                    getpid(),
                    null.get(),
                    tell.get()};
  for (const std::string& word : what.command.words)
    prepared.words.push_back(const_cast<char*>(word.c_str()));
  prepared.words.push_back(nullptr);

  // No handler of this program may run in the new process before its own are reset.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t pid = fork();
  const int fork_error = errno;
  if (pid == 0) child(prepared);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) return fail_errno(fork_error, "cannot start a process");
  tell.reset();

  Spawned spawned{pid, open_pidfd(pid)};
  const int pidfd_error = errno;
  const int error = told(listen.get());
  if (error == 0 && spawned.pidfd) return spawned;
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
  return fail_errno(error != 0 ? error : pidfd_error, what.command.words[0]);
}

Result<Said> run_to_end(const Command& command) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return fail_errno(errno, "pipe");
  const UniqueFd listen(ends[0]);
  UniqueFd tell(ends[1]);
  SPOOL_ASSIGN(const Spawned process, spawn({command, -1, tell.get(), -1}));
  tell.reset();
  Said said;
  std::array<char, 4096> buffer;
  for (;;) {
    const ssize_t n = ::read(listen.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    if (said.output.size() < 65536) said.output.append(buffer.data(), static_cast<std::size_t>(n));
  }
  int status = 0;
  while (waitpid(process.pid, &status, 0) < 0 && errno == EINTR) {
  }
  said.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return said;
}

}  // namespace spool::process
