// JSON: nlohmann::json under one name, and parsing that returns instead of throwing.
#pragma once

#include <concepts>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace spool {

using Json = nlohmann::json;

// Errors: kInvalidArgument with the byte position. Hostile input: nesting deeper than 64 and more values than
// `most_values` are refused (kLimitExceeded) before memory is spent on them; the time is linear in the text.
[[nodiscard]] Result<Json> parse_json(std::string_view text, std::string_view what = "JSON",
                                      std::size_t most_values = std::size_t{16} << 20);

// The canonical text: keys sorted, no white space; equal values give equal bytes. Invalid UTF-8 is replaced.
[[nodiscard]] std::string to_text(const Json& value);

// read_value(value, into): get_to() for documents of which nothing is known. get_to() takes 1e30 for an int
// (undefined behaviour) and cuts off what is too large; these throw a Json::exception, as for any other wrong
// type.
template <class T>
void read_value(const Json& value, T& into) {
  value.get_to(into);
}
template <std::integral T>
requires(!std::same_as<T, bool>) void read_value(const Json& value, T& into) {
  const bool fits = value.is_number_unsigned()
                        ? std::in_range<T>(value.get<std::uint64_t>())
                        : value.is_number_integer() && std::in_range<T>(value.get<std::int64_t>());
  if (!fits)
    throw Json::out_of_range::create(406, "it is not a whole number, or too large: " + to_text(value),
                                     &value);
  value.get_to(into);
}
template <class T>
void read_value(const Json& value, std::vector<T>& into) {
  if (!value.is_array()) throw Json::type_error::create(302, "it is not a list: " + to_text(value), &value);
  into.clear();
  into.reserve(value.size());
  for (const Json& item : value) read_value(item, into.emplace_back());
}
template <class T>
[[nodiscard]] T read_value(const Json& value) {
  T into{};
  read_value(value, into);
  return into;
}

}  // namespace spool
