// Terminal: what the program may draw, and pieces of text that fit. Pure functions, but for Terminal::of().
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "queue/state.h"

namespace spool {

struct Terminal {
  bool is_terminal = false;
  bool colour = false;  // only on a terminal, never with NO_COLOR (no-color.org) or TERM=dumb
  int width = 80;

  // Of a descriptor, as it is now.
  [[nodiscard]] static Terminal of(int fd);
};

enum class Style { kPlain, kBold, kDim, kRed, kGreen, kYellow, kBlue, kCyan };
[[nodiscard]] std::string paint(std::string_view text, Style style, bool colour);

// What a state looks like everywhere: one mark, one colour.
[[nodiscard]] std::string_view mark_of(State state);
[[nodiscard]] Style style_of(State state);

// Text of others on our screen: control characters (escape sequences among them) become "?", line breaks a
// space.
[[nodiscard]] std::string printable(std::string_view text);
// Columns it takes: characters, without our own colours. Wide characters count as one.
[[nodiscard]] int columns(std::string_view text);
// Cut to `width` columns with "…" at the end. `text` has no colours.
[[nodiscard]] std::string fit(std::string_view text, int width);
// fit(), and filled with spaces to exactly `width` columns.
[[nodiscard]] std::string padded(std::string_view text, int width);

// "1 slot", "2 slots".
[[nodiscard]] std::string counted(std::int64_t count, std::string_view thing);
// "0.3s", "12s", "2m 05s", "3h 12m", "4d 3h".
[[nodiscard]] std::string short_duration(Duration duration);
// RFC 3339, UTC, milliseconds.
[[nodiscard]] std::string rfc3339(Time time);

}  // namespace spool
