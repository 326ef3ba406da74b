#include "objects/s3_signature.h"

#include <gtest/gtest.h>

namespace spool {
namespace {

using namespace std::chrono_literals;

// The bucket and keys of AWS's documentation.
const Time kMay24In2013 = std::chrono::sys_days(std::chrono::year(2013) / 5 / 24);
S3Config published_example() {
  S3Config config;
  config.bucket = "examplebucket";
  config.endpoint = "https://s3.amazonaws.com";
  config.virtual_hosted = true;
  config.credentials = {"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", ""};
  return config;
}

// docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html, "Example"
TEST(S3Signature, APresignedUrlIsThatOfThePublishedExample) {
  EXPECT_EQ(presigned_url(published_example(), "GET", "test.txt", kMay24In2013, 86400s),
            "https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256"
            "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
            "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
            "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404");
}

TEST(S3Signature, TemporaryKeysBringTheirTokenIntoAPresignedUrl) {
  S3Config config;
  config.bucket = "films";
  config.endpoint = "https://s3.example.org";
  config.credentials = {"AKIA", "hush", "to/ken"};
  const std::string url = presigned_url(config, "PUT", "k", Time(1s), 60s);
  EXPECT_NE(url.find("&X-Amz-Security-Token=to%2Fken&X-Amz-SignedHeaders=host&"), std::string::npos) << url;
  EXPECT_EQ(url.find("hush"), std::string::npos);
}

// docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html, "Example: GET Object"
TEST(S3Signature, SignedHeadersAreThoseOfThePublishedExample) {
  const std::string sum_of_nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
  const auto headers =
      signed_headers(published_example(), "GET", "test.txt", {},
                     {"Range: bytes=0-9", "x-amz-content-sha256: " + sum_of_nothing}, kMay24In2013);
  EXPECT_EQ(headers, (std::vector<std::string>{
                         "x-amz-date: 20130524T000000Z",
                         "Authorization: AWS4-HMAC-SHA256 "
                         "Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
                         "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,"
                         "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"}));
}

}  // namespace
}  // namespace spool
