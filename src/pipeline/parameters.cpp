#include "pipeline/parameters.h"

#include <fmt/format.h>

#include <set>

#include "base/json_schema.h"
#include "base/units.h"
#include "pipeline/located_json.h"

namespace spool::pipeline {
namespace {

class Reader {
 public:
  Reader(const Environment& environment, const Complain& complain)
      : environment_(environment), complain_(complain) {}

  void read(const Json& schema, Json& value, const std::string& pointer) {
    if (!schema.is_object()) return;
    const auto format = schema.find("format");
    if (format != schema.end() && format->is_string()) convert(format->get<std::string>(), value, pointer);
    if (value.is_object()) read_object(schema, value, pointer);
    if (value.is_array() && schema.contains("items"))
      for (std::size_t i = 0; i < value.size(); ++i)
        read(schema["items"], value[i], pointer_to(pointer, std::to_string(i)));
  }

  void wrong(const std::string& pointer, bool key, std::string message) {
    said_.insert(pointer);
    complain_(pointer, key, std::move(message));
  }

  // Something was said about this value, or about a part of it.
  [[nodiscard]] bool said(const std::string& pointer) const {
    const auto at = said_.lower_bound(pointer);
    return at != said_.end() && (*at == pointer || at->starts_with(pointer + "/")) && !pointer.empty();
  }

 private:
  void read_object(const Json& schema, Json& value, const std::string& pointer) {
    const Json properties = schema.value("properties", Json::object());
    // With patterns for keys the schema itself has to say which are unknown.
    const bool closed = schema.contains("additionalProperties") && schema["additionalProperties"] == false &&
                        !schema.contains("patternProperties");
    std::vector<std::string> known;
    for (const auto& [key, property] : properties.items()) {
      known.push_back(key);
      if (property.contains("default") && !value.contains(key)) value[key] = property["default"];
    }
    std::vector<std::string> unknown;
    for (auto& [key, part] : value.items()) {
      const std::string at = pointer_to(pointer, key);
      if (properties.contains(key)) {
        read(properties[key], part, at);
      } else if (closed) {
        wrong(at, true, fmt::format("unknown key \"{}\"{}", key, suggestion(key, known)));
        unknown.push_back(key);
      }
    }
    for (const std::string& key : unknown) value.erase(key);
  }

  void convert(const std::string& format, Json& value, const std::string& pointer) {
    if (format == "duration")
      return convert_quantity(parse_duration, "a duration with a unit, like 10s", value, pointer);
    if (format == "size")
      return convert_quantity(parse_size, "a size with a unit, like 16MiB", value, pointer);
    if (format == "ladder" && value.is_string()) convert_ladder(value, pointer);
  }

  template <class Parse>
  void convert_quantity(const Parse& parse, std::string_view what, Json& value, const std::string& pointer) {
    if (value.is_number() && environment_.plain_values) return;
    if (value.is_number()) {
      wrong(pointer, false, fmt::format("{} needs a unit: expected {}", to_text(value), what));
    } else if (!value.is_string()) {
      wrong(pointer, false, fmt::format("expected {}", what));
    } else if (auto parsed = parse(value.get_ref<const std::string&>()); parsed) {
      value = *parsed;
    } else {
      wrong(pointer, false, parsed.error().message);
    }
  }

  void convert_ladder(Json& value, const std::string& pointer) {
    if (!environment_.ladder) return wrong(pointer, false, "named ladders are not available here");
    auto found = environment_.ladder(value.get_ref<const std::string&>());
    if (found)
      value = std::move(*found);
    else
      wrong(pointer, false, found.error().message);
  }

  const Environment& environment_;
  const Complain& complain_;
  std::set<std::string> said_;
};

void complain_of(const std::vector<SchemaViolation>& violations, const Reader& reader,
                 const Complain& complain) {
  for (const SchemaViolation& violation : violations)
    if (!reader.said(violation.pointer))
      complain(violation.pointer, violation.pointer.empty(), violation.message);
}

}  // namespace

void read_parameters(const Kind& kind, Json& value, const Environment& environment,
                     const Complain& complain) {
  Reader reader(environment, complain);
  reader.read(kind.schema, value, "");
  complain_of(environment.kinds->violations(kind.name, value), reader, complain);
}

void read_parameters(const Json& schema, Json& value, const Complain& complain) {
  const Environment nothing;
  Reader reader(nothing, complain);
  reader.read(schema, value, "");
  const auto compiled = JsonSchema::compile(schema);
  if (!compiled) return complain("", true, fmt::format("the schema is wrong: {}", compiled.error().message));
  complain_of(compiled->violations(value), reader, complain);
}

}  // namespace spool::pipeline
