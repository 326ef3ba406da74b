// Parameters of a kind, as written, turned into the plain values that its schema describes. See document.h
// for the formats.
#pragma once

#include <functional>
#include <string>

#include "base/json.h"
#include "pipeline/document.h"

namespace spool::pipeline {

// Told of everything that is wrong: the JSON pointer inside the parameters; whether the key is meant, or its
// value.
using Complain = std::function<void(const std::string& pointer, bool key, std::string message)>;

// Converts `value` in place (durations, sizes, ladders), then checks it against the schema of `kind`, one of
// the environment's. Unknown keys are removed from it after the complaint.
void read_parameters(const Kind& kind, Json& value, const Environment& environment, const Complain& complain);
// The same for what is no kind's, and names no ladders.
void read_parameters(const Json& schema, Json& value, const Complain& complain);

}  // namespace spool::pipeline
