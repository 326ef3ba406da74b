// Claim, Ending, Error and Usage as JSON. Reading is strict: see fields.h. Pure; thread-safe.
#pragma once

#include "base/json.h"
#include "queue/job.h"

namespace spool::process {

[[nodiscard]] Json to_json(const Error& error);
[[nodiscard]] Json to_json(const Usage& usage);
[[nodiscard]] Json to_json(const Ending& ending);
[[nodiscard]] Json to_json(const Claim& claim);

[[nodiscard]] Result<Error> error_from_json(const Json& value);
[[nodiscard]] Result<Usage> usage_from_json(const Json& value);
[[nodiscard]] Result<Ending> ending_from_json(const Json& value);
// From the manager, which is trusted: types are checked, sizes are not.
[[nodiscard]] Result<Claim> claim_from_json(const Json& value);

}  // namespace spool::process
