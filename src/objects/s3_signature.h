// AWS Signature Version 4, where libcurl's own does not serve (docs/decisions/s3_signatures.md).
// Pure functions, thread-safe. `now` goes into a signature: services refuse what is more than 15 minutes off.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "objects/s3_url.h"

namespace spool {

// A URL that lets anybody GET or PUT that object until it expires, 7 days at most.
// docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
[[nodiscard]] std::string presigned_url(const S3Config& config, std::string_view method,
                                        std::string_view key_in_bucket, Time now,
                                        std::chrono::seconds validity);

// The headers that sign a request with those headers ("Name: value"; x-amz-content-sha256 is one of them).
// docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
[[nodiscard]] std::vector<std::string> signed_headers(const S3Config& config, std::string_view method,
                                                      std::string_view key_in_bucket, const S3Query& query,
                                                      const std::vector<std::string>& headers, Time now);

}  // namespace spool
