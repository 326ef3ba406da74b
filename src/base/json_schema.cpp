#include "base/json_schema.h"

#define VALIJSON_USE_EXCEPTIONS 1  // without it the library ends the process

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>
#include <regex>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validator.hpp>

#include "base/schema_explanation.h"

namespace spool {
namespace {

constexpr std::size_t kMostReported = 8;

// ["<root>", "[\"rungs\"]", "[0]"] as valijson writes it, to "/rungs/0".
std::string pointer_of(const std::vector<std::string>& context) {
  Json::json_pointer pointer;
  for (std::size_t i = 1; i < context.size(); ++i) {
    const std::string& part = context[i];
    if (part.size() > 4 && part[1] == '"') {
      pointer.push_back(part.substr(2, part.size() - 4));
    } else if (part.size() > 2) {
      pointer.push_back(part.substr(1, part.size() - 2));
    }
  }
  return pointer.to_string();
}

// std::regex says at its first use that a pattern is none; we want to know when the schema is compiled.
void check_patterns(const Json& schema) {
  if (schema.is_object()) {
    if (const auto p = schema.find("pattern"); p != schema.end() && p->is_string())
      (void)std::regex(p->get<std::string>());
    if (const auto p = schema.find("patternProperties"); p != schema.end() && p->is_object())
      for (const auto& [pattern, ignored] : p->items()) (void)std::regex(pattern);
  }
  if (schema.is_structured())
    for (const Json& child : schema) check_patterns(child);
}

// "format" is an annotation here (pipeline/document.h gives some of them a meaning); valijson would take
// every value that has one for a string.
void strip_formats(Json& schema) {
  if (schema.is_object())
    if (const auto format = schema.find("format"); format != schema.end() && format->is_string())
      schema.erase(format);
  if (schema.is_structured())
    for (Json& child : schema) strip_formats(child);
}

}  // namespace

struct JsonSchema::Compiled {
  Json document;
  Json checked;  // the document without its formats; the schema refers to it
  valijson::Schema schema;
};

Result<JsonSchema> JsonSchema::compile(Json schema) {
  auto compiled = std::make_shared<Compiled>();
  compiled->document = std::move(schema);
  if (!compiled->document.is_object())
    return fail(Code::kInvalidArgument, "not a JSON Schema: it must be an object");
  try {
    check_patterns(compiled->document);
    compiled->checked = compiled->document;
    strip_formats(compiled->checked);
    valijson::SchemaParser parser(valijson::SchemaParser::kDraft7);
    parser.populateSchema(valijson::adapters::NlohmannJsonAdapter(compiled->checked), compiled->schema);
  } catch (const std::exception& e) {
    return fail(Code::kInvalidArgument, fmt::format("not a JSON Schema: {}", e.what()));
  }
  return JsonSchema(std::move(compiled));
}

const Json& JsonSchema::document() const {
  return compiled_->document;
}

std::vector<SchemaViolation> JsonSchema::violations(const Json& value) const {
  // The explanation first: it is also the one that keeps long strings away from regular expressions.
  auto explained = explain_violations(compiled_->document, value);
  if (!explained.empty()) return explained;
  valijson::Validator validator;
  valijson::ValidationResults results;
  try {
    if (validator.validate(compiled_->schema, valijson::adapters::NlohmannJsonAdapter(value), &results))
      return {};
  } catch (const std::exception& e) {
    return {{"", fmt::format("cannot be checked: {}", e.what())}};
  }
  std::vector<SchemaViolation> found;
  for (const auto& error : results) found.push_back({pointer_of(error.context), error.description});
  if (found.empty()) found.push_back({"", "does not fit its schema"});
  return found;
}

Result<void> check_schema(const JsonSchema& schema, const Json& value, std::string_view what) {
  const auto found = schema.violations(value);
  if (found.empty()) return {};
  std::vector<std::string_view> messages;
  for (std::size_t i = 0; i < std::min(found.size(), kMostReported); ++i)
    messages.push_back(found[i].message);
  std::string text = fmt::format("{}: {}", what, fmt::join(messages, "; "));
  if (found.size() > kMostReported) text += fmt::format("; and {} more", found.size() - kMostReported);
  return fail(Code::kInvalidArgument, std::move(text));
}

std::string nearest_word(std::string_view word, const std::vector<std::string>& allowed) {
  std::string best;
  // Levenshtein's distance; a third of the word, rounded up, may differ.
  std::size_t least = (word.size() + 2) / 3 + 1;
  for (const std::string& candidate : allowed) {
    if (word.size() > 64 || candidate.size() > 64) continue;
    std::vector<std::size_t> row(candidate.size() + 1);
    std::iota(row.begin(), row.end(), 0u);
    for (std::size_t i = 1; i <= word.size(); ++i) {
      std::size_t diagonal = row[0];
      row[0] = i;
      for (std::size_t j = 1; j <= candidate.size(); ++j) {
        const std::size_t changed = diagonal + (word[i - 1] == candidate[j - 1] ? 0 : 1);
        diagonal = row[j];
        row[j] = std::min({row[j] + 1, row[j - 1] + 1, changed});
      }
    }
    if (row.back() < least) {
      least = row.back();
      best = candidate;
    }
  }
  return best;
}

}  // namespace spool
