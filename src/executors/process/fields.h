// Fields: reads a JSON object that somebody hostile may have written. Every getter checks type and range; the
// first thing wrong is kept and told by done(), which also refuses keys that nobody asked for.
#pragma once

#include <fmt/format.h>

#include <cmath>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/json.h"
#include "executors/process/clean_text.h"

namespace spool::process {

class Fields {
 public:
  // `what` names the message in errors. The object must outlive this.
  Fields(const Json& object, std::string what) : object_(object), what_(std::move(what)) {
    if (!object.is_object()) wrong(Code::kInvalidArgument, "is not an object");
  }

  // nullptr where it is missing; a missing required one is an error.
  const Json* find(const char* key, bool required = false) {
    if (!object_.is_object()) return nullptr;
    asked_.insert(key);
    const auto it = object_.find(key);
    if (it != object_.end()) return &*it;
    if (required) wrong(Code::kInvalidArgument, fmt::format("lacks {}", key));
    return nullptr;
  }

  std::string text(const char* key, std::size_t most, bool required = false, std::string otherwise = {}) {
    const Json* value = find(key, required);
    if (value == nullptr) return otherwise;
    if (!value->is_string())
      return wrong(Code::kInvalidArgument, fmt::format("{} is not a text", key)), otherwise;
    const auto& found = value->get_ref<const std::string&>();
    if (found.size() <= most) return found;
    wrong(Code::kLimitExceeded, fmt::format("{} is longer than {} bytes", key, most));
    return otherwise;
  }

  std::int64_t integer(const char* key, std::int64_t least, std::int64_t most, std::int64_t otherwise) {
    const Json* value = find(key);
    if (value == nullptr) return otherwise;
    const bool fits = value->is_number_unsigned()
                          ? value->get<std::uint64_t>() <= static_cast<std::uint64_t>(INT64_MAX)
                          : value->is_number_integer();
    if (fits) {
      const auto found = value->get<std::int64_t>();
      if (found >= least && found <= most) return found;
    }
    wrong(Code::kInvalidArgument, fmt::format("{} is not a whole number from {} to {}", key, least, most));
    return otherwise;
  }

  double number(const char* key, double least, double most, double otherwise) {
    const Json* value = find(key);
    if (value == nullptr) return otherwise;
    if (value->is_number()) {
      const auto found = value->get<double>();
      if (std::isfinite(found) && found >= least && found <= most) return found;
    }
    wrong(Code::kInvalidArgument, fmt::format("{} is not a number from {} to {}", key, least, most));
    return otherwise;
  }

  bool flag(const char* key, bool otherwise) {
    const Json* value = find(key);
    if (value == nullptr) return otherwise;
    if (value->is_boolean()) return value->get<bool>();
    wrong(Code::kInvalidArgument, fmt::format("{} is neither true nor false", key));
    return otherwise;
  }

  // Any JSON, by its size as text; null where it is missing.
  Json any(const char* key, std::size_t most, bool required = false) {
    const Json* value = find(key, required);
    if (value == nullptr) return nullptr;
    if (!value->is_structured() && !value->is_string()) return *value;
    if (to_text(*value).size() <= most) return *value;
    wrong(Code::kLimitExceeded, fmt::format("{} is larger than {} bytes", key, most));
    return nullptr;
  }

  void wrong(Code code, const std::string& problem) {
    if (!error_) error_ = Error{code, fmt::format("{} {}", what_, problem), 0};
  }
  // Takes the error of a nested part.
  template <class T>
  T take(Result<T> part, T otherwise = {}) {
    if (part) return std::move(*part);
    if (!error_) error_ = std::move(part).error();
    return otherwise;
  }

  [[nodiscard]] Result<void> done() {
    if (!error_ && object_.is_object())
      for (const auto& [key, value] : object_.items())
        if (!asked_.contains(key))
          wrong(Code::kInvalidArgument, fmt::format("has an unknown key {}", printable(key, 40)));
    if (error_) return fail(*error_);
    return {};
  }

 private:
  const Json& object_;
  std::string what_;
  std::set<std::string, std::less<>> asked_;
  std::optional<Error> error_;
};

}  // namespace spool::process
