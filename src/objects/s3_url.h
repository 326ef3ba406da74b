// Where an object of an S3 service is: its URL, and a URL that is signed beforehand for somebody without
// keys. Pure functions, thread-safe.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "objects/s3_config.h"

namespace spool {

// As AWS Signature Version 4 wants it: all but A-Z a-z 0-9 - . _ ~ becomes %XX, and '/' too unless it is
// kept.
[[nodiscard]] std::string percent_encode(std::string_view text, bool keep_slashes = false);
// '+' is a space; what is no %XX stays.
[[nodiscard]] std::string percent_decode(std::string_view text);

using S3Query = std::map<std::string, std::string>;  // signed in this order
// "a=b&c=": a name without a value has its '=' too, for the signature.
[[nodiscard]] std::string query_text(const S3Query& query);

struct S3Place {
  std::string origin;                           // "https://host:port"
  std::string path;                             // encoded, begins with '/'
  [[nodiscard]] std::string_view host() const;  // "host:port", as clients send it
  [[nodiscard]] std::string url(const S3Query& query = {}) const;
};
// Of an object, by its key in the bucket; of the bucket when it is empty.
[[nodiscard]] S3Place s3_place(const S3Config& config, std::string_view key_in_bucket);

}  // namespace spool
