// Text from a child, on its way to logs and terminals: no control characters, no broken UTF-8, no end of it.
// Pure; thread-safe.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace spool::process {

// One line of at most `most` bytes; what cannot be printed becomes '?'.
[[nodiscard]] std::string printable(std::string_view text, std::size_t most);

// Many lines: line breaks and tabs stay, carriage returns become line breaks, other control characters and
// escape sequences go, broken UTF-8 becomes '?'.
[[nodiscard]] std::string clean_log(std::string_view text);

// The end of everything that was appended.
class Tail {
 public:
  explicit Tail(std::size_t most) : most_(most) {}
  void append(std::string_view text);
  void clear() { text_.clear(); }
  // Cleaned, and cut at a line's start where it had to be cut.
  [[nodiscard]] std::string text() const;

 private:
  std::size_t most_;
  bool cut_ = false;
  std::string text_;
};

}  // namespace spool::process
