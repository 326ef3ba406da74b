#include "objects/folder_store.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/temporary_folder.h"
#include "contract/object_store_contract.h"

namespace spool {
namespace {

// Owns its folder as well.
struct TemporaryFolderStore : ObjectStore {
  TemporaryFolder folder;
  std::unique_ptr<FolderStore> inner = FolderStore::at(folder.path() / "objects").value();
  Result<void> put(std::string_view k, std::span<const std::byte> b) override { return inner->put(k, b); }
  Result<void> put_file(std::string_view k, int fd) override { return inner->put_file(k, fd); }
  Result<void> put_if_absent(std::string_view k, std::span<const std::byte> b) override {
    return inner->put_if_absent(k, b);
  }
  Result<int> sweep_uploads(Duration d) override { return inner->sweep_uploads(d); }
  Result<std::string> get(std::string_view k, std::size_t most) override { return inner->get(k, most); }
  Result<ByteSource> open(std::string_view k) override { return inner->open(k); }
  Result<std::optional<ObjectInfo>> stat(std::string_view k) override { return inner->stat(k); }
  Result<std::vector<ObjectInfo>> list(std::string_view p) override { return inner->list(p); }
  Result<void> copy(std::string_view f, std::string_view t) override { return inner->copy(f, t); }
  Result<void> remove(std::string_view k) override { return inner->remove(k); }
  Result<void> remove_all(std::string_view p) override { return inner->remove_all(p); }
};

INSTANTIATE_TEST_SUITE_P(Folder, ObjectStoreContract,
                         testing::Values(ObjectStoreMaker{
                             "folder", [] { return std::make_unique<TemporaryFolderStore>(); }}));

TEST(FolderStore, ALinkPlantedBelowTheRootIsNotFollowed) {
  const TemporaryFolder folder;
  ASSERT_TRUE(write_file_atomic(folder.path() / "secret", std::as_bytes(std::span("s", 1))));
  const auto store = FolderStore::at(folder.path() / "objects").value();
  ASSERT_EQ(symlink("../secret", (folder.path() / "objects/link").c_str()), 0);
  ASSERT_EQ(symlink("..", (folder.path() / "objects/up").c_str()), 0);
  EXPECT_FALSE(store->get("link", 100));
  EXPECT_FALSE(store->get("up/secret", 100));
  EXPECT_TRUE(store->list("").value().empty());
}

TEST(FolderStore, AFileThatWasNeverCommittedLeavesNothing) {
  const TemporaryFolder folder;
  const auto store = FolderStore::at(folder.path()).value();
  {
    const UniqueFd fd = store->create().value();
    ASSERT_TRUE(write_all(fd.get(), std::as_bytes(std::span("half", 4))));
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

std::vector<std::string> files_below(const std::filesystem::path& folder) {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
    if (entry.is_regular_file()) files.push_back(entry.path().lexically_relative(folder).string());
  std::sort(files.begin(), files.end());
  return files;
}

TEST(FolderStore, ReplacingAnObjectLeavesNothingBeside) {
  const TemporaryFolder folder;
  const auto store = FolderStore::at(folder.path()).value();
  const auto put = [&](const char* text) {
    return store->put("a/list", std::as_bytes(std::span(text, std::strlen(text))));
  };
  ASSERT_TRUE(put("one"));
  ASSERT_TRUE(put("two"));
  ASSERT_TRUE(store->copy("a/list", "a/copy"));
  ASSERT_TRUE(store->copy("a/list", "a/copy"));  // the same file already
  EXPECT_EQ(store->get("a/list", 100), "two");
  EXPECT_EQ(files_below(folder.path()), (std::vector<std::string>{"a/copy", "a/list"}));
}

TEST(FolderStore, WhatAKillLeftIsSweptAtTheNextStart) {
  const TemporaryFolder folder;
  std::filesystem::create_directories(folder.path() / ".spool/tmp");
  ASSERT_TRUE(write_file_atomic(folder.path() / ".spool/tmp/.tmp-1", std::as_bytes(std::span("x", 1))));
  ASSERT_TRUE(FolderStore::at(folder.path()));
  EXPECT_TRUE(files_below(folder.path()).empty());
}

TEST(FolderStore, AFileOfItsOwnMakingBecomesTheObject) {
  const TemporaryFolder folder;
  const auto store = FolderStore::at(folder.path()).value();
  const UniqueFd fd = store->create().value();
  ASSERT_TRUE(write_all(fd.get(), std::as_bytes(std::span("film", 4))));
  ASSERT_TRUE(store->put_file("film", fd.get()));
  EXPECT_EQ(store->get("film", 100), "film");
  struct stat made {
  }, stored{};
  ASSERT_EQ(fstat(fd.get(), &made), 0);
  ASSERT_EQ(stat((folder.path() / "film").c_str(), &stored), 0);
  EXPECT_EQ(made.st_ino, stored.st_ino) << "nothing was copied";
}

TEST(FolderStore, AFileFromElsewhereIsCopied) {
  const TemporaryFolder folder;
  const auto store = FolderStore::at(folder.path()).value();
  const UniqueFd memory(memfd_create("film", MFD_CLOEXEC));
  ASSERT_TRUE(write_all(memory.get(), std::as_bytes(std::span("film", 4))));
  ASSERT_TRUE(store->put_file("film", memory.get()));
  EXPECT_EQ(store->get("film", 100), "film");
}

TEST(FolderStore, OfManyWhoPutIfAbsentOneWins) {
  const TemporaryFolder folder;
  const auto store = FolderStore::at(folder.path()).value();
  std::atomic<int> won = 0, lost = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i)
    threads.emplace_back([&] {
      const auto put = store->put_if_absent("a/b/k", std::as_bytes(std::span("x", 1)));
      if (put) ++won;
      if (!put && put.error().code == Code::kConflict) ++lost;
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(won, 1);
  EXPECT_EQ(lost, 7);
}

TEST(FolderStore, AFileSystemWithoutNamelessFilesIsRefusedInWordsBeforeAnythingIsDone) {
  const auto store = FolderStore::at("/proc");
  ASSERT_FALSE(store);
  // Only root may try to write there.
  EXPECT_EQ(store.error().code, geteuid() == 0 ? Code::kUnsupported : Code::kPermissionDenied);
  EXPECT_NE(store.error().message.find("/proc"), std::string::npos) << store.error().message;
}

TEST(FolderStore, AFolderThatCannotBeMadeIsNamed) {
  const auto store = FolderStore::at("/proc/no/such");
  ASSERT_FALSE(store);
  EXPECT_NE(store.error().message.find("/proc/no/such"), std::string::npos);
}

}  // namespace
}  // namespace spool
