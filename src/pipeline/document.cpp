#include "pipeline/document.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <optional>

#include "pipeline/located_json.h"
#include "pipeline/parameters.h"

namespace spool::pipeline {
namespace {

// Stands for what is only known when the pipeline runs, so that the rest of the args can be checked before.
constexpr std::string_view kLater = "object:later";

bool is_name(std::string_view text) {
  const auto word = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-';
  };
  return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), word);
}

// Outputs may be files: "captions.vtt".
bool is_output(std::string_view text) {
  std::string without_dots(text);
  std::erase(without_dots, '.');
  return is_name(without_dots) && !text.starts_with('.');
}

class Parser {
 public:
  Parser(const Environment& environment, Complaints& complaints, LocatedJson located)
      : environment_(environment), complaints_(complaints), located_(std::move(located)) {}

  Document parse() {
    const Json& root = located_.value;
    if (!root.is_object()) {
      complaints_.add(located_.value_at(""), "a pipeline is a map with the keys version and steps");
      return {};
    }
    check_keys(root);
    check_version(root);
    read_name(root);
    read_steps(root);
    check_needs();
    check_cycles();
    return std::move(document_);
  }

 private:
  void at_key(const std::string& pointer, std::string message) {
    complaints_.add(located_.key_at(pointer), std::move(message));
  }
  void at_value(const std::string& pointer, std::string message) {
    complaints_.add(located_.value_at(pointer), std::move(message));
  }

  void check_keys(const Json& root) {
    static const std::vector<std::string> kKnown{"version", "name", "steps"};
    for (const auto& [key, value] : root.items())
      if (std::find(kKnown.begin(), kKnown.end(), key) == kKnown.end())
        at_key(pointer_to("", key), fmt::format("unknown key \"{}\"{}", key, suggestion(key, kKnown)));
  }

  void check_version(const Json& root) {
    if (!root.contains("version"))
      at_key("", "the key version is missing: write `version: 1`");
    else if (root["version"] != 1)
      at_value("/version", fmt::format("version {} is not known here; this program reads version 1",
                                       to_text(root["version"])));
  }

  void read_name(const Json& root) {
    if (!root.contains("name")) return;
    if (root["name"].is_string())
      document_.name = root["name"];
    else
      at_value("/name", "name must be a string");
  }

  void read_steps(const Json& root) {
    if (!root.contains("steps")) return at_key("", "the key steps is missing");
    const Json& steps = root["steps"];
    if (!steps.is_object() || steps.empty())
      return at_value("/steps", "steps must be a map of at least one step");
    if (steps.size() > kMostSteps)
      return at_value("/steps", fmt::format("{} steps; at most {} are accepted", steps.size(), kMostSteps));
    std::vector<std::pair<Place, std::string>> order;
    for (const auto& [name, step] : steps.items()) {
      step_names_.push_back(name);
      order.emplace_back(located_.key_at(pointer_to("/steps", name)), name);
    }
    std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
      return std::pair(a.first.line, a.first.column) < std::pair(b.first.line, b.first.column);
    });
    for (const auto& [place, name] : order) read_step(name, steps[name]);
  }

  void read_step(const std::string& name, const Json& source) {
    const std::string here = pointer_to("/steps", name);
    if (!is_name(name)) at_key(here, "a step's name has letters, digits, - and _, at most 64 of them");
    if (!source.is_object())
      return at_value(here, fmt::format("the step \"{}\" must be a map with the key kind", name));
    Step step;
    step.name = name;
    step.args = source;
    for (const char* key : {"kind", "needs", "optional"}) step.args.erase(key);
    read_optional(step, source, here);
    read_needs(step, source, here);
    read_references(step, here);
    read_kind(step, source, here);
    document_.steps.push_back(std::move(step));
  }

  void read_optional(Step& step, const Json& source, const std::string& here) {
    if (!source.contains("optional")) return;
    if (source["optional"].is_boolean())
      step.optional = source["optional"];
    else
      at_value(here + "/optional", "optional must be true or false");
  }

  void read_needs(Step& step, const Json& source, const std::string& here) {
    if (!source.contains("needs")) return;
    const Json& needs = source["needs"];
    if (!needs.is_array())
      return at_value(here + "/needs", "needs must be a list of steps, like [ladder, captions]");
    for (std::size_t i = 0; i < needs.size(); ++i) {
      const std::string at = fmt::format("{}/needs/{}", here, i);
      if (!needs[i].is_string())
        at_value(at, "needs must be a list of names of steps");
      else
        add_need(step, needs[i], at, true);
    }
  }

  void add_need(Step& step, const std::string& name, const std::string& at, bool twice_is_wrong) {
    if (std::find(step_names_.begin(), step_names_.end(), name) == step_names_.end())
      return at_value(at, fmt::format("there is no step \"{}\"{}", name, suggestion(name, step_names_)));
    if (std::find(step.needs.begin(), step.needs.end(), name) == step.needs.end()) {
      step.needs.push_back(name);
      need_places_[{step.name, name}] = at;
    } else if (twice_is_wrong) {
      at_value(at, fmt::format("the need \"{}\" stands here twice", name));
    }
  }

  // Strings that begin with $, anywhere in the args.
  void read_references(Step& step, const std::string& here) {
    std::vector<std::pair<std::string, Json*>> open{{"", &step.args}};
    while (!open.empty()) {
      auto [pointer, value] = open.back();
      open.pop_back();
      if (value->is_string()) {
        read_reference(step, here, pointer, *value);
      } else if (value->is_object()) {
        for (auto& [key, part] : value->items()) open.emplace_back(pointer_to(pointer, key), &part);
      } else if (value->is_array()) {
        for (std::size_t i = 0; i < value->size(); ++i)
          open.emplace_back(pointer_to(pointer, std::to_string(i)), &(*value)[i]);
      }
    }
  }

  void read_reference(Step& step, const std::string& here, const std::string& pointer, Json& value) {
    const std::string text = value;
    if (!text.starts_with('$')) return;
    if (text.starts_with("$$")) {
      value = text.substr(1);
      return;
    }
    if (text == "$source") {
      step.sources.push_back(pointer);
      return;
    }
    const std::string at = here + pointer;
    constexpr std::string_view kSteps = "$steps.";
    if (!text.starts_with(kSteps))
      return at_value(
          at, fmt::format("\"{}\" is no reference: write $source, $steps.NAME or $steps.NAME.OUTPUT", text));
    const std::string rest = text.substr(kSteps.size());
    const auto dot = rest.find('.');
    Reference reference{pointer, rest.substr(0, dot), dot == std::string::npos ? "" : rest.substr(dot + 1)};
    if (reference.step.empty() || (dot != std::string::npos && !is_output(reference.output)))
      return at_value(at,
                      fmt::format("\"{}\" is no reference: write $steps.NAME or $steps.NAME.OUTPUT", text));
    add_need(step, reference.step, at, false);
    step.references.push_back(std::move(reference));
  }

  void read_kind(Step& step, const Json& source, const std::string& here) {
    std::vector<std::string> names;
    for (const Kind* kind : environment_.kinds->all())
      if (kind->name != "pipeline" && (environment_.internal_kinds || !kind->internal))
        names.push_back(kind->name);  // a pipeline in a pipeline has no document to point at
    if (!source.contains("kind")) return at_key(here, fmt::format("the step \"{}\" has no kind", step.name));
    if (!source["kind"].is_string()) return at_value(here + "/kind", "kind must be a string");
    step.kind = source["kind"];
    const Kind* kind = environment_.kinds->find(step.kind);
    if (kind == nullptr || std::find(names.begin(), names.end(), step.kind) == names.end())
      return at_value(here + "/kind",
                      fmt::format("there is no kind \"{}\"{}", step.kind, suggestion(step.kind, names)));
    read_args(step, *kind, here);
  }

  // References are only known later; a stand-in takes their place while the schema looks.
  void read_args(Step& step, const Kind& kind, const std::string& here) {
    std::map<std::string, Json> originals;
    const auto stand_in = [&](const std::string& pointer) {
      Json& value = step.args[Json::json_pointer(pointer)];
      originals[pointer] = std::exchange(value, kLater);
    };
    for (const std::string& pointer : step.sources) stand_in(pointer);
    for (const Reference& reference : step.references) stand_in(reference.pointer);
    read_parameters(kind, step.args, environment_,
                    [&](const std::string& pointer, bool key, std::string message) {
                      const std::string at = here + pointer;
                      complaints_.add(key ? located_.key_at(at) : located_.value_at(at), std::move(message));
                    });
    for (auto& [pointer, original] : originals)
      if (const Json::json_pointer at(pointer); step.args.contains(at)) step.args[at] = original;
  }

  const Step* find(const std::string& name) const {
    for (const Step& step : document_.steps)
      if (step.name == name) return &step;
    return nullptr;
  }

  // What may be missing cannot be relied on.
  void check_needs() {
    for (const Step& step : document_.steps) {
      for (const Reference& reference : step.references) {
        const Step* from = find(reference.step);
        if (from == nullptr || !from->optional || step.optional) continue;
        at_value(
            pointer_to("/steps", step.name) + reference.pointer,
            fmt::format(
                "\"{0}\" is optional and may give nothing: make \"{1}\" optional as well, or \"{0}\" not",
                from->name, step.name));
      }
    }
  }

  void check_cycles() {
    std::map<std::string, int> seen;  // 1: on the path, 2: done
    std::vector<std::string> path;
    for (const Step& step : document_.steps) walk(step, seen, path);
  }

  void walk(const Step& step, std::map<std::string, int>& seen, std::vector<std::string>& path) {
    if (seen[step.name] == 2) return;
    seen[step.name] = 1;
    path.push_back(step.name);
    for (const std::string& need : step.needs) {
      if (seen[need] == 1) {
        std::vector<std::string> cycle(std::find(path.begin(), path.end(), need), path.end());
        cycle.push_back(need);
        at_value(need_places_[{step.name, need}],
                 fmt::format("the steps need each other in a circle: {}", fmt::join(cycle, " -> ")));
      } else if (const Step* next = find(need)) {
        walk(*next, seen, path);
      }
    }
    path.pop_back();
    seen[step.name] = 2;
  }

  const Environment& environment_;
  Complaints& complaints_;
  LocatedJson located_;
  Document document_;
  std::vector<std::string> step_names_;
  std::map<std::pair<std::string, std::string>, std::string> need_places_;
};

}  // namespace

std::optional<Document> parse_pipeline(std::string_view text, const Environment& environment,
                                       Complaints& complaints) {
  auto located = parse_located(text, complaints);
  if (!located) return std::nullopt;
  Document document = Parser(environment, complaints, std::move(*located)).parse();
  if (!complaints.empty()) return std::nullopt;
  return document;
}

Result<Document> parse_pipeline(std::string_view text, std::string_view name,
                                const Environment& environment) {
  Complaints complaints(text, name);
  if (auto document = parse_pipeline(text, environment, complaints)) return std::move(*document);
  return fail(complaints.error());
}

Result<Json> check_parameters(const Kind& kind, Json parameters, const Environment& environment) {
  std::string wrong;
  std::size_t complaints = 0;
  read_parameters(kind, parameters, environment, [&](const std::string& pointer, bool, std::string message) {
    if (++complaints > kMostComplaints) return;
    if (!wrong.empty()) wrong += '\n';
    const std::string place = pointer.empty() ? "" : pointer.substr(1);
    // What the schema says names its place already.
    const bool named = message.starts_with(place.substr(0, place.find('/')));
    wrong += named ? fmt::format("{}: {}", kind.name, message)
                   : fmt::format("{}: {}: {}", kind.name, place, message);
  });
  if (complaints > kMostComplaints)
    wrong += fmt::format("\n{}: and {} more", kind.name, complaints - kMostComplaints);
  if (complaints > 0) return fail(Code::kInvalidArgument, std::move(wrong));
  return parameters;
}

}  // namespace spool::pipeline
