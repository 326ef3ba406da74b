#include "base/units.h"

#include <fmt/format.h>

#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <optional>

namespace spool {
namespace {

struct Unit {
  std::string_view name;
  double factor;
};
constexpr std::array kTimes{Unit{"d", 86400}, Unit{"h", 3600}, Unit{"m", 60}, Unit{"s", 1},
                            Unit{"ms", 0.001}};
constexpr std::array kSizes{Unit{"B", 1},
                            Unit{"kB", 1e3},
                            Unit{"KB", 1e3},
                            Unit{"MB", 1e6},
                            Unit{"GB", 1e9},
                            Unit{"TB", 1e12},
                            Unit{"KiB", 1024},
                            Unit{"MiB", 1048576},
                            Unit{"GiB", 1073741824},
                            Unit{"TiB", 1099511627776}};

// Takes digits and a fraction off the front.
std::optional<double> take_number(std::string_view& text) {
  std::size_t end = 0;
  while (end < text.size() && (std::isdigit(static_cast<unsigned char>(text[end])) || text[end] == '.'))
    ++end;
  double value = 0;
  const auto [p, error] = std::from_chars(text.data(), text.data() + end, value, std::chars_format::fixed);
  if (error != std::errc{} || p != text.data() + end) return std::nullopt;
  text.remove_prefix(end);
  return value;
}

std::string_view take_word(std::string_view& text) {
  std::size_t end = 0;
  while (end < text.size() && std::isalpha(static_cast<unsigned char>(text[end]))) ++end;
  const std::string_view word = text.substr(0, end);
  text.remove_prefix(end);
  return word;
}

}  // namespace

Result<double> parse_duration(std::string_view text) {
  const auto wrong = [text](std::string_view why) {
    return fail(
        Code::kInvalidArgument,
        fmt::format("\"{}\" is not a duration: {}; write 10s, 1m30s, 250ms, 2h", text.substr(0, 40), why));
  };
  std::string_view rest = text;
  double seconds = 0;
  std::size_t next = 0;
  if (rest.empty()) return wrong("it is empty");
  while (!rest.empty()) {
    const auto value = take_number(rest);
    if (!value) return wrong("a number must come first");
    const std::string_view word = take_word(rest);
    if (word.empty()) return wrong("the unit is missing");
    std::size_t unit = 0;
    while (unit < kTimes.size() && kTimes[unit].name != word) ++unit;
    if (unit == kTimes.size()) return wrong(fmt::format("\"{}\" is no unit of time (d, h, m, s, ms)", word));
    if (unit < next) return wrong("units go from large to small, each once");
    next = unit + 1;
    seconds += *value * kTimes[unit].factor;
  }
  if (!(seconds < 10.0 * 366 * 86400)) return wrong("it is longer than ten years");
  return seconds;
}

Result<std::int64_t> parse_size(std::string_view text) {
  const auto wrong = [text](std::string_view why) {
    return fail(Code::kInvalidArgument,
                fmt::format("\"{}\" is not a size: {}; write 500B, 16KiB, 1.5GB", text.substr(0, 40), why));
  };
  std::string_view rest = text;
  const auto value = take_number(rest);
  if (!value) return wrong("a number must come first");
  if (rest.starts_with(' ')) rest.remove_prefix(1);
  if (rest.empty()) return wrong("the unit is missing");
  for (const Unit& unit : kSizes) {
    if (unit.name != rest) continue;
    const double bytes = std::round(*value * unit.factor);
    if (!(bytes < 9e18)) return wrong("it is too large");
    return static_cast<std::int64_t>(bytes);
  }
  return wrong(
      fmt::format("\"{}\" is no unit of size (B, KB, MB, GB, TB, KiB, MiB, GiB, TiB)", rest.substr(0, 20)));
}

}  // namespace spool
