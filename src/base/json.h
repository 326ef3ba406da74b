// JSON: nlohmann::json under one name, and parsing that returns instead of throwing.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

#include "base/error.h"

namespace spool {

using Json = nlohmann::json;

// Errors: kInvalidArgument with the byte position. Nesting deeper than 64 is refused (hostile input).
[[nodiscard]] Result<Json> parse_json(std::string_view text, std::string_view what = "JSON");

// The canonical text: keys sorted, no white space; equal values give equal bytes. Invalid UTF-8 is replaced.
[[nodiscard]] std::string to_text(const Json& value);

}  // namespace spool
