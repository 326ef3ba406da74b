// Stored JSON: texts that were written by to_text().
#pragma once

#include <string_view>

#include "base/json.h"

namespace spool::postgres {

// null when there is none.
[[nodiscard]] inline Json json_of(std::string_view text) {
  if (text.empty()) return nullptr;
  if (text == "{}") return Json::object();
  // Ours, and looked at when it came: parse_json() would do that again.
  Json parsed = Json::parse(text.begin(), text.end(), nullptr, false);
  return parsed.is_discarded() ? Json(nullptr) : parsed;
}

}  // namespace spool::postgres
