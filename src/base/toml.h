// TOML (1.0) as JSON with the place of each value. Thread-safe.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/json.h"

namespace spool {

struct TomlDocument {
  Json value;
  std::string name;
  using Places = std::map<std::string, std::pair<int, int>>;  // line and column from 1, by JSON pointer
  Places places, keys;                                        // of values, and of what they are called by

  // "name:line:column" of the value, or of what contains it.
  [[nodiscard]] std::string place(std::string_view pointer) const;
  // The same of its key.
  [[nodiscard]] std::string place_of_key(std::string_view pointer) const;
};

// Dates and times become strings. Errors: kInvalidArgument with name, line and column; what is quoted of the
// text is at most a character, for it may hold secrets.
[[nodiscard]] Result<TomlDocument> parse_toml(std::string_view text, std::string name);

}  // namespace spool
