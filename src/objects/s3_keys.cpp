#include "objects/s3_keys.h"

#include <spdlog/spdlog.h>

namespace spool {

S3Credentials S3Keys::now() const {
  const std::lock_guard lock(mutex_);
  return now_;
}

bool S3Keys::renew(const S3Credentials& refused) {
  const std::lock_guard lock(mutex_);
  if (now_ != refused) return true;  // another request has read them meanwhile
  if (!file_) return false;
  auto read = read_credentials(*file_);
  if (!read) {
    spdlog::warn("the keys for S3 are refused, and there are no new ones: {}", read.error().message);
    return false;
  }
  if (*read == now_) return false;
  now_ = *std::move(read);
  spdlog::info("the keys for S3 were refused and are read again from {}", file_->path);
  return true;
}

}  // namespace spool
