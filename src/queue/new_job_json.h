// A NewJob as JSON, for a store that keeps it as a text: what a schedule inserts. Durations are microseconds.
// Without id, parent and needs. Pure functions.
#pragma once

#include "queue/job.h"

namespace spool {

[[nodiscard]] Json to_json(const NewJob& job);
// What is missing has its default. Errors: kInvalidArgument (no object, or a value of another type).
[[nodiscard]] Result<NewJob> new_job_from_json(const Json& json);

}  // namespace spool
