// JSON: nlohmann::json under one name, and parsing that returns instead of throwing.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/error.h"

namespace spool {

using Json = nlohmann::json;

// Errors: kInvalidArgument with the byte position. Hostile input: nesting deeper than 64 and more values than
// `most_values` are refused (kLimitExceeded) before memory is spent on them; the time is linear in the text.
[[nodiscard]] Result<Json> parse_json(std::string_view text, std::string_view what = "JSON",
                                      std::size_t most_values = std::size_t{16} << 20);

// The canonical text: keys sorted, no white space; equal values give equal bytes. Invalid UTF-8 is replaced.
[[nodiscard]] std::string to_text(const Json& value);

}  // namespace spool
