#include "pipeline/located_json.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <sstream>

namespace spool::pipeline {
namespace {

// Ends the parser's recursion; the complaint has been made.
struct Abandoned {};

int characters_in(std::string_view bytes) {
  return static_cast<int>(std::count_if(
      bytes.begin(), bytes.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

// Finds a complete UTF-8 text's flaw: the offset of its first bad byte, or npos.
std::size_t first_bad_byte(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const std::size_t length = lead < 0x80         ? 1
                               : (lead >> 5) == 6  ? 2
                               : (lead >> 4) == 14 ? 3
                               : (lead >> 3) == 30 ? 4
                                                   : 0;
    const bool control = lead < 0x20 && lead != '\n' && lead != '\r' && lead != '\t';
    if (length == 0 || control || i + length > text.size()) return i;
    for (std::size_t k = 1; k < length; ++k)
      if ((static_cast<unsigned char>(text[i + k]) & 0xC0) != 0x80) return i;
    i += length;
  }
  return std::string_view::npos;
}

std::optional<Json> number(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  if (text.empty()) return std::nullopt;
  const std::string_view digits = text.starts_with('-') ? text.substr(1) : text;
  if (digits.empty() || (!std::isdigit(static_cast<unsigned char>(digits[0])) && digits[0] != '.'))
    return std::nullopt;
  const char* end = text.data() + text.size();
  std::int64_t whole = 0;
  if (auto [p, e] = std::from_chars(text.data(), end, whole); e == std::errc{} && p == end)
    return Json(whole);
  double real = 0;
  if (auto [p, e] = std::from_chars(text.data(), end, real); e == std::errc{} && p == end) return Json(real);
  return std::nullopt;
}

// A plain (unquoted) scalar.
Json plain(const std::string& text) {
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL") return nullptr;
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  if (auto value = number(text)) return *value;
  return text;
}

class Builder : public YAML::EventHandler {
 public:
  Builder(std::string_view text, Complaints& complaints, LocatedJson& out)
      : complaints_(complaints), out_(out) {
    line_starts_.push_back(0);
    for (std::size_t i = 0; i < text.size(); ++i)
      if (text[i] == '\n') line_starts_.push_back(i + 1);
    text_ = text;
  }

  [[nodiscard]] Place place(const YAML::Mark& mark, int length = 1) const {
    const auto line = static_cast<std::size_t>(std::max(0, mark.line));
    if (line >= line_starts_.size()) return {static_cast<int>(line_starts_.size()), 1, length};
    const std::string_view rest = text_.substr(line_starts_[line]);
    const auto bytes = std::min(rest.size(), static_cast<std::size_t>(std::max(0, mark.column)));
    return {static_cast<int>(line) + 1, characters_in(rest.substr(0, bytes)) + 1, length};
  }

  // The first tab among what the line of `mark` begins with.
  [[nodiscard]] std::optional<Place> tab_of_indentation(const YAML::Mark& mark) const {
    const auto line = static_cast<std::size_t>(std::max(0, mark.line));
    if (line >= line_starts_.size()) return std::nullopt;
    const std::string_view rest = text_.substr(line_starts_[line]);
    const auto column = rest.find_first_not_of(' ');
    if (column == std::string_view::npos || rest[column] != '\t') return std::nullopt;
    return Place{static_cast<int>(line) + 1, static_cast<int>(column) + 1, 1};
  }

  [[noreturn]] void abandon(Place at, std::string message) {
    complaints_.add(at, std::move(message));
    throw Abandoned{};
  }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (documents_++ > 0) abandon(place(mark), "a second document begins here; a file holds one");
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override { scalar(place(mark), Json(), "null"); }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    abandon(place(mark), "aliases (*name) are not accepted: write the value out");
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                const std::string& value) override {
    const bool quoted = tag == "!";
    if (!quoted) check_tag(mark, tag);
    const Place at = place(mark, std::max(1, characters_in(value)) + (quoted ? 2 : 0));
    if (!quoted && (value == ".inf" || value == "-.inf" || value == "+.inf" || value == ".nan"))
      abandon(at, "a number must be finite");
    scalar(at, quoted ? Json(value) : plain(value), value);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    check_tag(mark, tag);
    open(place(mark), Json::array());
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {
    check_tag(mark, tag);
    open(place(mark), Json::object());
  }
  void OnMapEnd() override { close(); }

 private:
  struct Frame {
    Json value;
    std::string pointer;
    std::optional<std::string> key;
    Place key_place;
    bool skip = false;  // the value of a duplicate key
  };

  void check_tag(const YAML::Mark& mark, const std::string& tag) {
    if (!tag.empty() && tag != "?" && tag != "!")
      abandon(place(mark), fmt::format("tags ({}) are not accepted", tag));
  }

  // Where a value that begins now belongs.
  std::string pointer_here() const {
    if (frames_.empty()) return "";
    const Frame& top = frames_.back();
    if (top.value.is_object()) return pointer_to(top.pointer, *top.key);
    return pointer_to(top.pointer, std::to_string(top.value.size()));
  }

  void note(const std::string& pointer, Place at) {
    if (++parts_ > kMostParts) abandon(at, fmt::format("more than {} values in one document", kMostParts));
    const bool keyed = !frames_.empty() && frames_.back().value.is_object();
    out_.places.emplace(pointer, Located{keyed ? frames_.back().key_place : at, at});
  }

  void scalar(Place at, Json value, const std::string& text) {
    if (!frames_.empty() && frames_.back().value.is_object() && !frames_.back().key) {
      begin_key(at, text);
      return;
    }
    note(pointer_here(), at);
    attach(std::move(value));
  }

  void begin_key(Place at, const std::string& text) {
    Frame& top = frames_.back();
    top.key = text;
    top.key_place = at;
    top.skip = false;
    if (text == "<<") abandon(at, "merge keys (<<) are not accepted: write the keys out");
    if (!top.value.contains(text)) return;
    const Place first = out_.key_at(pointer_to(top.pointer, text));
    complaints_.add(at, fmt::format("the key \"{}\" stands here twice; first in line {}", text, first.line));
    top.skip = true;
  }

  void attach(Json value) {
    if (frames_.empty()) {
      out_.value = std::move(value);
      return;
    }
    Frame& top = frames_.back();
    if (top.value.is_array()) {
      top.value.push_back(std::move(value));
    } else {
      if (!top.skip) top.value[*top.key] = std::move(value);
      top.key.reset();
    }
  }

  void open(Place at, Json empty) {
    if (!frames_.empty() && frames_.back().value.is_object() && !frames_.back().key)
      abandon(at, "a key must be a word, not a list or a map");
    if (frames_.size() >= kMostDepth) abandon(at, fmt::format("nested deeper than {}", kMostDepth));
    std::string pointer = pointer_here();
    note(pointer, at);
    frames_.push_back({std::move(empty), std::move(pointer), std::nullopt, {}, false});
  }

  void close() {
    Json value = std::move(frames_.back().value);
    frames_.pop_back();
    attach(std::move(value));
  }

  Complaints& complaints_;
  LocatedJson& out_;
  std::string_view text_;
  std::vector<std::size_t> line_starts_;
  std::vector<Frame> frames_;
  std::size_t parts_ = 0;
  int documents_ = 0;
};

// JSON may be indented with tabs, YAML may not: outside its strings they become spaces (columns stay).
std::string tabs_to_spaces_in_json(std::string_view text) {
  std::string out(text);
  bool in_string = false;
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (in_string && out[i] == '\\')
      ++i;
    else if (out[i] == '"')
      in_string = !in_string;
    else if (out[i] == '\t' && !in_string)
      out[i] = ' ';
  }
  return out;
}

Place place_of_byte(std::string_view text, std::size_t offset) {
  const std::string_view before = text.substr(0, offset);
  const auto newline = before.rfind('\n');
  const std::string_view line = newline == std::string_view::npos ? before : before.substr(newline + 1);
  return {static_cast<int>(std::count(before.begin(), before.end(), '\n')) + 1, characters_in(line) + 1, 1};
}

}  // namespace

Place LocatedJson::value_at(std::string_view pointer) const {
  for (;;) {
    if (const auto found = places.find(std::string(pointer)); found != places.end())
      return found->second.value;
    if (pointer.empty()) return {};
    pointer = pointer.substr(0, pointer.rfind('/'));
  }
}

Place LocatedJson::key_at(std::string_view pointer) const {
  for (;;) {
    if (const auto found = places.find(std::string(pointer)); found != places.end()) return found->second.key;
    if (pointer.empty()) return {};
    pointer = pointer.substr(0, pointer.rfind('/'));
  }
}

std::string pointer_to(std::string_view parent, std::string_view key) {
  std::string out(parent);
  out += '/';
  for (const char c : key) {
    if (c == '~')
      out += "~0";
    else if (c == '/')
      out += "~1";
    else
      out += c;
  }
  return out;
}

std::optional<LocatedJson> parse_located(std::string_view text, Complaints& complaints) {
  if (text.size() > kMostDocumentBytes) {
    complaints.add({}, fmt::format("the document has {} bytes; at most {} are accepted", text.size(),
                                   kMostDocumentBytes));
    return std::nullopt;
  }
  if (const auto bad = first_bad_byte(text); bad != std::string_view::npos) {
    complaints.add(place_of_byte(text, bad), "not a text in UTF-8");
    return std::nullopt;
  }
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) {
    complaints.add({}, "the document is empty");
    return std::nullopt;
  }
  const bool json = text[first] == '{' || text[first] == '[';
  std::istringstream stream(json ? tabs_to_spaces_in_json(text) : std::string(text));
  LocatedJson out;
  Builder builder(text, complaints, out);
  try {
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const Abandoned&) {
    return std::nullopt;
  } catch (const YAML::Exception& error) {
    if (const auto tab = builder.tab_of_indentation(error.mark); tab && !json)
      complaints.add(*tab, "tabs are not allowed for indentation: use spaces");
    else
      complaints.add(builder.place(error.mark),
                     fmt::format("not valid {}: {}", json ? "JSON" : "YAML", error.msg));
    return std::nullopt;
  }
  return out;
}

}  // namespace spool::pipeline
