#include "objects/s3_documents.h"

#include <fmt/format.h>

#include <cstdio>
#include <ctime>
#include <pugixml.hpp>
#include <sstream>

#include "objects/s3_url.h"

namespace spool {
namespace {

tl::unexpected<Error> no_such(std::string_view root) {
  return fail(Code::kUnavailable,
              fmt::format("the service's answer is no {} of the S3 interface; is the endpoint right?", root));
}

Result<pugi::xml_node> root_of(pugi::xml_document& document, std::string_view xml, const char* root) {
  if (!document.load_buffer(xml.data(), xml.size())) return no_such(root);
  const pugi::xml_node node = document.child(root);
  if (node.empty()) return no_such(root);
  return node;
}

// Keys come encoded where the service did as it was asked, and says so.
std::string key_of(const pugi::xml_node& root, const char* text) {
  const std::string_view encoding = root.child("EncodingType").text().get();
  return encoding == "url" ? percent_decode(text) : text;
}

// "2026-11-26T17:40:00.000Z"
Time time_of(const char* text) {
  std::tm parts{};
  if (strptime(text, "%Y-%m-%dT%H:%M:%S", &parts) == nullptr) return Time::max();
  return Time(std::chrono::seconds(timegm(&parts)));
}

std::string text_of(const pugi::xml_document& document) {
  std::ostringstream out;
  document.save(out, "", pugi::format_raw);
  return out.str();
}

Result<std::string> text_in(std::string_view xml, const char* root, const char* child) {
  pugi::xml_document document;
  SPOOL_ASSIGN(const pugi::xml_node node, root_of(document, xml, root));
  std::string text = node.child(child).text().get();
  if (text.empty()) return no_such(root);
  return text;
}

}  // namespace

Result<S3Listing> read_listing(std::string_view xml) {
  pugi::xml_document document;
  SPOOL_ASSIGN(const pugi::xml_node root, root_of(document, xml, "ListBucketResult"));
  S3Listing listing;
  for (const pugi::xml_node& object : root.children("Contents"))
    listing.objects.push_back(
        {key_of(root, object.child("Key").text().get()), object.child("Size").text().as_llong()});
  if (root.child("IsTruncated").text().as_bool()) {
    listing.next = root.child("NextContinuationToken").text().get();
    if (listing.next.empty()) return no_such("page of a ListBucketResult");
  }
  return listing;
}

Result<S3Uploads> read_uploads(std::string_view xml) {
  pugi::xml_document document;
  SPOOL_ASSIGN(const pugi::xml_node root, root_of(document, xml, "ListMultipartUploadsResult"));
  S3Uploads found;
  for (const pugi::xml_node& upload : root.children("Upload"))
    found.uploads.push_back({key_of(root, upload.child("Key").text().get()),
                             upload.child("UploadId").text().get(),
                             time_of(upload.child("Initiated").text().get())});
  if (root.child("IsTruncated").text().as_bool()) {
    found.next_key = key_of(root, root.child("NextKeyMarker").text().get());
    found.next_id = root.child("NextUploadIdMarker").text().get();
    if (found.next_key.empty()) return no_such("page of a ListMultipartUploadsResult");
  }
  return found;
}

Result<std::string> read_upload_id(std::string_view xml) {
  return text_in(xml, "InitiateMultipartUploadResult", "UploadId");
}

Result<std::string> read_copied_etag(std::string_view xml) {
  return text_in(xml, "CopyPartResult", "ETag");
}

std::string complete_document(std::span<const std::string> etags) {
  pugi::xml_document document;
  pugi::xml_node root = document.append_child("CompleteMultipartUpload");
  int number = 0;
  for (const std::string& etag : etags) {
    pugi::xml_node part = root.append_child("Part");
    part.append_child("PartNumber").text().set(++number);
    part.append_child("ETag").text().set(etag.c_str());
  }
  return text_of(document);
}

std::string delete_document(std::span<const ObjectInfo> objects) {
  pugi::xml_document document;
  pugi::xml_node root = document.append_child("Delete");
  root.append_child("Quiet").text().set("true");
  for (const ObjectInfo& object : objects)
    root.append_child("Object").append_child("Key").text().set(object.key.c_str());
  return text_of(document);
}

Result<void> read_deleted(std::string_view xml) {
  pugi::xml_document document;
  SPOOL_ASSIGN(const pugi::xml_node root, root_of(document, xml, "DeleteResult"));
  for (const pugi::xml_node& error : root.children("Error")) {
    const std::string_view code = error.child("Code").text().get();
    if (code == "NoSuchKey") continue;
    return fail(code == "AccessDenied" ? Code::kPermissionDenied : Code::kUnavailable,
                fmt::format("object {} cannot be removed: {}, {}", error.child("Key").text().get(), code,
                            error.child("Message").text().get()));
  }
  return {};
}

}  // namespace spool
