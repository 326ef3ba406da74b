#include "objects/s3_store.h"

#include "contract/object_store_contract.h"
#include "s3/bucket.h"
#include "s3/plain_client.h"

namespace spool {
namespace {

using test::ask, test::bucket_config, test::bucket_store, test::film, test::file_of, test::is_ceph,
    test::kPart, test::read_range, test::service;
using namespace std::chrono_literals;

std::unique_ptr<ObjectStore> in_the_path() {
  return bucket_store();
}
std::unique_ptr<ObjectStore> in_the_host() {
  return S3ObjectStore::at(bucket_config(service()["virtual_endpoint"], "virtual")).value();
}
INSTANTIATE_TEST_SUITE_P(S3, ObjectStoreContract,
                         testing::Values(ObjectStoreMaker{"in_the_path", &in_the_path, !is_ceph()},
                                         ObjectStoreMaker{"in_the_host", &in_the_host, !is_ceph()}),
                         [](const auto& maker) { return maker.param.name; });

TEST(S3Store, PrefixesKeepStoresApart) {
  S3Config config = bucket_config();
  const auto one = S3ObjectStore::at(config).value();
  config.prefix += "-and-more";
  const auto other = S3ObjectStore::at(config).value();
  ASSERT_TRUE(one->put("k", test::bytes("one")));
  EXPECT_TRUE(other->list("").value().empty());
  ASSERT_TRUE(other->put("k", test::bytes("other")));
  EXPECT_EQ(one->get("k", 100), "one");
  EXPECT_EQ(one->list("").value().size(), 1u);
}

TEST(S3Store, AListAndARemovalGoOverManyPages) {
  const auto store = bucket_store();
  for (int i = 0; i < 25; ++i) ASSERT_TRUE(store->put(fmt::format("many/{:02}", i), test::bytes("v")));
  const auto found = store->list("many").value();
  ASSERT_EQ(found.size(), 25u);
  for (int i = 0; i < 25; ++i) EXPECT_EQ(found[i].key, fmt::format("many/{:02}", i));
  ASSERT_TRUE(store->remove_all("many"));
  EXPECT_TRUE(store->list("").value().empty());
}

TEST(S3Store, ALargeFileGoesUpInParts) {
  const auto store = bucket_store();
  const std::string made = film(2 * kPart + 12'345);
  const UniqueFd fd = file_of(made);
  ASSERT_TRUE(store->put_file("film", fd.get()));
  EXPECT_EQ(store->stat("film").value()->bytes, std::ssize(made));
  EXPECT_EQ(store->get("film", made.size()).value() == made, true);
  const ByteSource source = store->open("film").value();
  EXPECT_EQ(read_range(source, kPart - 10, 20), made.substr(kPart - 10, 20))
      << "over the border of two parts";
  EXPECT_EQ(read_range(source, made.size() - 5, 20), made.substr(made.size() - 5));
  EXPECT_EQ(store->sweep_uploads(0s).value(), 0);
}

TEST(S3Store, OfARemovedFileNoPartIsLeft) {
  if (is_ceph()) GTEST_SKIP() << "only Swift tells of parts";
  const S3Config config = bucket_config();
  const auto store = S3ObjectStore::at(config).value();
  ASSERT_TRUE(store->put_file("a/film", file_of(film(kPart + 1)).get()));
  ASSERT_TRUE(store->put_file("other", file_of(film(kPart + 1)).get()));
  EXPECT_NE(test::parts_kept(config.prefix), "");
  ASSERT_TRUE(store->remove_all("a"));
  ASSERT_TRUE(store->remove("other"));
  EXPECT_EQ(test::parts_kept(config.prefix), "");
}

TEST(S3Store, WhatIsTooLargeForOneCopyIsCopiedInParts) {
  const auto store = bucket_store();
  const std::string made = film(2 * kPart + 12'345);
  ASSERT_TRUE(store->put_file("film", file_of(made).get()));
  const auto copied = store->copy("film", "copy");
  ASSERT_TRUE(copied) << copied.error().message;
  EXPECT_EQ(store->get("copy", made.size()).value() == made, true);
  EXPECT_EQ(store->sweep_uploads(0s).value(), 0);
}

TEST(S3Store, APresignedUrlGivesAndTakesOneObject) {
  const auto store = bucket_store();
  const std::string key = "a film/d\u00fc+50%.mp4";
  const std::string put = store->presign(S3ObjectStore::Method::kPut, key, 60s).value();
  EXPECT_EQ(ask(put, {}, "presigned").status, 200);
  EXPECT_EQ(store->get(key, 100), "presigned");
  const std::string get = store->presign(S3ObjectStore::Method::kGet, key, 60s).value();
  EXPECT_EQ(ask(get).status, 200);
  EXPECT_EQ(ask(get).body, "presigned");
  EXPECT_EQ(ask(get, {}, "by the wrong method").status, 403);
  std::string other = get;
  other.replace(other.find(".mp4"), 4, ".mp5");
  EXPECT_EQ(ask(other).status, 403) << "another object";
}

TEST(S3Store, APresignedUrlIsGoodForAWeekAtMost) {
  const auto store = bucket_store();
  EXPECT_TRUE(store->presign(S3ObjectStore::Method::kGet, "k", std::chrono::days(7)));
  for (const std::chrono::seconds validity : {0s, -1s, std::chrono::seconds(std::chrono::days(7)) + 1s})
    EXPECT_EQ(store->presign(S3ObjectStore::Method::kGet, "k", validity).error().code,
              Code::kInvalidArgument);
  EXPECT_EQ(store->presign(S3ObjectStore::Method::kGet, "../k", 60s).error().code, Code::kInvalidArgument);
}

TEST(S3Store, OfManyWhoPutIfAbsentOneWins) {
  if (!is_ceph()) GTEST_SKIP() << "Swift has no conditional writes; SPOOL_TEST_CEPH=1";
  const auto store = bucket_store();
  std::atomic<int> won = 0, lost = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i)
    threads.emplace_back([&] {
      const auto put = store->put_if_absent("k", test::bytes("v"));
      if (put) ++won;
      if (!put && put.error().code == Code::kConflict) ++lost;
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(won, 1);
  EXPECT_EQ(lost, 7);
}

TEST(S3Store, ASourceOutlivesItsStore) {
  auto store = bucket_store();
  ASSERT_TRUE(store->put("k", test::bytes("0123456789")));
  const ByteSource source = store->open("k").value();
  store.reset();
  EXPECT_EQ(read_range(source, 2, 3), "234");
}

TEST(S3Store, AReaderOfWhatWasReplacedOrRemovedIsToldSo) {
  const auto store = bucket_store();
  ASSERT_TRUE(store->put("k", test::bytes("one")));
  const ByteSource source = store->open("k").value();
  char buffer[3];
  const auto read = [&] { return source.read_at(0, std::as_writable_bytes(std::span(buffer))); };
  ASSERT_TRUE(store->put("k", test::bytes("two")));
  EXPECT_EQ(read().error().code, Code::kConflict);
  ASSERT_TRUE(store->remove("k"));
  EXPECT_EQ(read().error().code, Code::kConflict);
  EXPECT_NE(read().error().message.find("replaced or removed"), std::string::npos);
}

}  // namespace
}  // namespace spool
