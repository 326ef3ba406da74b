#include "base/toml.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <cmath>
#include <sstream>

namespace spool {
namespace {

std::string below(const std::string& pointer, std::string_view key) {
  Json::json_pointer part;
  part.push_back(std::string(key));
  return pointer + part.to_string();
}

std::pair<int, int> begin_of(const toml::source_region& source) {
  return {static_cast<int>(source.begin.line), static_cast<int>(source.begin.column)};
}

Json convert(const toml::node& node, const std::string& pointer, TomlDocument& out) {
  out.places.emplace(pointer, begin_of(node.source()));
  if (const auto* table = node.as_table()) {
    Json object = Json::object();
    for (const auto& [key, value] : *table) {
      const std::string here = below(pointer, key.str());
      out.keys.emplace(here, begin_of(key.source()));
      object[std::string(key.str())] = convert(value, here, out);
    }
    return object;
  }
  if (const auto* array = node.as_array()) {
    Json list = Json::array();
    for (const auto& value : *array)
      list.push_back(convert(value, below(pointer, std::to_string(list.size())), out));
    return list;
  }
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* whole = node.as_integer()) return whole->get();
  if (const auto* real = node.as_floating_point()) return real->get();
  if (const auto* truth = node.as_boolean()) return truth->get();
  std::ostringstream date;
  node.visit([&date](const auto& value) {
    if constexpr (toml::is_value<decltype(value)>) date << value;
  });
  return date.str();
}

// Of `pointer`, or of what contains it.
std::string place_in(const TomlDocument::Places& places, std::string_view name, std::string_view pointer) {
  for (;;) {
    if (const auto found = places.find(std::string(pointer));
        found != places.end() && found->second.first > 0)
      return fmt::format("{}:{}:{}", name, found->second.first, found->second.second);
    if (pointer.empty()) return fmt::format("{}:1:1", name);
    pointer = pointer.substr(0, pointer.rfind('/'));
  }
}

}  // namespace

std::string TomlDocument::place(std::string_view pointer) const {
  return place_in(places, name, pointer);
}

std::string TomlDocument::place_of_key(std::string_view pointer) const {
  return place_in(keys, name, pointer);
}

Result<TomlDocument> parse_toml(std::string_view text, std::string name) {
  TomlDocument out;
  out.name = std::move(name);
  try {
    const toml::table parsed = toml::parse(text);
    out.value = convert(parsed, "", out);
    return out;
  } catch (const toml::parse_error& error) {
    const auto at = error.source().begin;
    return fail(Code::kInvalidArgument, fmt::format("{}:{}:{}: not valid TOML: {}", out.name, at.line,
                                                    at.column, error.description()));
  }
}

}  // namespace spool
