#include "base/file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>

#include "base/temporary_folder.h"

namespace spool {
namespace {

std::span<const std::byte> bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}

TEST(File, AnAtomicWriteReplacesWholeAndLeavesNothingBeside) {
  const TemporaryFolder folder;
  ASSERT_TRUE(write_file_atomic(folder.path() / "a", bytes("one")));
  ASSERT_TRUE(write_file_atomic(folder.path() / "a", bytes("two")));
  EXPECT_EQ(read_file(folder.path() / "a").value(), "two");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

TEST(File, AWriteIntoAMissingFolderNamesThePath) {
  const auto result = write_file_atomic("/no/such/folder/x", bytes("one"));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::kNotFound);
  EXPECT_NE(result.error().message.find("/no/such/folder/x"), std::string::npos);
}

TEST(File, ALockIsHeldOnce) {
  const TemporaryFolder folder;
  auto first = FileLock::try_lock(folder.path() / "lock");
  ASSERT_TRUE(first && first->has_value());
  EXPECT_FALSE(FileLock::try_lock(folder.path() / "lock").value().has_value());
  first->reset();
  EXPECT_TRUE(FileLock::try_lock(folder.path() / "lock").value().has_value());
}

TEST(File, OnlyRegularFilesAreOpenedByPeoplesWord) {
  const TemporaryFolder folder;
  const auto fifo = folder.path() / "fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  ASSERT_TRUE(write_file_atomic(folder.path() / "a", bytes("one")));
  const auto file = open_regular_file(folder.path() / "a");
  ASSERT_TRUE(file);
  EXPECT_EQ(fcntl(file->get(), F_GETFL) & O_NONBLOCK, 0);
  for (const std::filesystem::path& other : {fifo, folder.path(), std::filesystem::path("/dev/null")})
    EXPECT_EQ(open_regular_file(other).error().code, Code::kInvalidArgument) << other;
  EXPECT_EQ(open_regular_file(folder.path() / "b").error().code, Code::kNotFound);
}

TEST(File, ReadingStopsAtTheLimit) {
  const TemporaryFolder folder;
  ASSERT_TRUE(write_file_atomic(folder.path() / "a", bytes("0123456789")));
  EXPECT_EQ(read_file(folder.path() / "a", 9).error().code, Code::kLimitExceeded);
}

}  // namespace
}  // namespace spool
