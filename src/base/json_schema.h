// JsonSchema: what a document may look like, checked before anything else reads it.
//
// The verdict is that of JSON Schema (draft 7, https://json-schema.org/draft-07). The messages are made for
// the person who wrote the document: they name the key by its path and say what is allowed. References
// ("$ref") stay inside the schema; nothing is fetched. A JsonSchema is immutable, cheap to copy and
// thread-safe.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/json.h"

namespace spool {

// One thing that is wrong. The pointer (RFC 6901) names the value at fault: for a missing key the object that
// lacks it, for an unknown key the key itself, so that whoever has the text can find line and column.
struct SchemaViolation {
  std::string pointer;  // "" is the document
  std::string message;  // "ladder.rungs[2].height: must be a whole number, is a string"
  bool of_key = false;  // the key is at fault, whatever its value

  bool operator==(const SchemaViolation&) const = default;
};

class JsonSchema {
 public:
  // Errors: kInvalidArgument when `schema` is no JSON Schema, or refers to something outside itself.
  [[nodiscard]] static Result<JsonSchema> compile(Json schema);

  // Everything that is wrong, in the order of the keys; empty: the value fits.
  [[nodiscard]] std::vector<SchemaViolation> violations(const Json& value) const;
  [[nodiscard]] const Json& document() const;

 private:
  struct Compiled;
  explicit JsonSchema(std::shared_ptr<const Compiled> compiled) : compiled_(std::move(compiled)) {}
  std::shared_ptr<const Compiled> compiled_;
};

// The violations as one error. Errors: kInvalidArgument, "<what>: <message>; <message>" (the first eight).
[[nodiscard]] Result<void> check_schema(const JsonSchema& schema, const Json& value, std::string_view what);

// "unknown key" and the like want the nearest allowed word: empty when none is near. Also for kinds and
// ladders.
[[nodiscard]] std::string nearest_word(std::string_view word, const std::vector<std::string>& allowed);

}  // namespace spool
