#include "executors/process/channel.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace spool::process {
namespace {

constexpr std::size_t kMostDescriptors =
    16;  // in one message; a child that sends more loses them to the kernel

struct Arrived {
  ssize_t bytes = 0;
  int error = 0;
  pid_t sender = 0;
  bool truncated = false;
  std::vector<UniqueFd> descriptors;
};

void take_control(msghdr& header, Arrived& arrived) {
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level != SOL_SOCKET) continue;
    if (part->cmsg_type == SCM_CREDENTIALS) {
      ucred credentials{};
      std::memcpy(&credentials, CMSG_DATA(part), sizeof credentials);
      arrived.sender = credentials.pid;
    } else if (part->cmsg_type == SCM_RIGHTS) {
      const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (std::size_t i = 0; i < count; ++i) {
        int fd = -1;
        std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof fd);
        arrived.descriptors.emplace_back(fd);
      }
    }
  }
  arrived.truncated = (header.msg_flags & MSG_CTRUNC) != 0;
}

Arrived receive_from(int socket, std::span<char> into) {
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(ucred)) + CMSG_SPACE(kMostDescriptors * sizeof(int))];
  iovec part{into.data(), into.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  Arrived arrived;
  do arrived.bytes = recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
  while (arrived.bytes < 0 && errno == EINTR);
  if (arrived.bytes < 0)
    arrived.error = errno;
  else
    take_control(header, arrived);
  return arrived;
}

// Bytes sent, or -1 with errno. A descriptor goes with the first byte.
ssize_t send_to(int socket, std::string_view bytes, int descriptor, int flags) {
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  iovec part{const_cast<char*>(bytes.data()), bytes.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (descriptor >= 0) {
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(rights), &descriptor, sizeof descriptor);
  }
  for (;;) {
    const ssize_t n = sendmsg(socket, &header, flags | MSG_NOSIGNAL);
    if (n >= 0 || errno != EINTR) return n;
  }
}

}  // namespace

Result<void> ManagerChannel::receive_some() {
  std::array<char, 16384> buffer;
  const Arrived arrived = receive_from(socket_.get(), buffer);
  drained_ = true;
  if (arrived.error == EAGAIN || arrived.error == EWOULDBLOCK) return {};
  if (arrived.bytes <= 0) {  // closed, or reset: the process's end will tell why
    ended_ = true;
    return {};
  }
  if (sender_ == 0) sender_ = arrived.sender;
  if (!arrived.descriptors.empty() || arrived.truncated)
    return fail(Code::kInvalidArgument, "it sent a descriptor");
  frames_.feed({buffer.data(), static_cast<std::size_t>(arrived.bytes)});
  drained_ = false;
  return {};
}

Result<std::vector<FromChild>> ManagerChannel::receive() {
  std::vector<FromChild> messages;
  drained_ = ended_;
  for (int turn = 0; !drained_ && turn < 4; ++turn) {
    SPOOL_TRY(receive_some());
    for (;;) {
      SPOOL_ASSIGN(const auto text, frames_.next());
      if (!text) break;
      SPOOL_ASSIGN(FromChild message, decode_from_child(*text));
      messages.push_back(std::move(message));
    }
  }
  return messages;
}

void ManagerChannel::send(const FromManager& message, UniqueFd descriptor) {
  queue_.push_back({frame(encode(message)), 0, std::move(descriptor)});
  flush();
}

void ManagerChannel::flush() {
  while (!queue_.empty()) {
    Outgoing& next = queue_.front();
    const std::string_view rest = std::string_view(next.bytes).substr(next.sent);
    const ssize_t n = send_to(socket_.get(), rest, next.descriptor.get(), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
    if (n < 0) return queue_.clear();
    next.descriptor.reset();
    next.sent += static_cast<std::size_t>(n);
    if (next.sent == next.bytes.size()) queue_.pop_front();
  }
}

Result<void> ChildChannel::send_blocking(const FromChild& message) {
  const std::string bytes = frame(encode(message));
  const std::lock_guard lock(sending_);
  for (std::string_view rest = bytes; !rest.empty();) {
    const ssize_t n = send_to(socket_.get(), rest, -1, 0);
    if (n < 0) return fail_errno(errno, "the manager is gone");
    rest.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

Result<std::optional<Received>> ChildChannel::receive_blocking() {
  for (;;) {
    SPOOL_ASSIGN(const auto text, frames_.next());
    if (text) {
      SPOOL_ASSIGN(FromManager message, decode_from_manager(*text));
      Received received{std::move(message), {}};
      const auto* reply = std::get_if<Reply>(&received.message);
      if (reply != nullptr && reply->descriptor) {
        if (descriptors_.empty()) return fail(Code::kInternal, "a descriptor was lost on its way");
        received.descriptor = std::move(descriptors_.front());
        descriptors_.pop_front();
      }
      return std::optional(std::move(received));
    }
    std::array<char, 65536> buffer;
    Arrived arrived = receive_from(socket_.get(), buffer);
    if (arrived.bytes < 0) return fail_errno(arrived.error, "the manager is gone");
    if (arrived.bytes == 0) return std::optional<Received>();
    for (UniqueFd& fd : arrived.descriptors) descriptors_.push_back(std::move(fd));
    frames_.feed({buffer.data(), static_cast<std::size_t>(arrived.bytes)});
  }
}

Result<std::pair<UniqueFd, UniqueFd>> make_channel() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return fail_errno(errno, "socketpair");
  std::pair<UniqueFd, UniqueFd> pair{UniqueFd(ends[0]), UniqueFd(ends[1])};
  if (fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0) return fail_errno(errno, "fcntl");
  const int on = 1;
  // The kernel then tells who speaks; a child cannot lie about its pid.
  if (setsockopt(ends[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0)
    return fail_errno(errno, "SO_PASSCRED");
  return pair;
}

}  // namespace spool::process
