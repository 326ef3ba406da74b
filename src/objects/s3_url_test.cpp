#include "objects/s3_url.h"

#include <gtest/gtest.h>

namespace spool {
namespace {

TEST(S3Url, AllThatIsNotPlainIsPercentEncoded) {
  EXPECT_EQ(percent_encode("aZ09-._~"), "aZ09-._~");
  EXPECT_EQ(percent_encode("a b+c/d\u00fc%"), "a%20b%2Bc%2Fd%C3%BC%25");
  EXPECT_EQ(percent_encode("a b/c", true), "a%20b/c");
}

TEST(S3Url, WhatIsNoPercentEncodingStays) {
  EXPECT_EQ(percent_decode("a%20b+c%2bd%C3%BC"), "a b c+d\u00fc");
  EXPECT_EQ(percent_decode("100%"), "100%");
  EXPECT_EQ(percent_decode("%4"), "%4");
  EXPECT_EQ(percent_decode("%zz%4z"), "%zz%4z");
}

TEST(S3Url, AQueryIsInOrderAndHasItsEqualsSigns) {
  EXPECT_EQ(query_text({{"uploads", ""}, {"prefix", "a/b c"}}), "prefix=a%2Fb%20c&uploads=");
}

TEST(S3Url, ABucketStandsInThePathOrInTheHost) {
  S3Config config;
  config.bucket = "films";
  config.endpoint = "http://127.0.0.1:8080";
  EXPECT_EQ(s3_place(config, "a b/c").url(), "http://127.0.0.1:8080/films/a%20b/c");
  EXPECT_EQ(s3_place(config, "").url({{"delete", ""}}), "http://127.0.0.1:8080/films?delete=");
  config.virtual_hosted = true;
  EXPECT_EQ(s3_place(config, "a b/c").url(), "http://films.127.0.0.1:8080/a%20b/c");
  EXPECT_EQ(s3_place(config, "").url(), "http://films.127.0.0.1:8080/");
  config.virtual_hosted = false;
  config.endpoint = "https://example.org/storage/s3";
  EXPECT_EQ(s3_place(config, "k").url(), "https://example.org/storage/s3/films/k");
}

}  // namespace
}  // namespace spool
