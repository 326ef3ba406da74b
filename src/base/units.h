// Quantities with units, as people write them in documents. Pure functions, thread-safe.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/error.h"

namespace spool {

// "10s", "250ms", "1m30s", "1.5h", "2d": seconds. Units from large to small, each once, no spaces, not
// negative, less than ten years. Errors: kInvalidArgument that says what a duration looks like; a bare number
// is one of them.
[[nodiscard]] Result<double> parse_duration(std::string_view text);

// "500B", "16KiB", "1.5GB": bytes. Ki, Mi, Gi, Ti are powers of 1024, k (K), M, G, T of 1000. Errors
// likewise.
[[nodiscard]] Result<std::int64_t> parse_size(std::string_view text);

}  // namespace spool
