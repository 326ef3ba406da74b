// What an attempt may read: only what stands, as a whole string, somewhere in its job's args; or what is in a
// folder of the object store that stands there as "object:FOLDER/". A child that was taken over can ask for
// nothing else. Pure.
#pragma once

#include <string_view>

#include "base/json.h"

namespace spool {

// The schema of an argument that names an input: object:KEY, file:/PATH, source:N, or $... in a pipeline.
[[nodiscard]] Json input_schema();

[[nodiscard]] bool names_input(const Json& args, std::string_view reference);

}  // namespace spool
