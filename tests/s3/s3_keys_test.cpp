// Temporary keys that expire beside a worker that runs: their file is read again.
#include "base/file.h"
#include "base/temporary_folder.h"
#include "s3/faulty_bucket.h"
#include "s3/plain_client.h"
#include "support/logged.h"

namespace spool {
namespace {

class S3KeysExpire : public test::FaultyBucket {
 protected:
  void SetUp() override {
    FaultyBucket::SetUp();
    good_ = config_.credentials;
    config_.credentials_file = S3CredentialsFile{(folder_.path() / "keys").string(), "fleet"};
    write({"OLD", "an0ther-secret", "token"});
    config_.credentials = read_credentials(*config_.credentials_file).value();
  }
  void write(const S3Credentials& keys) {
    const std::string text =
        fmt::format("[fleet]\naws_access_key_id = {}\naws_secret_access_key = {}\naws_session_token = {}\n",
                    keys.access_key, keys.secret_key, keys.session_token);
    ASSERT_TRUE(write_file_atomic(config_.credentials_file->path, test::bytes(text)));
  }
  // As if it had been made while the old keys were good.
  std::unique_ptr<S3ObjectStore> store() {
    rule({{"method", "GET"}, {"answer", 200}, {"body", "<ListBucketResult></ListBucketResult>"}});
    auto made = S3ObjectStore::at(config_).value();
    faults().ask({{"clear", true}});
    return made;
  }
  void refuse(const std::string& method, int times = 1) {
    rule({{"method", method}, {"answer", 400}, {"code", "ExpiredToken"}, {"times", times}});
  }

  TemporaryFolder folder_;
  S3Credentials good_;
};

TEST_F(S3KeysExpire, NewOnesAreReadAndTheRequestIsMadeAgain) {
  const auto store = this->store();
  write(good_);
  refuse("PUT");
  const auto put = store->put("k", test::bytes("v"));
  ASSERT_TRUE(put) << put.error().message;
  EXPECT_EQ(count("^PUT "), 2);
  EXPECT_EQ(store->get("k", 100), "v") << "with the new ones at once";
  const std::string url = store->presign(S3ObjectStore::Method::kGet, "k", std::chrono::seconds(60)).value();
  EXPECT_EQ(test::ask(url).body, "v");
}

TEST_F(S3KeysExpire, KeysThatWereReplacedAreReadAgainToo) {
  const auto store = this->store();
  write(good_);
  const auto listed = store->list("none");  // Swift does not know the old ones
  ASSERT_TRUE(listed) << listed.error().message;
  EXPECT_EQ(count("^GET "), 2);
}

TEST_F(S3KeysExpire, AHeadDoesNotSayWhyItIsRefused) {
  const auto store = this->store();
  write(good_);
  rule({{"method", "HEAD"}, {"answer", 400}});
  const auto found = store->stat("k");
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_FALSE(*found);
}

TEST_F(S3KeysExpire, WithoutNewOnesItIsSaidWhereTheyAreReadFrom) {
  const test::Logged logged;
  const auto store = this->store();
  refuse("PUT", -1);
  const auto said = [&] {
    const Error error = store->put("k", test::bytes("v")).error();
    EXPECT_EQ(error.code, Code::kPermissionDenied);
    EXPECT_EQ(error.message.find("an0ther-secret"), std::string::npos) << error.message;
    return error.message;
  };
  const std::string told = fmt::format("the keys have expired: new ones are read from [fleet] of {}",
                                       config_.credentials_file->path);
  EXPECT_NE(said().find(told), std::string::npos) << said();
  EXPECT_EQ(count("^PUT "), 1) << "nothing is made again";
  ASSERT_TRUE(std::filesystem::remove(config_.credentials_file->path));
  EXPECT_NE(said().find(told), std::string::npos);
  EXPECT_NE(logged.text().find("the file of the keys for S3 cannot be read"), std::string::npos);
  write(good_);
  EXPECT_NE(said().find(told), std::string::npos) << "the new ones are refused too";
  EXPECT_EQ(count("^PUT "), 4) << "it is made again once";
}

}  // namespace
}  // namespace spool
