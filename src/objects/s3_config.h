// S3Config: which bucket of which service, with whose keys, and how long it may take.
//
// Written as "s3://BUCKET[/PREFIX][?endpoint=URL&region=NAME&style=path|virtual]"; what the URL does not say
// comes from the environment as every S3 client reads it (docs/decisions/s3_settings.md). A plain value.
// Secrets are in `credentials` alone, and never in a message.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"

namespace spool {

struct S3Credentials {
  std::string access_key, secret_key;
  std::string session_token;  // empty: the keys are no temporary ones

  bool operator==(const S3Credentials&) const = default;
};

// A section of an INI file with keys.
struct S3CredentialsFile {
  std::string path, profile;
};

// Tests shorten these.
struct S3Patience {
  int tries = 8;  // of a request that the service could not take, or whose answer broke off
  std::chrono::milliseconds first_wait{100}, longest_wait{5'000};
  std::chrono::milliseconds connect{10'000};
  std::chrono::seconds silence{30};   // without a byte in either direction
  std::chrono::seconds request{600};  // the whole of it, and a second more for each 100 kB of an upload
};

struct S3Config {
  std::string bucket;
  std::string prefix;    // of all keys, without a '/' at its end; empty: none
  std::string endpoint;  // "https://host[:port][/path]", without a '/' at its end
  std::string region = "us-east-1";
  bool virtual_hosted = false;  // https://BUCKET.host/KEY instead of https://host/BUCKET/KEY
  std::string ca_bundle;        // file of the authorities to trust; empty: those of the system
  S3Credentials credentials;
  std::optional<S3CredentialsFile> credentials_file;  // which held them; none: the environment did
  S3Patience patience;
  // This machine's clock; tests have others.
  std::function<Time()> clock = [] {
    return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
  };
  std::uint64_t part_bytes = 16u << 20;        // larger files go up in parts of this size, 5 MiB at least
  std::uint64_t copy_part_bytes = 1ull << 30;  // of copies that the service does not make in one piece
};

// Errors: kInvalidArgument that says what to write.
[[nodiscard]] Result<S3Credentials> read_credentials(const S3CredentialsFile& file);

// A variable of the environment; nullopt when it is not set or empty.
using S3Environment = std::function<std::optional<std::string>(const std::string& name)>;

// Reads AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, AWS_REGION, AWS_DEFAULT_REGION, AWS_CA_BUNDLE,
// AWS_ACCESS_KEY_ID with AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or else section AWS_PROFILE ("default")
// of the file AWS_SHARED_CREDENTIALS_FILE (~/.aws/credentials). Errors: kInvalidArgument that says what to
// write.
[[nodiscard]] Result<S3Config> s3_config(std::string_view url, const S3Environment& environment);

}  // namespace spool
