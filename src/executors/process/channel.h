// The two ends of the socket between a manager and its child: bytes and descriptors. What they mean is
// protocol.h's.
//
// A channel owns its socket and belongs to one thread at a time (but send_blocking may run beside
// receive_blocking).
#pragma once

#include <sys/types.h>

#include <deque>
#include <mutex>
#include <string>
#include <vector>

#include "base/file.h"
#include "executors/process/protocol.h"

namespace spool::process {

// The manager's end: never blocks.
class ManagerChannel {
 public:
  // `socket` must be non-blocking.
  explicit ManagerChannel(UniqueFd socket) : socket_(std::move(socket)), frames_(kMostMessageBytes) {}

  [[nodiscard]] int fd() const { return socket_.get(); }
  // Takes what has arrived, at most about 64 KiB, as messages. Descriptors that a child sends are closed, and
  // an error. Errors: what was wrong with the child's words.
  Result<std::vector<FromChild>> receive();
  // True once the child has closed its end (and all it said before has been received).
  [[nodiscard]] bool ended() const { return ended_; }
  // True when the last receive() left nothing behind.
  [[nodiscard]] bool drained() const { return drained_; }
  // The process that spoke first, as the kernel tells it (in this process's pid namespace); 0 before it
  // spoke.
  [[nodiscard]] pid_t sender() const { return sender_; }

  // Queues a message, with a descriptor or without one, and sends what can be sent. A gone child is no error
  // here: receive() will say so.
  void send(const FromManager& message, UniqueFd descriptor = {});
  void flush();
  [[nodiscard]] bool wants_write() const { return !queue_.empty(); }

 private:
  struct Outgoing {
    std::string bytes;
    std::size_t sent = 0;
    UniqueFd descriptor;
  };
  Result<void> receive_some();

  UniqueFd socket_;
  FrameReader frames_;
  std::deque<Outgoing> queue_;
  pid_t sender_ = 0;
  bool ended_ = false;
  bool drained_ = false;
};

// A message and what came beside it.
struct Received {
  FromManager message;
  UniqueFd descriptor;
};

// The child's end: blocks.
class ChildChannel {
 public:
  explicit ChildChannel(UniqueFd socket) : socket_(std::move(socket)), frames_(kMostMessageToChildBytes) {}

  // Thread-safe. Errors: the manager is gone.
  Result<void> send_blocking(const FromChild& message);
  // nullopt: the manager has closed its end.
  Result<std::optional<Received>> receive_blocking();

 private:
  UniqueFd socket_;
  FrameReader frames_;
  std::deque<UniqueFd> descriptors_;
  std::mutex sending_;
};

// A connected pair of stream sockets, both close-on-exec; the first one is the manager's.
[[nodiscard]] Result<std::pair<UniqueFd, UniqueFd>> make_channel();

}  // namespace spool::process
