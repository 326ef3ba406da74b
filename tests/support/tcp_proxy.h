// For tests: stands between a client and a server of this machine, and loses what is told to be lost.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

namespace spool::test {

class TcpProxy {
 public:
  explicit TcpProxy(int server_port) : server_port_(server_port), event_(::eventfd(0, EFD_CLOEXEC)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = local(0);
    socklen_t size = sizeof address;
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(listener_, 64) != 0 ||
        ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0)
      throw std::runtime_error("cannot listen");
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { run(); });
  }
  TcpProxy(const TcpProxy&) = delete;
  TcpProxy& operator=(const TcpProxy&) = delete;
  ~TcpProxy() {
    tell(ending_, true);
    thread_.join();
    close_all();
    ::close(listener_);
    ::close(event_);
  }

  [[nodiscard]] int port() const { return port_; }
  // Half-open: connections stay, and nothing arrives any more (of new ones neither).
  void swallow(bool all) { tell(swallow_, all); }
  // Only what the server says is lost: a statement arrives, its answer does not.
  void swallow_answers(bool all) { tell(swallow_answers_, all); }
  // Nothing is taken from either side: what is sent piles up.
  void hold(bool all) { tell(hold_, all); }
  // All connections that there are now are closed.
  void cut() { tell(cut_, true); }
  [[nodiscard]] int accepted() const { return accepted_; }

 private:
  struct Pair {
    int client, server;
  };

  static sockaddr_in local(int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    return address;
  }

  void tell(std::atomic<bool>& what, bool value) {
    what = value;
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(event_, &one, sizeof one);
  }

  void run() {
    while (!ending_) {
      std::vector<pollfd> waiting{{event_, POLLIN, 0}, {listener_, POLLIN, 0}};
      for (const Pair& pair : pairs_) {  // poll() passes over what is negative
        waiting.push_back({hold_ ? -1 : pair.client, POLLIN, 0});
        waiting.push_back({hold_ ? -1 : pair.server, POLLIN, 0});
      }
      ::poll(waiting.data(), waiting.size(), -1);
      std::uint64_t count = 0;
      if (waiting[0].revents != 0) [[maybe_unused]]
        const auto taken = ::read(event_, &count, sizeof count);
      if (cut_.exchange(false)) {
        close_all();
        continue;
      }
      forward(waiting);
      if (waiting[1].revents != 0) accept();
    }
  }

  void accept() {
    const int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    const int server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in address = local(server_port_);
    ++accepted_;
    if (::connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
      pairs_.push_back({client, server});
    } else {
      ::close(client);
      ::close(server);
    }
  }

  void forward(const std::vector<pollfd>& waiting) {
    std::vector<Pair> left;
    for (std::size_t i = 0; i < pairs_.size(); ++i) {
      const Pair pair = pairs_[i];
      const bool open =
          (waiting[2 + 2 * i].revents == 0 || move(pair.client, pair.server, swallow_)) &&
          (waiting[3 + 2 * i].revents == 0 || move(pair.server, pair.client, swallow_ || swallow_answers_));
      if (open) {
        left.push_back(pair);
      } else {
        ::close(pair.client);
        ::close(pair.server);
      }
    }
    pairs_ = std::move(left);
  }
  static bool move(int from, int to, bool lose) {
    char bytes[1 << 16];
    const auto count = ::recv(from, bytes, sizeof bytes, 0);
    if (count <= 0) return false;
    return lose || ::send(to, bytes, static_cast<std::size_t>(count), MSG_NOSIGNAL) == count;
  }
  void close_all() {
    for (const Pair& pair : std::exchange(pairs_, {})) {
      ::close(pair.client);
      ::close(pair.server);
    }
  }

  const int server_port_;
  const int event_;
  int listener_ = -1, port_ = 0;
  std::vector<Pair> pairs_;  // of the thread
  std::atomic<bool> swallow_ = false, swallow_answers_ = false, hold_ = false, cut_ = false, ending_ = false;
  std::atomic<int> accepted_ = 0;
  std::thread thread_;
};

}  // namespace spool::test
