#include "base/schema_explanation.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <regex>

namespace spool {
namespace {

constexpr int kMostDepth = 64;  // of schemas that refer to themselves

// Where a value stands: as a pointer for machines, as a path for people.
struct Place {
  std::string pointer;
  std::string path;

  [[nodiscard]] Place key(const std::string& name) const {
    std::string escaped;
    for (const char c : name) escaped += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
    return {pointer + "/" + escaped, path.empty() ? name : path + "." + name};
  }
  [[nodiscard]] Place item(std::size_t index) const {
    return {fmt::format("{}/{}", pointer, index), fmt::format("{}[{}]", path, index)};
  }
};

std::string_view type_words(const Json& value) {
  switch (value.type()) {
    case Json::value_t::null:
      return "nothing";
    case Json::value_t::boolean:
      return "true or false";
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned:
      return "a whole number";
    case Json::value_t::number_float:
      return "a number";
    case Json::value_t::string:
      return "text";
    case Json::value_t::array:
      return "a list";
    default:
      return "a mapping";
  }
}

std::string_view type_name_words(const std::string& type) {
  if (type == "null") return "nothing";
  if (type == "boolean") return "true or false";
  if (type == "integer") return "a whole number";
  if (type == "number") return "a number";
  if (type == "string") return "text";
  if (type == "array") return "a list";
  return "a mapping";
}

bool has_type(const Json& value, const std::string& type) {
  if (type == "null") return value.is_null();
  if (type == "boolean") return value.is_boolean();
  if (type == "integer")
    return value.is_number_integer() ||
           (value.is_number_float() && std::trunc(value.get<double>()) == value.get<double>());
  if (type == "number") return value.is_number();
  if (type == "string") return value.is_string();
  if (type == "array") return value.is_array();
  if (type == "object") return value.is_object();
  return true;
}

std::vector<std::string> types_of(const Json& schema) {
  const auto type = schema.find("type");
  if (type == schema.end()) return {};
  if (type->is_string()) return {type->get<std::string>()};
  if (type->is_array()) return type->get<std::vector<std::string>>();
  return {};
}

bool type_fits(const Json& schema, const Json& value) {
  const auto types = types_of(schema);
  return types.empty() ||
         std::any_of(types.begin(), types.end(), [&](const std::string& t) { return has_type(value, t); });
}

std::string shortened(const Json& value) {
  std::string text = to_text(value);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

std::string listed(const Json& values) {
  std::vector<std::string> texts;
  for (const Json& v : values) texts.push_back(v.is_string() ? v.get<std::string>() : to_text(v));
  return fmt::format("{}", fmt::join(texts, ", "));
}

// Code points, as JSON Schema counts.
std::size_t length_of(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

class Explainer {
 public:
  explicit Explainer(const Json& root) : root_(root) {}

  std::vector<SchemaViolation> explain(const Json& schema, const Json& value, const Place& at,
                                       int depth = 0) {
    std::vector<SchemaViolation> before;
    before.swap(found_);
    walk(schema, value, at, depth);
    before.swap(found_);
    return before;
  }

 private:
  void add(const Place& at, const std::string& message) {
    found_.push_back({at.pointer, at.path.empty() ? message : at.path + ": " + message});
  }

  void walk(const Json& schema, const Json& value, const Place& at, int depth) {
    if (depth > kMostDepth) return;
    if (schema.is_boolean()) {
      if (!schema.get<bool>()) add(at, "is not allowed here");
      return;
    }
    if (!schema.is_object()) return;
    if (const auto ref = schema.find("$ref"); ref != schema.end() && ref->is_string()) {
      if (const Json* target = resolve(ref->get<std::string>())) walk(*target, value, at, depth + 1);
      return;
    }
    if (!type_fits(schema, value)) return wrong_type(schema, value, at);
    fixed_values(schema, value, at);
    if (value.is_object()) object(schema, value, at, depth);
    if (value.is_array()) array(schema, value, at, depth);
    if (value.is_string()) text(schema, value.get_ref<const std::string&>(), at);
    if (value.is_number()) number(schema, value, at);
    combinations(schema, value, at, depth);
  }

  const Json* resolve(const std::string& ref) const {
    if (ref.empty() || ref[0] != '#') return nullptr;
    try {
      const Json::json_pointer pointer(ref.substr(1));
      return root_.contains(pointer) ? &root_.at(pointer) : nullptr;
    } catch (const Json::exception&) {
      return nullptr;
    }
  }

  void wrong_type(const Json& schema, const Json& value, const Place& at) {
    std::vector<std::string_view> words;
    for (const std::string& type : types_of(schema)) words.push_back(type_name_words(type));
    add(at, fmt::format("must be {}{}, is {} ({})", fmt::join(words, " or "), example(schema),
                        type_words(value), shortened(value)));
  }

  static std::string example(const Json& schema) {
    const auto examples = schema.find("examples");
    if (examples == schema.end() || !examples->is_array() || examples->empty()) return "";
    return fmt::format(" such as {}", listed(*examples));
  }

  void fixed_values(const Json& schema, const Json& value, const Place& at) {
    if (const auto allowed = schema.find("enum"); allowed != schema.end() && allowed->is_array())
      if (std::find(allowed->begin(), allowed->end(), value) == allowed->end())
        add(at, fmt::format("must be one of {}; is {}", listed(*allowed), shortened(value)));
    if (const auto constant = schema.find("const"); constant != schema.end() && *constant != value)
      add(at, fmt::format("must be {}; is {}", shortened(*constant), shortened(value)));
  }

  void object(const Json& schema, const Json& value, const Place& at, int depth) {
    static const Json kNone = Json::object();
    const auto part = [&](const char* name) -> const Json& {
      const auto it = schema.find(name);
      return it != schema.end() && it->is_object() ? *it : kNone;
    };
    const Json& properties = part("properties");
    const Json& patterns = part("patternProperties");
    if (const auto required = schema.find("required"); required != schema.end() && required->is_array())
      for (const Json& name : *required)
        if (name.is_string() && !value.contains(name.get<std::string>()))
          add(at, fmt::format("the key '{}' is missing", name.get<std::string>()));
    const auto rest = schema.find("additionalProperties");
    for (const auto& [name, child] : value.items()) {
      bool known = false;
      if (const auto it = properties.find(name); it != properties.end()) {
        known = true;
        walk(*it, child, at.key(name), depth + 1);
      }
      for (const auto& [pattern, child_schema] : patterns.items()) {
        if (name.size() > kMostPatternBytes || !std::regex_search(name, std::regex(pattern))) continue;
        known = true;
        walk(child_schema, child, at.key(name), depth + 1);
      }
      if (known || rest == schema.end()) continue;
      if (*rest == Json(false)) {
        unknown_key(properties, name, at);
      } else {
        walk(*rest, child, at.key(name), depth + 1);
      }
    }
    size_limits(schema, "minProperties", "maxProperties", value.size(), "keys", at);
  }

  void unknown_key(const Json& properties, const std::string& name, const Place& at) {
    std::vector<std::string> allowed;
    for (const auto& [key, ignored] : properties.items()) allowed.push_back(key);
    const std::string near = nearest_word(name, allowed);
    found_.push_back({at.key(name).pointer,
                      fmt::format("{}unknown key '{}'{}; {}", at.path.empty() ? "" : at.path + ": ", name,
                                  near.empty() ? "" : fmt::format(" (did you mean '{}'?)", near),
                                  allowed.empty() ? "no key is allowed here"
                                                  : fmt::format("allowed: {}", fmt::join(allowed, ", "))),
                      true});
  }

  void array(const Json& schema, const Json& value, const Place& at, int depth) {
    size_limits(schema, "minItems", "maxItems", value.size(), "items", at);
    if (const auto items = schema.find("items"); items != schema.end()) {
      for (std::size_t i = 0; i < value.size(); ++i) {
        if (!items->is_array()) {
          walk(*items, value[i], at.item(i), depth + 1);
        } else if (i < items->size()) {
          walk((*items)[i], value[i], at.item(i), depth + 1);
        }
      }
    }
    if (schema.value("uniqueItems", Json(false)) != Json(true)) return;
    for (std::size_t i = 0; i < value.size(); ++i)
      if (std::find(value.begin(), value.begin() + static_cast<std::ptrdiff_t>(i), value[i]) !=
          value.begin() + static_cast<std::ptrdiff_t>(i))
        add(at.item(i), "stands in the list twice");
  }

  void text(const Json& schema, const std::string& value, const Place& at) {
    size_limits(schema, "minLength", "maxLength", length_of(value), "characters", at);
    const auto pattern = schema.find("pattern");
    if (pattern == schema.end() || !pattern->is_string()) return;
    if (value.size() > kMostPatternBytes) {
      add(at, fmt::format("is longer than {} bytes", kMostPatternBytes));
    } else if (!std::regex_search(value, std::regex(pattern->get<std::string>()))) {
      const std::string like = example(schema);
      add(at,
          fmt::format("must be{}; is {}",
                      like.empty() ? fmt::format(" text of the form {}", pattern->get<std::string>()) : like,
                      shortened(value)));
    }
  }

  void number(const Json& schema, const Json& value, const Place& at) {
    const double n = value.get<double>();
    const auto limit = [&](const char* key, auto breaks, const char* words) {
      const auto it = schema.find(key);
      if (it != schema.end() && it->is_number() && breaks(n, it->get<double>()))
        add(at, fmt::format("must be {} {}; is {}", words, to_text(*it), to_text(value)));
    };
    limit(
        "minimum", [](double a, double b) { return a < b; }, "at least");
    limit(
        "maximum", [](double a, double b) { return a > b; }, "at most");
    limit(
        "exclusiveMinimum", [](double a, double b) { return a <= b; }, "more than");
    limit(
        "exclusiveMaximum", [](double a, double b) { return a >= b; }, "less than");
    limit(
        "multipleOf", [](double a, double b) { return b > 0 && std::abs(std::remainder(a, b)) > 1e-9 * b; },
        "a multiple of");
  }

  void size_limits(const Json& schema, const char* least, const char* most, std::size_t size,
                   const char* what, const Place& at) {
    const auto number = [&](const char* key) -> std::optional<std::size_t> {
      const auto it = schema.find(key);
      if (it == schema.end() || !it->is_number_unsigned()) return std::nullopt;
      return it->get<std::size_t>();
    };
    if (const auto n = number(least); n && size < *n)
      add(at, fmt::format("must have at least {} {}; has {}", *n, what, size));
    if (const auto n = number(most); n && size > *n)
      add(at, fmt::format("may have at most {} {}; has {}", *n, what, size));
  }

  void combinations(const Json& schema, const Json& value, const Place& at, int depth) {
    if (const auto all = schema.find("allOf"); all != schema.end() && all->is_array())
      for (const Json& part : *all) walk(part, value, at, depth + 1);
    for (const char* keyword : {"anyOf", "oneOf"})
      if (const auto options = schema.find(keyword); options != schema.end() && options->is_array())
        one_of(*options, value, at, depth);
  }

  // None fits: the option that the author most likely meant is explained, one of the value's type with the
  // fewest faults.
  void one_of(const Json& options, const Json& value, const Place& at, int depth) {
    std::vector<SchemaViolation> best;
    std::vector<std::string_view> types;
    for (const Json& option : options) {
      auto faults = explain(option, value, at, depth + 1);
      if (faults.empty()) return;
      const Json* meant = &option;
      if (option.is_object() && option.contains("$ref")) meant = resolve(option["$ref"].get<std::string>());
      if (meant == nullptr || !meant->is_object()) continue;
      for (const std::string& type : types_of(*meant)) types.push_back(type_name_words(type));
      if (type_fits(*meant, value) && (best.empty() || faults.size() < best.size())) best = std::move(faults);
    }
    if (best.empty()) {
      add(at, fmt::format("must be {}; is {} ({})", fmt::join(types, " or "), type_words(value),
                          shortened(value)));
    } else {
      found_.insert(found_.end(), best.begin(), best.end());
    }
  }

  const Json& root_;
  std::vector<SchemaViolation> found_;
};

}  // namespace

std::vector<SchemaViolation> explain_violations(const Json& root, const Json& value) {
  return Explainer(root).explain(root, value, Place{});
}

}  // namespace spool
