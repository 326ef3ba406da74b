// What every ObjectStore promises. A backend runs all of it with one line:
//   INSTANTIATE_TEST_SUITE_P(Folder, ObjectStoreContract, testing::Values(ObjectStoreMaker{...}));
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "base/temporary_folder.h"
#include "objects/object_store.h"

namespace spool {

struct ObjectStoreMaker {
  std::string name;
  std::function<std::unique_ptr<ObjectStore>()> make;  // an empty one
  // An object that is being replaced may be said to be missing: Swift with one replica lists a folder, then
  // opens what another put has unlinked since.
  bool may_miss_the_replaced = false;
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

TEST_P(ObjectStoreContract, ItAnswers) {
  EXPECT_TRUE(store_->answers());
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

// Or says that it cannot: a service may keep no old versions. It is never given a mix.
TEST_P(ObjectStoreContract, AReaderKeepsTheVersionItOpened) {
  ASSERT_TRUE(store_->put("k", bytes("one")));
  const ByteSource source = store_->open("k").value();
  ASSERT_TRUE(store_->put("k", bytes("two")));
  char buffer[3];
  const auto read = source.read_at(0, std::as_writable_bytes(std::span(buffer)));
  if (!read) {
    EXPECT_EQ(read.error().code, Code::kConflict) << read.error().message;
    return;
  }
  ASSERT_EQ(*read, 3u);
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

TEST_P(ObjectStoreContract, ACopyOntoItselfChangesNothing) {
  ASSERT_TRUE(store_->put("k", bytes("one")));
  ASSERT_TRUE(store_->copy("k", "k"));
  EXPECT_EQ(store_->get("k").value(), "one");
}

TEST_P(ObjectStoreContract, KeysMayHoldWhatUrlsAndXmlCannot) {
  const std::vector<std::string> keys = {
      "a b/c+d%20e",          "q?x=1&y=2#z",          "it's \"so\" <good> &amp;",
      "~-_.!*();:@,$[]{}|^`", "d\u00fc/\u65e5\u672c", "d=uploads"};
  for (const std::string& key : keys) {
    ASSERT_TRUE(store_->put(key, bytes(key))) << key;
    EXPECT_EQ(store_->get(key).value(), key);
    EXPECT_EQ(store_->stat(key).value()->bytes, static_cast<std::int64_t>(key.size()));
    ASSERT_TRUE(store_->copy(key, "copy/" + key)) << key;
    EXPECT_EQ(store_->get("copy/" + key).value(), key);
  }
  for (const std::string& key : keys) EXPECT_EQ(store_->list("copy/" + key).value().size(), 0u) << key;
  EXPECT_EQ(store_->list("copy/a b").value().at(0).key, "copy/a b/c+d%20e");
  EXPECT_EQ(store_->list("").value().size(), 2 * keys.size());
  ASSERT_TRUE(store_->remove_all("copy"));
  for (const std::string& key : keys) ASSERT_TRUE(store_->remove(key)) << key;
  EXPECT_EQ(store_->list("").value().size(), 0u);
}

TEST_P(ObjectStoreContract, AFileIsPutWholeWhereverItsOffsetStands) {
  const TemporaryFolder folder;
  const UniqueFd fd = open_file(folder.path() / "f", O_RDWR | O_CREAT).value();
  ASSERT_TRUE(store_->put("a/film", bytes("an older film")));
  ASSERT_TRUE(write_all(fd.get(), bytes("0123456789")));
  ASSERT_TRUE(store_->put_file("a/film", fd.get()));
  EXPECT_EQ(store_->get("a/film").value(), "0123456789");
  EXPECT_EQ(lseek(fd.get(), 0, SEEK_CUR), 10);
  const UniqueFd empty = open_file(folder.path() / "empty", O_RDWR | O_CREAT).value();
  ASSERT_TRUE(store_->put_file("a/empty", empty.get()));
  EXPECT_EQ(store_->get("a/empty").value(), "");
}

TEST_P(ObjectStoreContract, WhatIsNoFileIsNotPut) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const UniqueFd in(ends[0]), out(ends[1]);
  EXPECT_EQ(store_->put_file("k", in.get()).error().code, Code::kInvalidArgument);
  EXPECT_FALSE(store_->stat("k").value().has_value());
}

TEST_P(ObjectStoreContract, APutIfAbsentReplacesNothing) {
  ASSERT_TRUE(store_->put_if_absent("a/k", bytes("one")));
  EXPECT_EQ(store_->put_if_absent("a/k", bytes("two")).error().code, Code::kConflict);
  EXPECT_EQ(store_->get("a/k").value(), "one");
  ASSERT_TRUE(store_->remove("a/k"));
  EXPECT_TRUE(store_->put_if_absent("a/k", bytes("three")));
  EXPECT_EQ(store_->list("").value().size(), 1u) << "nothing is left beside it";
}

TEST_P(ObjectStoreContract, NothingIsLeftToSweepWherePutsCameToTheirEnd) {
  ASSERT_TRUE(store_->put("k", bytes("one")));
  EXPECT_EQ(store_->sweep_uploads(Duration(0)).value(), 0);
  EXPECT_EQ(store_->get("k").value(), "one");
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
    EXPECT_EQ(store_->put_if_absent(key, bytes("v")).error().code, Code::kInvalidArgument) << key;
    EXPECT_EQ(store_->put_file(key, -1).error().code, Code::kInvalidArgument) << key;
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
    const auto seen = store_->get("k");
    if (seen)
      EXPECT_TRUE(*seen == one || *seen == two) << seen->size();
    else
      EXPECT_TRUE(GetParam().may_miss_the_replaced && seen.error().code == Code::kNotFound)
          << seen.error().message;
  }
  writer.join();
}

TEST_P(ObjectStoreContract, AGetStopsAtItsLimit) {
  ASSERT_TRUE(store_->put("k", bytes("0123456789")));
  EXPECT_EQ(store_->get("k", 9).error().code, Code::kLimitExceeded);
}

}  // namespace spool
