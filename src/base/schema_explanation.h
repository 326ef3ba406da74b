// Why a value does not fit a JSON Schema, in words. Pure; used by JsonSchema, whose verdict does not depend
// on it.
#pragma once

#include <vector>

#include "base/json_schema.h"

namespace spool {

// Longer strings are not given to a regular expression (std::regex recurses once a character).
inline constexpr std::size_t kMostPatternBytes = 4096;

// Every violation of the keywords that this knows: type, enum, const, properties, required,
// additionalProperties, patternProperties, items, sizes, ranges, pattern, allOf, anyOf, oneOf, $ref. `root`
// is the whole schema.
[[nodiscard]] std::vector<SchemaViolation> explain_violations(const Json& root, const Json& value);

}  // namespace spool
