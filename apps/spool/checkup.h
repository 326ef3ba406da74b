// Checkup: what this machine has and lacks for Spool, and how to get it. What `spool doctor` prints.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/config.h"

namespace spool {

enum class Health { kGood, kNote, kProblem };

struct Finding {
  std::string area;  // "sandbox"
  Health health = Health::kGood;
  std::string found;   // what there is, or what is missing and what that means
  std::string remedy;  // what to do; empty when nothing
};

// Looks at everything. Makes no store; a folder that is not there yet is judged by the one it would be made
// in.
[[nodiscard]] std::vector<Finding> examine(const Config& config);

[[nodiscard]] std::vector<Finding> examine_ffmpeg();
[[nodiscard]] std::vector<Finding> examine_sandbox(const Config& config);
[[nodiscard]] std::vector<Finding> examine_store(const Config& config);
[[nodiscard]] std::vector<Finding> examine_objects(const Config& config);
// A folder that is written to: may it be, on what file system, how much room.
[[nodiscard]] std::vector<Finding> examine_folder(const std::string& area,
                                                  const std::filesystem::path& folder, bool holds_database);

// By statfs's f_type (statfs(2)) and the free bytes; pure.
[[nodiscard]] Finding judge_file_system(const std::string& area, std::int64_t type, const std::string& where,
                                        bool holds_database);
[[nodiscard]] Finding judge_room(const std::string& area, std::int64_t free_bytes, const std::string& where);

}  // namespace spool
