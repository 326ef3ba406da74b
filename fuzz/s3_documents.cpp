// What a service answers that calls itself S3.
#include "objects/s3_documents.h"

#include <cstdint>
#include <cstdlib>

#include "objects/s3_failure.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace spool;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto check = [](bool good) {
    if (!good) std::abort();
  };
  // A page that is not the last names the next.
  if (const auto listing = read_listing(text); !listing) check(!listing.error().message.empty());
  if (const auto found = read_uploads(text)) check(found->next_id.empty() || !found->next_key.empty());
  if (const auto id = read_upload_id(text)) check(!id->empty());
  if (const auto etag = read_copied_etag(text)) check(!etag->empty());
  if (const auto deleted = read_deleted(text); !deleted) check(!deleted.error().message.empty());
  // What is refused is said in a line.
  for (const int status : {200, 400, 403, 404, 503}) {
    const S3Failure failure = s3_failure({status, {}, std::string(text)}, {}, {});
    check(failure.error.message.find('\n') == std::string::npos);
  }
  // What is written of any keys can be read as XML again.
  const ObjectInfo objects[] = {{std::string(text), 0}};
  check(read_deleted(delete_document(objects)).error().message.find("DeleteResult") != std::string::npos);
  return 0;
}
