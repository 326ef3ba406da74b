// Digests: SHA-256 where a hostile author must not choose a collision, XXH3-128 where only speed counts.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "base/error.h"

namespace spool {

using Sha256 = std::array<std::uint8_t, 32>;

[[nodiscard]] Sha256 sha256(std::span<const std::byte> bytes);
[[nodiscard]] std::string sha256_hex(std::span<const std::byte> bytes);

// XXH3-128 over a whole open file, as 32 hex digits; reads with pread, leaves the offset alone. `stop` is
// asked after each megabyte. Errors: kCancelled when it says so.
[[nodiscard]] Result<std::string> fast_file_digest(int fd, const std::function<bool()>& stop = {});

}  // namespace spool
