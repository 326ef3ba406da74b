#include "pipeline/ladders.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/file.h"
#include "pipeline/complaints.h"
#include "pipeline/located_json.h"
#include "pipeline/parameters.h"

namespace spool::pipeline {
namespace {

constexpr const char* kExtensions[] = {".yaml", ".yml", ".json"};

bool is_ladder_name(std::string_view text) {
  return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-';
  });
}

}  // namespace

Ladders::Ladders(Json schema, std::filesystem::path folder)
    : schema_(std::move(schema)), folder_(std::move(folder)) {}

std::optional<std::filesystem::path> Ladders::file_of(std::string_view name) const {
  if (!is_ladder_name(name) || folder_.empty()) return std::nullopt;
  for (const char* extension : kExtensions) {
    auto path = folder_ / (std::string(name) + extension);
    std::error_code ignored;
    if (std::filesystem::exists(path, ignored)) return path;
  }
  return std::nullopt;
}

Result<Json> Ladders::named(std::string_view name) const {
  if (const auto path = file_of(name)) {
    SPOOL_ASSIGN(const std::string text, read_file(*path, kMostDocumentBytes));
    return read(text, path->string(), name);
  }
  for (const EmbeddedLadder& ladder : embedded_ladders())
    if (ladder.name == name) return read(ladder.text, fmt::format("ladder {}", name), name);
  return fail(Code::kNotFound,
              fmt::format("there is no ladder \"{}\"{}", name.substr(0, 64), suggestion(name, names())));
}

Result<Json> Ladders::named_or_file(const std::string& name_or_path) const {
  if (is_ladder_name(name_or_path)) return named(name_or_path);
  SPOOL_ASSIGN(const std::string text, read_file(name_or_path, kMostDocumentBytes));
  return read(text, name_or_path, std::filesystem::path(name_or_path).stem().string());
}

std::vector<std::string> Ladders::names() const {
  std::set<std::string> all;
  for (const EmbeddedLadder& ladder : embedded_ladders()) all.emplace(ladder.name);
  std::error_code error;
  for (std::filesystem::directory_iterator at(folder_, error), end; !error && at != end;
       at.increment(error)) {
    const auto path = at->path();
    const bool known = std::any_of(std::begin(kExtensions), std::end(kExtensions),
                                   [&](const char* extension) { return path.extension() == extension; });
    if (known && is_ladder_name(path.stem().string())) all.insert(path.stem().string());
  }
  return {all.begin(), all.end()};
}

Result<Json> Ladders::read(std::string_view text, std::string_view origin, std::string_view name) const {
  Complaints complaints(text, origin);
  auto located = parse_located(text, complaints);
  if (!located) return fail(complaints.error());
  Json ladder = located->value;
  if (ladder.is_object() && !ladder.contains("name")) ladder["name"] = name;
  read_parameters(schema_, ladder, [&](const std::string& pointer, bool key, std::string message) {
    complaints.add(key ? located->key_at(pointer) : located->value_at(pointer), std::move(message));
  });
  if (!complaints.empty()) return fail(complaints.error());
  return ladder;
}

}  // namespace spool::pipeline
