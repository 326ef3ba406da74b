// For tests: runs a program to its end and takes what it printed. Media is made with the ffmpeg program, once
// per test run and machine user (MediaFolder).
#pragma once

#include <fmt/format.h>
#include <sys/wait.h>

#include <cstdio>
#include <filesystem>
#include <stdexcept>
#include <string>

#include "base/temporary_folder.h"

namespace spool::test {

struct Ran {
  int exit_code = -1;
  std::string output;  // stdout and stderr
};

inline Ran run(const std::string& command) {
  Ran ran;
  FILE* pipe = ::popen(("( " + command + " ) 2>&1").c_str(), "r");
  if (pipe == nullptr) throw std::runtime_error("cannot start: " + command);
  char chunk[4096];
  while (const std::size_t got = std::fread(chunk, 1, sizeof chunk, pipe)) ran.output.append(chunk, got);
  const int status = ::pclose(pipe);
  ran.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return ran;
}

// What the command printed; throws when it failed, so that a test never goes on without its media.
inline std::string output_of(const std::string& command) {
  Ran ran = run(command);
  if (ran.exit_code != 0)
    throw std::runtime_error(fmt::format("{}: exit {}: {}", command, ran.exit_code, ran.output));
  return ran.output;
}

// A media file made by `ffmpeg ARGUMENTS path`, bit-exact and quiet.
inline std::filesystem::path make_media(const std::filesystem::path& path, const std::string& arguments) {
  if (!std::filesystem::exists(path))
    output_of(fmt::format("ffmpeg -v error -nostdin -y {} -fflags +bitexact '{}'", arguments, path.string()));
  return path;
}

}  // namespace spool::test
