#include "executors/process/clean_text.h"

#include "base/utf8.h"

namespace spool::process {
namespace {

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

}  // namespace

std::string printable(std::string_view text, std::size_t most) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = utf8_length(text.substr(at));
    const bool good = length > 0 && !is_control(text.substr(at));
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
    const std::size_t length = utf8_length(text.substr(at));
    if (c == '\x1b') {
      at += escape(text, at);
      continue;
    }
    if (length == 0)
      out += '?';
    else if (c == '\r')
      out += at + 1 < text.size() && text[at + 1] == '\n' ? "" : "\n";
    else if (c == '\n' || c == '\t' || !is_control(text.substr(at)))
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
