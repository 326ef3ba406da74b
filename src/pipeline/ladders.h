// Named ladders: documents in ladders/*.yaml, built into the program, and those of a folder of the
// operator's.
//
// A ladder is data here: what its keys mean is media's (media/ladder.h), whose schema is handed in. Immutable
// after construction, thread-safe. Errors have line and column of the ladder's own file.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace spool::pipeline {

class Ladders {
 public:
  // `folder` may be empty. A ladder there hides a built-in one of the same name.
  explicit Ladders(Json schema, std::filesystem::path folder = {});

  // By name. For documents: never opens a file that the operator did not put into the folder.
  // Errors: kNotFound with the names that there are; kInvalidArgument when the ladder's document is wrong.
  [[nodiscard]] Result<Json> named(std::string_view name) const;
  // For the command line: a name, or a file when there is a slash or an extension in it.
  [[nodiscard]] Result<Json> named_or_file(const std::string& name_or_path) const;
  [[nodiscard]] std::vector<std::string> names() const;
  // The file in the folder that a ladder stands in; nullopt: it is built in, or there is none.
  [[nodiscard]] std::optional<std::filesystem::path> file_of(std::string_view name) const;

 private:
  [[nodiscard]] Result<Json> read(std::string_view text, std::string_view origin,
                                  std::string_view name) const;
  Json schema_;
  std::filesystem::path folder_;
};

// Those built in: name and text (generated from ladders/ by cmake/EmbedLadders.cmake).
struct EmbeddedLadder {
  std::string_view name;
  std::string_view text;
};
[[nodiscard]] const std::vector<EmbeddedLadder>& embedded_ladders();

}  // namespace spool::pipeline
