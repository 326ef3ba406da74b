// What an S3 service refused, in words: whose fault it is, whether to try again, and what to do. Thread-safe.
#pragma once

#include <string_view>

#include "objects/s3_client.h"

namespace spool {

// An <Error> document, which a service may send behind a status of 200.
[[nodiscard]] bool is_s3_error(std::string_view body);

// Of an answer that is no success.
[[nodiscard]] S3Failure s3_failure(const S3Response& response, const S3Request& request,
                                   const S3Config& config);

}  // namespace spool
