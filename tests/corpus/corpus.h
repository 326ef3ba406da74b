// The media corpus for tests: files made by tests/corpus/make_corpus when they are first asked for.
#pragma once

#include <fcntl.h>
#include <fmt/format.h>

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <string>

#include "base/file.h"
#include "test_paths.h"

namespace spool::test {

// Throws when it cannot be made (a test then fails, with the script's words on stderr).
inline std::filesystem::path corpus_file(const std::string& name) {
  const std::string command =
      fmt::format("python3 -B '{}/tests/corpus/make_corpus' '{}'", SPOOL_SOURCE_DIR, name);
  std::FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) throw std::runtime_error("cannot start " + command);
  std::string path;
  for (char part[512]; std::fgets(part, sizeof part, pipe) != nullptr;) path += part;
  if (::pclose(pipe) != 0 || path.empty()) throw std::runtime_error("failed: " + command);
  path.pop_back();
  return path;
}

inline ByteSource source_of(const std::filesystem::path& path) {
  auto fd = open_file(path, O_RDONLY | O_CLOEXEC);
  if (!fd) throw std::runtime_error(fd.error().message);
  auto source = file_source(std::move(*fd), path.filename().string());
  if (!source) throw std::runtime_error(source.error().message);
  return std::move(*source);
}

inline ByteSource corpus(const std::string& name) {
  return source_of(corpus_file(name));
}

// Bytes in memory, copied.
inline ByteSource memory_source(std::string bytes, std::string name = "memory") {
  const std::uint64_t size = bytes.size();
  return {[held = std::move(bytes)](std::uint64_t offset, std::span<std::byte> into) -> Result<std::size_t> {
            if (offset >= held.size()) return std::size_t{0};
            const std::size_t n = std::min<std::size_t>(into.size(), held.size() - offset);
            std::memcpy(into.data(), held.data() + offset, n);
            return n;
          },
          size, std::move(name)};
}

// The frame number that the corpus burns in at the top: 16 blocks of luma (8 bits a sample), least
// significant first. -1: a block is neither black nor white.
inline int frame_number(const std::uint8_t* luma, int stride, int width, int height) {
  int number = 0;
  const int row = std::max(1, height / 32);
  for (int bit = 0; bit < 16; ++bit) {
    const int value = luma[row * stride + (2 * bit + 1) * width / 32];
    if (value > 96 && value < 160) return -1;
    if (value >= 160) number |= 1 << bit;
  }
  return number;
}

}  // namespace spool::test
