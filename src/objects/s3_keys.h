// S3Keys: what requests are signed with. The keys of the configuration, until a service says that they are
// not good any more; then those that their file holds by now (docs/decisions/s3_settings.md). Thread-safe.
#pragma once

#include <mutex>
#include <optional>

#include "objects/s3_config.h"

namespace spool {

class S3Keys {
 public:
  explicit S3Keys(const S3Config& config) : file_(config.credentials_file), now_(config.credentials) {}

  [[nodiscard]] S3Credentials now() const;
  // Reads the file again. Whether there are others than those that were refused.
  [[nodiscard]] bool renew(const S3Credentials& refused);

 private:
  const std::optional<S3CredentialsFile> file_;
  mutable std::mutex mutex_;
  S3Credentials now_;
};

}  // namespace spool
