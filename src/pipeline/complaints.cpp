#include "pipeline/complaints.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/json_schema.h"

namespace spool::pipeline {
namespace {

constexpr int kWidest = 100;  // characters of a line that are shown: a minified document is one line

std::string_view line_of(std::string_view text, int line) {
  for (int n = 1; n < line; ++n) {
    const auto end = text.find('\n');
    if (end == std::string_view::npos) return {};
    text.remove_prefix(end + 1);
  }
  text = text.substr(0, text.find('\n'));
  if (text.ends_with('\r')) text.remove_suffix(1);
  return text;
}

// Characters as strings, so that columns can be counted; control characters become spaces.
std::vector<std::string> characters(std::string_view line) {
  std::vector<std::string> out;
  for (const char c : line) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte & 0xC0) == 0x80 && !out.empty())
      out.back() += c;
    else
      out.emplace_back(1, byte < 0x20 || byte == 0x7F ? ' ' : c);
  }
  return out;
}

std::string excerpt(std::string_view text, const Place& at) {
  const std::vector<std::string> line = characters(line_of(text, at.line));
  const int size = static_cast<int>(line.size());
  const int column = std::clamp(at.column, 1, size + 1);
  const int from = size <= kWidest ? 0 : std::clamp(column - 1 - kWidest / 2, 0, size - kWidest);
  const int to = std::min(size, from + kWidest);
  const int length = std::clamp(at.length, 1, std::max(1, to - column + 1));
  std::string shown;
  for (int i = from; i < to; ++i) shown += line[static_cast<std::size_t>(i)];
  const std::string lead = from > 0 ? "..." : "";
  return fmt::format("  {:>4} | {}{}\n       | {}^{}\n", at.line, lead, shown,
                     std::string(lead.size() + static_cast<std::size_t>(column - 1 - from), ' '),
                     std::string(static_cast<std::size_t>(length - 1), '~'));
}

}  // namespace

Complaints::Complaints(std::string_view text, std::string_view name) : text_(text), name_(name) {}

void Complaints::add(Place at, std::string message) {
  for (const Complaint& known : list_)
    if (known.at.line == at.line && known.at.column == at.column && known.message == message) return;
  if (list_.size() == kMostComplaints)
    ++left_out_;
  else
    list_.push_back({at, std::move(message)});
}

std::vector<Complaint> Complaints::list() const {
  std::vector<Complaint> sorted = list_;
  std::stable_sort(sorted.begin(), sorted.end(), [](const Complaint& a, const Complaint& b) {
    return std::pair(a.at.line, a.at.column) < std::pair(b.at.line, b.at.column);
  });
  return sorted;
}

std::string Complaints::text() const {
  std::string out;
  for (const Complaint& complaint : list())
    out += fmt::format("{}:{}:{}: {}\n{}", name_, complaint.at.line, complaint.at.column, complaint.message,
                       excerpt(text_, complaint.at));
  if (left_out_ > 0) out += fmt::format("{}: and {} more\n", name_, left_out_);
  if (!out.empty()) out.pop_back();
  return out;
}

Error Complaints::error() const {
  return Error{Code::kInvalidArgument, text(), 0};
}

std::string suggestion(std::string_view word, const std::vector<std::string>& known) {
  if (const std::string best = nearest_word(word, known); !best.empty())
    return fmt::format(", did you mean \"{}\"?", best);
  if (known.empty() || known.size() > 20) return {};
  return fmt::format("; known are {}", fmt::join(known, ", "));
}

}  // namespace spool::pipeline
