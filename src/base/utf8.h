// Text that databases and JSON take: UTF-8 (RFC 3629) without NUL. Plain functions; thread-safe.
#pragma once

#include <string>
#include <string_view>

namespace spool {

[[nodiscard]] bool is_utf8_text(std::string_view bytes);
// What is not such text is replaced by U+FFFD, byte by byte.
[[nodiscard]] std::string to_utf8_text(std::string_view bytes);

}  // namespace spool
