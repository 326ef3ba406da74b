#include "base/json.h"

#include <fmt/format.h>

namespace spool {
namespace {
constexpr int kMaxDepth = 64;
}

Result<Json> parse_json(std::string_view text, std::string_view what) {
  bool too_deep = false;
  const Json::parser_callback_t depth_guard = [&](int depth, Json::parse_event_t, Json&) {
    if (depth > kMaxDepth) too_deep = true;
    return !too_deep;
  };
  try {
    Json value = Json::parse(text.begin(), text.end(), depth_guard);
    if (too_deep)
      return fail(Code::kLimitExceeded, fmt::format("{}: nested deeper than {}", what, kMaxDepth));
    return value;
  } catch (const Json::parse_error& e) {
    return fail(Code::kInvalidArgument, fmt::format("{}: not valid JSON at byte {}", what, e.byte));
  }
}

std::string to_text(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace spool
