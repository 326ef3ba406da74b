// Runs one command of the operator's: no shell, no terminal, a small environment, a process group of its own.
//
// Between it and us stands a guardian process, which sends the signals, reports the end, and kills the whole
// group when we die, however we die. After the command's end nothing of its group lives on. Blocks; any
// thread.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"

namespace spool::steps {

struct Command {
  std::vector<std::string> words;                  // the program, looked for in PATH, and its arguments
  std::map<std::string, std::string> environment;  // all of it
  std::filesystem::path folder;                    // where it runs
  std::optional<Duration> timeout;
  Duration grace = std::chrono::seconds(5);  // between SIGTERM and SIGKILL
  std::stop_token stop;
  std::function<void(std::string_view)> out, error;  // its output as it comes, in any cut
};

struct CommandEnd {
  std::optional<int> exit_code;  // or:
  int signal = 0;                // what ended it
  bool timed_out = false;
  double cpu_seconds = 0;  // of it and its waited-for children
  std::int64_t peak_memory_bytes = 0;
};

// Errors: kNotFound when there is no such program, kPermissionDenied; kCrashed when the guardian was killed.
[[nodiscard]] Result<CommandEnd> run_command(const Command& command);

}  // namespace spool::steps
