// What every ObjectStore promises. A backend runs all of it with one line:
//   INSTANTIATE_TEST_SUITE_P(Folder, ObjectStoreContract, testing::Values(ObjectStoreMaker{...}));
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "objects/object_store.h"

namespace spool {

struct ObjectStoreMaker {
  std::string name;
  std::function<std::unique_ptr<ObjectStore>()> make;  // an empty one
};
inline void PrintTo(const ObjectStoreMaker& maker, std::ostream* out) {
  *out << maker.name;
}

class ObjectStoreContract : public testing::TestWithParam<ObjectStoreMaker> {
 protected:
  static std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }
  std::unique_ptr<ObjectStore> store_ = GetParam().make();
};

TEST_P(ObjectStoreContract, WhatWasPutIsGot) {
  ASSERT_TRUE(store_->put("a/b/c.txt", bytes("hello")));
  EXPECT_EQ(store_->get("a/b/c.txt").value(), "hello");
  EXPECT_EQ(store_->stat("a/b/c.txt").value()->bytes, 5);
  ASSERT_TRUE(store_->put("empty", bytes("")));
  EXPECT_EQ(store_->get("empty").value(), "");
}

TEST_P(ObjectStoreContract, APutReplacesWhole) {
  ASSERT_TRUE(store_->put("k", bytes("a long first version")));
  ASSERT_TRUE(store_->put("k", bytes("short")));
  EXPECT_EQ(store_->get("k").value(), "short");
}

TEST_P(ObjectStoreContract, WhatIsMissingIsSaidSo) {
  EXPECT_FALSE(store_->stat("no/such").value().has_value());
  EXPECT_EQ(store_->get("no/such").error().code, Code::kNotFound);
  EXPECT_EQ(store_->open("no/such").error().code, Code::kNotFound);
  EXPECT_EQ(store_->copy("no/such", "x").error().code, Code::kNotFound);
  EXPECT_TRUE(store_->remove("no/such"));
  EXPECT_TRUE(store_->remove_all("no"));
  EXPECT_TRUE(store_->list("no").value().empty());
}

TEST_P(ObjectStoreContract, RangesAreReadAtAnyOffset) {
  ASSERT_TRUE(store_->put("k", bytes("0123456789")));
  const ByteSource source = store_->open("k").value();
  EXPECT_EQ(source.size, 10u);
  char buffer[4];
  EXPECT_EQ(source.read_at(3, std::as_writable_bytes(std::span(buffer))).value(), 4u);
  EXPECT_EQ(std::string_view(buffer, 4), "3456");
  EXPECT_EQ(source.read_at(8, std::as_writable_bytes(std::span(buffer))).value(), 2u);
  EXPECT_EQ(source.read_at(10, std::as_writable_bytes(std::span(buffer))).value(), 0u);
}

TEST_P(ObjectStoreContract, AReaderKeepsTheVersionItOpened) {
  ASSERT_TRUE(store_->put("k", bytes("one")));
  const ByteSource source = store_->open("k").value();
  ASSERT_TRUE(store_->put("k", bytes("two")));
  char buffer[3];
  ASSERT_EQ(source.read_at(0, std::as_writable_bytes(std::span(buffer))).value(), 3u);
  EXPECT_EQ(std::string_view(buffer, 3), "one");
}

TEST_P(ObjectStoreContract, AListHoldsAPrefixInOrder) {
  for (const char* key : {"x/2", "x/1", "x/y/3", "xz", "other"}) ASSERT_TRUE(store_->put(key, bytes("v")));
  std::string keys;
  const std::vector<ObjectInfo> found = store_->list("x").value();
  for (const ObjectInfo& info : found) keys += info.key + " ";
  EXPECT_EQ(keys, "x/1 x/2 x/y/3 ");
  EXPECT_EQ(store_->list("").value().size(), 5u);
}

TEST_P(ObjectStoreContract, ACopyStandsAlone) {
  ASSERT_TRUE(store_->put("from", bytes("one")));
  ASSERT_TRUE(store_->put("to", bytes("old")));
  ASSERT_TRUE(store_->copy("from", "to"));
  ASSERT_TRUE(store_->copy("from", "to"));  // again: nothing changes, nothing is left beside it
  ASSERT_TRUE(store_->put("from", bytes("two")));
  EXPECT_EQ(store_->get("to").value(), "one");
  ASSERT_TRUE(store_->remove("from"));
  EXPECT_EQ(store_->get("to").value(), "one");
  EXPECT_EQ(store_->list("").value().size(), 1u);
}

TEST_P(ObjectStoreContract, RemovingAPrefixLeavesItsNeighbours) {
  for (const char* key : {"x/1", "x/y/2", "xz"}) ASSERT_TRUE(store_->put(key, bytes("v")));
  ASSERT_TRUE(store_->remove_all("x"));
  ASSERT_EQ(store_->list("").value().size(), 1u);
  EXPECT_TRUE(store_->stat("xz").value().has_value());
}

TEST_P(ObjectStoreContract, HostileKeysAreRefusedEverywhere) {
  for (const std::string& key :
       {std::string(), std::string("/abs"), std::string("../up"), std::string("a/../b"), std::string("a//b"),
        std::string("a/"), std::string("."), std::string("a\nb"), std::string("a\0b", 3), std::string("a\\b"),
        std::string(2000, 'k'), "a/" + std::string(300, 'k')}) {
    EXPECT_EQ(store_->put(key, bytes("v")).error().code, Code::kInvalidArgument) << key;
    EXPECT_EQ(store_->open(key).error().code, Code::kInvalidArgument) << key;
    EXPECT_EQ(store_->stat(key).error().code, Code::kInvalidArgument) << key;
    EXPECT_EQ(store_->remove(key).error().code, Code::kInvalidArgument) << key;
    EXPECT_EQ(store_->remove_all(key).error().code, Code::kInvalidArgument) << key;
    EXPECT_EQ(store_->copy("a", key).has_value(), false) << key;
  }
}

TEST_P(ObjectStoreContract, AReaderNeverSeesHalfAPut) {
  const std::string one(200'000, '1'), two(100'000, '2');
  ASSERT_TRUE(store_->put("k", bytes(one)));
  std::atomic<bool> done{false};
  std::thread writer([&] {
    for (int i = 0; i < 100; ++i) EXPECT_TRUE(store_->put("k", bytes(i % 2 ? one : two)));
    done = true;
  });
  while (!done) {
    const std::string seen = store_->get("k").value();
    EXPECT_TRUE(seen == one || seen == two) << seen.size();
  }
  writer.join();
}

TEST_P(ObjectStoreContract, AGetStopsAtItsLimit) {
  ASSERT_TRUE(store_->put("k", bytes("0123456789")));
  EXPECT_EQ(store_->get("k", 9).error().code, Code::kLimitExceeded);
}

}  // namespace spool
