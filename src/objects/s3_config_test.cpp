#include "objects/s3_config.h"

#include <gtest/gtest.h>

#include <map>

#include "base/file.h"
#include "base/temporary_folder.h"

namespace spool {
namespace {

using Variables = std::map<std::string, std::string>;

const Variables kKeys = {{"AWS_ACCESS_KEY_ID", "AKIA"}, {"AWS_SECRET_ACCESS_KEY", "hush"}};

Result<S3Config> read(std::string_view url, Variables variables = kKeys) {
  return s3_config(url, [&](const std::string& name) -> std::optional<std::string> {
    const auto it = variables.find(name);
    if (it == variables.end()) return std::nullopt;
    return it->second;
  });
}

Variables with_keys(Variables more) {
  more.insert(kKeys.begin(), kKeys.end());
  return more;
}

TEST(S3Config, ABucketAloneIsOneOfAws) {
  const S3Config config = read("s3://films").value();
  EXPECT_EQ(config.bucket, "films");
  EXPECT_EQ(config.prefix, "");
  EXPECT_EQ(config.endpoint, "https://s3.us-east-1.amazonaws.com");
  EXPECT_TRUE(config.virtual_hosted);
  EXPECT_EQ(config.credentials.access_key, "AKIA");
  EXPECT_EQ(config.credentials.secret_key, "hush");
  EXPECT_FALSE(read("s3://fil.ms").value().virtual_hosted) << "no certificate has two labels more";
}

TEST(S3Config, TheUrlSaysTheRest) {
  const S3Config config =
      read("s3://films/a/b/?endpoint=http%3A%2F%2F127.0.0.1:8080/&region=eu-west-1&style=virtual").value();
  EXPECT_EQ(config.bucket, "films");
  EXPECT_EQ(config.prefix, "a/b");
  EXPECT_EQ(config.endpoint, "http://127.0.0.1:8080");
  EXPECT_EQ(config.region, "eu-west-1");
  EXPECT_TRUE(config.virtual_hosted);
  EXPECT_FALSE(read("s3://films?endpoint=https://s3.example.org").value().virtual_hosted);
  EXPECT_EQ(read("s3://films?endpoint=https://s3.example.org:443").value().endpoint,
            "https://s3.example.org");
}

TEST(S3Config, WhatTheUrlDoesNotSayComesFromTheEnvironment) {
  const Variables variables =
      with_keys({{"AWS_ENDPOINT_URL", "http://any:1"}, {"AWS_DEFAULT_REGION", "eu-north-1"}});
  EXPECT_EQ(read("s3://films", variables).value().endpoint, "http://any:1");
  EXPECT_EQ(read("s3://films", variables).value().region, "eu-north-1");
  Variables nearer = variables;
  nearer["AWS_ENDPOINT_URL_S3"] = "http://s3:1";
  nearer["AWS_REGION"] = "eu-west-3";
  nearer["AWS_CA_BUNDLE"] = "/ca.pem";
  nearer["AWS_SESSION_TOKEN"] = "token";
  const S3Config config = read("s3://films", nearer).value();
  EXPECT_EQ(config.endpoint, "http://s3:1");
  EXPECT_EQ(config.region, "eu-west-3");
  EXPECT_EQ(config.ca_bundle, "/ca.pem");
  EXPECT_EQ(config.credentials.session_token, "token");
  EXPECT_EQ(read("s3://films?endpoint=http://url:1&region=r", nearer).value().endpoint, "http://url:1");
}

TEST(S3Config, KeysMayStandInAFile) {
  const TemporaryFolder folder;
  const std::string text =
      "# mine\n[other]\naws_access_key_id = OTHER\naws_secret_access_key = other\n\n"
      "[default]\r\naws_access_key_id=FILE\r\naws_secret_access_key =  from file  \naws_session_token = t\n";
  ASSERT_TRUE(write_file_atomic(folder.path() / "keys", std::as_bytes(std::span(text))));
  const std::string path = (folder.path() / "keys").string();
  const S3Config config = read("s3://films", {{"AWS_SHARED_CREDENTIALS_FILE", path}}).value();
  EXPECT_EQ(config.credentials.access_key, "FILE");
  EXPECT_EQ(config.credentials.secret_key, "from file");
  EXPECT_EQ(config.credentials.session_token, "t");
  EXPECT_EQ(config.credentials_file.value().path, path);
  EXPECT_EQ(config.credentials_file.value().profile, "default");
  const Variables other = {{"AWS_SHARED_CREDENTIALS_FILE", path}, {"AWS_PROFILE", "other"}};
  EXPECT_EQ(read("s3://films", other).value().credentials.access_key, "OTHER");
  const Variables both = with_keys({{"AWS_SHARED_CREDENTIALS_FILE", path}});
  EXPECT_EQ(read("s3://films", both).value().credentials.access_key, "AKIA") << "the environment is nearer";
  EXPECT_FALSE(read("s3://films", both).value().credentials_file);
}

TEST(S3Config, MissingKeysAreAskedFor) {
  const TemporaryFolder folder;
  const std::string home = folder.path().string();
  const auto said = [](const Variables& variables) { return read("s3://films", variables).error().message; };
  EXPECT_EQ(said({{"HOME", home}}),
            "there are no keys for S3: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or write them into " +
                home + "/.aws/credentials");
  EXPECT_NE(said({{"AWS_SHARED_CREDENTIALS_FILE", home + "/none"}}).find(home + "/none"), std::string::npos);
  EXPECT_NE(said({{"AWS_SECRET_ACCESS_KEY", "hush"}}).find("set both"), std::string::npos);
  ASSERT_TRUE(write_file_atomic(folder.path() / "empty", {}));
  EXPECT_NE(said({{"AWS_SHARED_CREDENTIALS_FILE", home + "/empty"}}).find("below [default]"),
            std::string::npos);
}

TEST(S3Config, AWrongUrlSaysWhatIsWrongWithIt) {
  const std::pair<const char*, const char*> cases[] = {
      {"s3://", "is no name of a bucket"},
      {"s3:///k", "is no name of a bucket"},
      {"s3://a b", "is no name of a bucket"},
      {"s3://AKIA:hush@films", "keys do not belong into the S3 URL"},
      {"s3://AKIA:hush/x@films", "keys do not belong into the S3 URL"},
      {"s3://AKIA:hush?x@films", "keys do not belong into the S3 URL"},
      {"s3://films?endpoint=http://AKIA:hush@host", "keys do not belong into the endpoint"},
      {"s3://films/../k", "the prefix '../k'"},
      {"s3://films//k", "the prefix '/k'"},
      {"s3://films?regoin=x", "'regoin' is no option"},
      {"s3://films?region", "has no value"},
      {"s3://films?region=", "has no value"},
      {"s3://films?style=both", "path or virtual, not 'both'"},
      {"s3://films?endpoint=127.0.0.1:8080", "must be like https://"},
      {"s3://films?endpoint=http://", "must be like https://"},
      {"s3://films?endpoint=ftp://host", "must be like https://"},
      {"s3://films?endpoint=http://host/%3Fx", "must be like https://"},
      {"film", "must be a folder or s3://BUCKET"},
  };
  for (const auto& [url, words] : cases) {
    const auto config = read(url);
    ASSERT_FALSE(config) << url;
    EXPECT_EQ(config.error().code, Code::kInvalidArgument) << url;
    EXPECT_NE(config.error().message.find(words), std::string::npos) << url << ": " << config.error().message;
    EXPECT_EQ(config.error().message.find("hush"), std::string::npos) << config.error().message;
  }
}

}  // namespace
}  // namespace spool
