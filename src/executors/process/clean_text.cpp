#include "executors/process/clean_text.h"

namespace spool::process {
namespace {

// The length of the well-formed UTF-8 sequence at `at`, or 0 (RFC 3629 section 4).
std::size_t sequence(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) {
    return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0u;
  };
  const auto follows = [&](std::size_t i) { return (byte(i) & 0xc0) == 0x80; };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return follows(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    const bool overlong = first == 0xe0 && byte(1) < 0xa0;
    const bool surrogate = first == 0xed && byte(1) > 0x9f;
    return follows(1) && follows(2) && !overlong && !surrogate ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    const bool overlong = first == 0xf0 && byte(1) < 0x90;
    const bool beyond = first == 0xf4 && byte(1) > 0x8f;
    return follows(1) && follows(2) && follows(3) && !overlong && !beyond ? 4 : 0;
  }
  return 0;
}

// The length of a terminal's escape sequence (ECMA-48 section 5.4) at `at`, where an ESC stands.
std::size_t escape(std::string_view text, std::size_t at) {
  std::size_t end = at + 1;
  if (end >= text.size() || text[end] != '[') return 1;
  for (++end; end < text.size(); ++end)
    if (text[end] >= 0x40 && text[end] <= 0x7e)
      return end + 1 - at;
    else if (text[end] < 0x20)
      break;
  return end - at;
}

bool control(std::string_view text, std::size_t at, std::size_t length) {
  const auto c = static_cast<unsigned char>(text[at]);
  // C1 controls are U+0080 to U+009F: C2 80 to C2 9F.
  return c < 0x20 || c == 0x7f ||
         (length == 2 && c == 0xc2 && static_cast<unsigned char>(text[at + 1]) < 0xa0);
}

}  // namespace

std::string printable(std::string_view text, std::size_t most) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = sequence(text, at);
    const bool good = length > 0 && !control(text, at, length);
    if (out.size() + (good ? length : 1) > most) break;
    out.append(good ? text.substr(at, length) : "?");
    at += length > 0 ? length : 1;
  }
  return out;
}

std::string clean_log(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const char c = text[at];
    const std::size_t length = sequence(text, at);
    if (c == '\x1b') {
      at += escape(text, at);
      continue;
    }
    if (length == 0)
      out += '?';
    else if (c == '\r')
      out += at + 1 < text.size() && text[at + 1] == '\n' ? "" : "\n";
    else if (c == '\n' || c == '\t' || !control(text, at, length))
      out.append(text.substr(at, length));
    at += length > 0 ? length : 1;
  }
  return out;
}

void Tail::append(std::string_view text) {
  if (text.size() > most_) {
    cut_ = true;
    text = text.substr(text.size() - most_);
  }
  text_.append(text);
  if (text_.size() <= 2 * most_) return;
  cut_ = true;
  text_.erase(0, text_.size() - most_);
}

std::string Tail::text() const {
  std::string_view end = text_;
  bool cut = cut_;
  if (end.size() > most_) {
    end = end.substr(end.size() - most_);
    cut = true;
  }
  if (const auto line = end.find('\n'); cut && line != std::string_view::npos) end = end.substr(line + 1);
  return clean_log(end);
}

}  // namespace spool::process
