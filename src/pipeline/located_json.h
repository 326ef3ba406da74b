// LocatedJson: a YAML or JSON text as a JSON value that remembers where each part of it stood.
//
// JSON is read by the same parser (it is YAML's flow style), so both have lines and columns. Refused, with a
// place: duplicate keys, aliases (a few lines of them can unfold to gigabytes), tags, several documents, .inf
// and .nan, keys that are not plain words, and texts larger, deeper or with more parts than the limits below.
// Scalars follow YAML 1.2's core schema (section 10.3.2), but for hexadecimal and octal numbers: "no" and
// "0x10" are strings. Thread-safe.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "pipeline/complaints.h"

namespace spool::pipeline {

inline constexpr std::size_t kMostDocumentBytes = 256 << 10;
inline constexpr std::size_t kMostDepth = 32;
inline constexpr std::size_t kMostParts = 10000;

struct Located {
  Place key;  // for what stands in a map; else the value's
  Place value;
};

struct LocatedJson {
  Json value;
  std::map<std::string, Located> places;  // by JSON pointer (RFC 6901); "" is the whole

  // The nearest known place: that of the pointer or of what contains it.
  [[nodiscard]] Place value_at(std::string_view pointer) const;
  [[nodiscard]] Place key_at(std::string_view pointer) const;
};

// nullopt: it could not be read at all, and the complaints say why. Complaints may be added beside a value
// too.
[[nodiscard]] std::optional<LocatedJson> parse_located(std::string_view text, Complaints& complaints);

// "/a" + "b/c" -> "/a/b~1c".
[[nodiscard]] std::string pointer_to(std::string_view parent, std::string_view key);

}  // namespace spool::pipeline
