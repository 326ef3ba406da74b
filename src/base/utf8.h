// Text of unknown origin: UTF-8 (RFC 3629) that databases, JSON and terminals take. Plain functions;
// thread-safe.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace spool {

// How many bytes the character at the beginning has; 0: it is none.
[[nodiscard]] std::size_t utf8_length(std::string_view bytes);
// Whether the character at the beginning is a control character: U+0000 to U+001F, U+007F, or U+0080 to
// U+009F (a terminal may take U+009B for an escape).
[[nodiscard]] bool is_control(std::string_view bytes);

// UTF-8 without NUL: what databases and JSON take.
[[nodiscard]] bool is_utf8_text(std::string_view bytes);
// What is not such text is replaced by U+FFFD, byte by byte.
[[nodiscard]] std::string to_utf8_text(std::string_view bytes);

// One line for people, of at most `most` bytes: control characters become spaces, what is no UTF-8 U+FFFD.
[[nodiscard]] std::string clean_text(std::string_view bytes, std::size_t most = 500);

}  // namespace spool
