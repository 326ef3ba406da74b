#include "terminal.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

namespace spool {
namespace {

constexpr int kNarrowest = 20;

bool is_set(const char* variable) {
  const char* value = std::getenv(variable);
  return value != nullptr && *value != '\0';
}

bool continues(char c) {
  return (static_cast<unsigned char>(c) & 0xC0) == 0x80;
}

}  // namespace

Terminal Terminal::of(int fd) {
  Terminal out;
  out.is_terminal = isatty(fd) == 1;
  if (!out.is_terminal) return out;
  const char* term = std::getenv("TERM");
  const bool dumb = term == nullptr || std::string_view(term) == "dumb";
  out.colour = !dumb && !is_set("NO_COLOR");
  winsize size{};
  if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
    out.width = std::max<int>(size.ws_col, kNarrowest);
  return out;
}

std::string paint(std::string_view text, Style style, bool colour) {
  constexpr const char* kCodes[] = {"", "1", "2", "31", "32", "33", "34", "36"};
  if (!colour || style == Style::kPlain) return std::string(text);
  return fmt::format("\x1b[{}m{}\x1b[0m", kCodes[static_cast<int>(style)], text);
}

std::string_view mark_of(State state) {
  switch (state) {
    case State::kCreated:
      return "○";
    case State::kWaiting:
      return "◌";
    case State::kScheduled:
      return "◔";
    case State::kAvailable:
      return "·";
    case State::kRunning:
      return "▶";
    case State::kSucceeded:
      return "✔";
    case State::kFailed:
      return "✖";
    case State::kCancelled:
      return "⊘";
  }
  return "?";
}

Style style_of(State state) {
  switch (state) {
    case State::kRunning:
      return Style::kCyan;
    case State::kSucceeded:
      return Style::kGreen;
    case State::kFailed:
      return Style::kRed;
    case State::kCancelled:
      return Style::kYellow;
    default:
      return Style::kDim;
  }
}

std::string printable(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (text[i] == '\n' || text[i] == '\t') {
      out += ' ';
    } else if (byte < 0x20 || byte == 0x7F) {
      out += '?';
    } else if (byte == 0xC2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xA0) {
      out += '?';  // C1 controls: some terminals take them for escape sequences
      ++i;
    } else {
      out += text[i];
    }
  }
  return out;
}

int columns(std::string_view text) {
  int count = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\x1b') {
      while (i < text.size() && text[i] != 'm') ++i;
    } else if (!continues(text[i])) {
      ++count;
    }
  }
  return count;
}

std::string fit(std::string_view text, int width) {
  if (columns(text) <= width) return std::string(text);
  if (width <= 0) return {};
  int count = 0;
  std::size_t end = 0;
  while (end < text.size()) {
    if (!continues(text[end]) && ++count == width) break;
    ++end;
  }
  return std::string(text.substr(0, end)) + "…";
}

std::string padded(std::string_view text, int width) {
  std::string out = fit(text, width);
  out.append(static_cast<std::size_t>(std::max(0, width - columns(out))), ' ');
  return out;
}

std::string counted(std::int64_t count, std::string_view thing) {
  return fmt::format("{} {}{}", count, thing, count == 1 ? "" : "s");
}

std::string short_duration(Duration duration) {
  using namespace std::chrono;
  if (duration < Duration{0}) duration = Duration{0};
  if (duration < seconds(10)) return fmt::format("{:.1f}s", std::chrono::duration<double>(duration).count());
  const auto s = duration_cast<seconds>(duration).count();
  if (s < 60) return fmt::format("{}s", s);
  if (s < 3600) return fmt::format("{}m {:02}s", s / 60, s % 60);
  if (s < 86400) return fmt::format("{}h {:02}m", s / 3600, s / 60 % 60);
  return fmt::format("{}d {}h", s / 86400, s / 3600 % 24);
}

std::string rfc3339(Time time) {
  const auto whole = std::chrono::floor<std::chrono::seconds>(time);
  const auto millis = std::chrono::duration_cast<std::chrono::milliseconds>(time - whole).count();
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(std::chrono::system_clock::to_time_t(whole)),
                     millis);
}

}  // namespace spool
