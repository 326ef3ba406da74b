#include "executors/process/child.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "executors/process/pidfd.h"

namespace spool::process {
namespace {

constexpr int kSignalBase = 128;  // bwrap's exit code for a program that a signal killed

Result<std::pair<UniqueFd, UniqueFd>> make_output_pipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return fail_errno(errno, "pipe");
  std::pair<UniqueFd, UniqueFd> pair{UniqueFd(ends[0]), UniqueFd(ends[1])};
  if (fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0) return fail_errno(errno, "pipe");
  return pair;
}

}  // namespace

std::string Gone::words(std::int64_t memory_limit) const {
  if (out_of_memory) return out_of_memory_words(memory_limit);
  if (signal == 0) return fmt::format("exited with code {} without an ending", exit_code);
  const char* short_name = sigabbrev_np(signal);
  const char* description = sigdescr_np(signal);
  return fmt::format("killed by SIG{} ({})",
                     short_name != nullptr ? short_name : std::to_string(signal).c_str(),
                     description != nullptr ? description : "unknown");
}

Result<std::unique_ptr<Child>> Child::start(EventLoop& loop, ChildListener& listener, const Sandbox& sandbox,
                                            const Limits& limits, const MemoryCgroups& cgroups) {
  SPOOL_ASSIGN(auto ends, make_channel());
  SPOOL_ASSIGN(auto output, make_output_pipe());
  std::unique_ptr<Child> child(new Child(loop, listener, std::move(ends.first)));
  child->reaped_ = true;  // there is nothing yet to reap
  if (cgroups.available()) {
    SPOOL_ASSIGN(auto cgroup, cgroups.make(limits.memory_bytes));
    child->cgroup_.emplace(std::move(cgroup));
  }
  child->output_ = std::move(output.first);
  child->sandboxed_ = !sandbox.unsafe();
  const int procs = child->cgroup_ ? child->cgroup_->procs() : -1;
  SPOOL_ASSIGN(child->process_, spawn({sandbox.command(limits, child->has_cgroup()), ends.second.get(),
                                       output.second.get(), procs}));
  child->reaped_ = false;
  SPOOL_TRY(child->watch());
  return child;
}

Result<void> Child::watch() {
  SPOOL_ASSIGN(socket_id_,
               loop_.add(channel_.fd(), EPOLLIN, [this](std::uint32_t events) { on_socket(events); }));
  SPOOL_ASSIGN(output_id_, loop_.add(output_.get(), EPOLLIN, [this](std::uint32_t) { read_output(); }));
  SPOOL_ASSIGN(exit_id_, loop_.add(process_.pidfd.get(), EPOLLIN, [this](std::uint32_t) { on_exit(); }));
  return {};
}

Child::~Child() {
  if (!reaped_) {
    kill();
    (void)reap();
  }
  for (const auto id : {socket_id_, output_id_, exit_id_})
    if (id != 0) loop_.remove(id);
}

void Child::send(const FromManager& message, UniqueFd descriptor) {
  channel_.send(message, std::move(descriptor));
  if (channel_.wants_write() && !writing_ && listening_) {
    writing_ = true;
    loop_.change(socket_id_, EPOLLIN | EPOLLOUT);
  }
}

void Child::kill() {
  // The one inside: then the sandbox around it ends by itself and is reaped in order, so that its CPU time is
  // counted. While bwrap still builds the sandbox, its second process is not yet tied to the life of the
  // first and would wait for it for ever: then the whole group, whose number is taken until bwrap is reaped.
  if (inner_)
    signal_pidfd(inner_.get(), SIGKILL);
  else if (!reaped_)
    ::kill(-process_.pid, SIGKILL);
}

std::optional<ProcessStats> Child::stats() const {
  return channel_.sender() > 0 && !reaped_ ? read_stats(channel_.sender()) : std::nullopt;
}

void Child::forget_peak() const {
  if (channel_.sender() > 0) reset_peak(channel_.sender());
}

void Child::on_socket(std::uint32_t events) {
  if ((events & EPOLLOUT) != 0) {
    channel_.flush();
    if (!channel_.wants_write()) {
      writing_ = false;
      loop_.change(socket_id_, EPOLLIN);
    }
  }
  if ((events & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0) receive();
}

void Child::receive() {
  if (!listening_) return;
  auto messages = channel_.receive();
  if (!inner_ && channel_.sender() > 0) inner_ = open_pidfd(channel_.sender());
  if (messages)
    for (FromChild& message : *messages)
      if (listening_) listener_.on_message(*this, std::move(message));
  const bool closed = messages && channel_.ended();
  if (messages && !closed) return;
  listening_ = false;
  loop_.remove(std::exchange(socket_id_, 0));
  if (messages)
    listener_.on_closed(*this);
  else
    listener_.on_violation(*this, messages.error());
}

void Child::read_output() {
  std::array<char, 16384> buffer;
  for (int turn = 0; turn < 8; ++turn) {
    const ssize_t n = ::read(output_.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n == 0 && output_id_ != 0) loop_.remove(std::exchange(output_id_, 0));
    if (n <= 0) return;
    log_.append({buffer.data(), static_cast<std::size_t>(n)});
  }
}

Gone Child::reap() {
  int status = 0;
  while (waitpid(process_.pid, &status, 0) < 0 && errno == EINTR) {
  }
  reaped_ = true;
  Gone gone;
  if (WIFSIGNALED(status)) gone.signal = WTERMSIG(status);
  if (WIFEXITED(status)) gone.exit_code = WEXITSTATUS(status);
  if (sandboxed_ && gone.exit_code > kSignalBase && gone.exit_code < kSignalBase + NSIG)
    gone.signal = std::exchange(gone.exit_code, 0) - kSignalBase;
  gone.out_of_memory = gone.signal == SIGKILL && cgroup_ && cgroup_->oom_kills() > 0;
  return gone;
}

void Child::on_exit() {
  // Its last words may still lie in the socket.
  do receive();
  while (listening_ && !channel_.drained());
  listening_ = false;
  read_output();
  for (auto* id : {&socket_id_, &output_id_, &exit_id_})
    if (*id != 0) loop_.remove(std::exchange(*id, 0));
  const Gone gone = reap();
  listener_.on_gone(*this, gone);
}

}  // namespace spool::process
