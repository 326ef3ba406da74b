// A folder that lives as long as its object. For tests, benchmarks and scratch space.
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

namespace spool {

class TemporaryFolder {
 public:
  // Throws std::filesystem::filesystem_error when the folder cannot be made.
  // Below `parent`; empty: the system's place for temporary files.
  explicit TemporaryFolder(const std::filesystem::path& parent = {}) {
    std::string name =
        ((parent.empty() ? std::filesystem::temp_directory_path() : parent) / "spool-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr)
      throw std::filesystem::filesystem_error("mkdtemp", name,
                                              std::error_code(errno, std::generic_category()));
    path_ = name;
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace spool
