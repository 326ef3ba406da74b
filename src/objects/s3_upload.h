// Objects that are too large for one request: put part by part, whole or not at all (S3's multipart uploads).
//
// A failed upload is aborted at once; what a crash leaves, or a lost answer to its beginning, is found by
// sweep(). Keys are those in the bucket. Thread-safe.
#pragma once

#include <string_view>

#include "base/clock.h"
#include "objects/s3_client.h"

namespace spool {

// Parts of config().part_bytes, each tried again alone.
[[nodiscard]] Result<void> upload_in_parts(S3Client& client, std::string_view key, const ByteSource& file);

// Server-side, in parts of config().copy_part_bytes. Errors: kNotFound; kConflict when `from` is
// replaced meanwhile.
[[nodiscard]] Result<void> copy_in_parts(S3Client& client, std::string_view from, std::string_view to);

// The header that names what is copied.
[[nodiscard]] std::string copy_source(const S3Config& config, std::string_view key);

// Aborts the uploads of keys with that prefix that began longer ago, by the service's clock. Returns how
// many.
[[nodiscard]] Result<int> sweep(S3Client& client, std::string_view prefix, Duration older_than);

// An object that is put with such a header can be recognised when the answer to the put was lost.
[[nodiscard]] std::string mark_header(std::string_view mark);
[[nodiscard]] bool bears_mark(S3Client& client, std::string_view key, std::string_view mark);

}  // namespace spool
