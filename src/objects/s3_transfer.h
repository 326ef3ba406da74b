// Bodies of objects over S3, checked: what goes up by MD5, what comes down by its length and, where it is
// whole, by MD5. Keys are those in the bucket. Thread-safe; a body is read by one thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "objects/s3_client.h"

namespace spool {

// Of a text that must live as long; of a piece of a source that must.
[[nodiscard]] ByteSource bytes_source(std::span<const std::byte> bytes, std::string name);
[[nodiscard]] ByteSource slice(const ByteSource& source, std::uint64_t offset, std::uint64_t size);

// Sends a request with its body and Content-MD5. Returns the answer, whose ETag was compared where it is an
// MD5.
[[nodiscard]] S3Result send_body(S3Client& client, S3Request request);

// The whole object, of one version. Errors: kNotFound; kLimitExceeded beyond `most` bytes.
[[nodiscard]] Result<std::string> download(S3Client& client, std::string_view key, std::size_t most);

// Fills `into` from the version of the object that `etag` names, going on where a broken answer stopped.
// Errors: kConflict when the object is another one by now, or gone.
[[nodiscard]] Result<void> download_range(S3Client& client, std::string_view key, const std::string& etag,
                                          std::uint64_t offset, std::span<std::byte> into);

}  // namespace spool
