// The XML of the S3 interface, read and written. Keys are those in the bucket. Pure functions, thread-safe.
// Errors: kUnavailable when an answer is not the document that it should be.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "objects/object_store.h"

namespace spool {

// ListObjectsV2 with encoding-type=url.
struct S3Listing {
  std::vector<ObjectInfo> objects;
  std::string next;  // the continuation token; empty: that was all
};
[[nodiscard]] Result<S3Listing> read_listing(std::string_view xml);

// ListMultipartUploads with encoding-type=url.
struct S3Upload {
  std::string key, id;
  Time began;
};
struct S3Uploads {
  std::vector<S3Upload> uploads;
  std::string next_key, next_id;  // markers; empty: that was all
};
[[nodiscard]] Result<S3Uploads> read_uploads(std::string_view xml);

// CreateMultipartUpload: its id.
[[nodiscard]] Result<std::string> read_upload_id(std::string_view xml);
// UploadPartCopy: the part's ETag.
[[nodiscard]] Result<std::string> read_copied_etag(std::string_view xml);
// CompleteMultipartUpload, of the parts 1, 2, ...
[[nodiscard]] std::string complete_document(std::span<const std::string> etags);

// DeleteObjects, quietly.
[[nodiscard]] std::string delete_document(std::span<const ObjectInfo> objects);
// The first object that could not be removed, as an error.
[[nodiscard]] Result<void> read_deleted(std::string_view xml);

}  // namespace spool
