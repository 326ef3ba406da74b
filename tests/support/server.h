// For tests: a server that runs as long as its object. It is one of tests/servers/: it prints a line of JSON
// when it is ready, may take further lines on stdin and answer each, and ends on SIGTERM or with whoever
// started it.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"

namespace spool::test {

class Server {
 public:
  // All throws std::runtime_error when it does not come up or has ended (it has said why on stderr).
  explicit Server(std::vector<std::string> command) : name_(command.front()) {
    int in[2], out[2];
    if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0) throw std::runtime_error("pipe");
    const UniqueFd child_in(in[0]), child_out(out[1]);
    to_.reset(in[1]);
    from_.reset(out[0]);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, child_in.get(), STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, child_out.get(), STDOUT_FILENO);
    std::vector<char*> words;
    for (std::string& word : command) words.push_back(word.data());
    words.push_back(nullptr);
    const int failed = posix_spawnp(&pid_, words[0], &actions, nullptr, words.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    if (failed != 0) throw std::runtime_error("cannot start " + name_);
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server() {
    kill(pid_, SIGTERM);
    to_.reset();
    waitpid(pid_, nullptr, 0);
  }

  // What it says when it is ready, which is waited for.
  const Json& ready() {
    if (ready_.is_null()) ready_ = answer();
    return ready_;
  }
  Json ask(const Json& order) {
    ready();
    const std::string line = order.dump() + "\n";
    if (!write_all(to_.get(), std::as_bytes(std::span(line)))) throw std::runtime_error(name_ + " has ended");
    return answer();
  }

 private:
  Json answer() {
    std::string line;
    for (char c = 0; c != '\n'; line += c)
      if (read(from_.get(), &c, 1) != 1) throw std::runtime_error(name_ + " has ended");
    return Json::parse(line);
  }

  std::string name_;
  UniqueFd to_, from_;
  pid_t pid_ = 0;
  Json ready_;
};

}  // namespace spool::test
