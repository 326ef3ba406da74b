#include "objects/s3_documents.h"

#include <gtest/gtest.h>

namespace spool {
namespace {

TEST(S3Documents, AListingIsReadWithItsEncodedKeys) {
  const S3Listing listing = read_listing(R"(<?xml version="1.0" encoding="UTF-8"?>
    <ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
      <EncodingType>url</EncodingType><IsTruncated>true</IsTruncated><NextContinuationToken>to==</NextContinuationToken>
      <Contents><Key>a+b/%C3%BC%2B</Key><Size>5000000000</Size></Contents>
      <Contents><Key>c&amp;d</Key><Size>0</Size></Contents>
    </ListBucketResult>)")
                                .value();
  ASSERT_EQ(listing.objects.size(), 2u);
  EXPECT_EQ(listing.objects[0].key, "a b/\u00fc+");
  EXPECT_EQ(listing.objects[0].bytes, 5'000'000'000);
  EXPECT_EQ(listing.objects[1].key, "c&d");
  EXPECT_EQ(listing.next, "to==");
}

TEST(S3Documents, AServiceThatDoesNotEncodeIsTakenAtItsWord) {
  const auto listing =
      read_listing("<ListBucketResult><Contents><Key>a+b%20</Key></Contents></ListBucketResult>");
  EXPECT_EQ(listing.value().objects.at(0).key, "a+b%20");
  EXPECT_EQ(listing.value().next, "");
}

TEST(S3Documents, WhatIsNoAnswerIsRefused) {
  for (const char* text : {"", "not <xml", "<html><body>It works</body></html>",
                           "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>"})
    EXPECT_EQ(read_listing(text).error().code, Code::kUnavailable) << text;
  EXPECT_FALSE(read_uploads(
      "<ListMultipartUploadsResult><IsTruncated>true</IsTruncated></ListMultipartUploadsResult>"));
  EXPECT_FALSE(read_upload_id("<InitiateMultipartUploadResult/>"));
  EXPECT_FALSE(read_copied_etag("<Error/>"));
  EXPECT_FALSE(read_deleted("<Error/>"));
}

TEST(S3Documents, UploadsHaveTheirBeginning) {
  const S3Uploads found = read_uploads(R"(<ListMultipartUploadsResult><EncodingType>url</EncodingType>
      <IsTruncated>true</IsTruncated><NextKeyMarker>a%20b</NextKeyMarker><NextUploadIdMarker>i2</NextUploadIdMarker>
      <Upload><Key>a%20b</Key><UploadId>i1</UploadId><Initiated>1970-01-02T00:00:01.500Z</Initiated></Upload>
      <Upload><Key>b</Key><UploadId>i2</UploadId><Initiated>yesterday</Initiated></Upload>
    </ListMultipartUploadsResult>)")
                              .value();
  ASSERT_EQ(found.uploads.size(), 2u);
  EXPECT_EQ(found.uploads[0].key, "a b");
  EXPECT_EQ(found.uploads[0].id, "i1");
  EXPECT_EQ(found.uploads[0].began, Time(std::chrono::seconds(86401)));
  EXPECT_EQ(found.uploads[1].began, Time::max()) << "it is never old";
  EXPECT_EQ(found.next_key, "a b");
  EXPECT_EQ(found.next_id, "i2");
}

TEST(S3Documents, WhatIsWrittenIsEscaped) {
  const ObjectInfo objects[] = {{"a&b<c>", 0}, {"d", 0}};
  EXPECT_EQ(delete_document(objects),
            "<?xml version=\"1.0\"?><Delete><Quiet>true</Quiet><Object><Key>a&amp;b&lt;c&gt;</Key></Object>"
            "<Object><Key>d</Key></Object></Delete>");
  const std::string etags[] = {"\"e1\"", "\"e2\""};
  EXPECT_EQ(
      complete_document(etags),
      "<?xml "
      "version=\"1.0\"?><CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>\"e1\"</ETag></Part>"
      "<Part><PartNumber>2</PartNumber><ETag>\"e2\"</ETag></Part></CompleteMultipartUpload>");
}

TEST(S3Documents, TheFirstObjectThatStayedIsTold) {
  const auto deleted = read_deleted(R"(<DeleteResult><Error><Key>gone</Key><Code>NoSuchKey</Code></Error>
      <Error><Key>a</Key><Code>AccessDenied</Code><Message>no</Message></Error></DeleteResult>)");
  EXPECT_EQ(deleted.error().code, Code::kPermissionDenied);
  EXPECT_EQ(deleted.error().message, "object a cannot be removed: AccessDenied, no");
  EXPECT_TRUE(read_deleted("<DeleteResult/>"));
}

}  // namespace
}  // namespace spool
