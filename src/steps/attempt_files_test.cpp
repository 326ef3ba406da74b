#include "steps/attempt_files.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/temporary_folder.h"
#include "objects/folder_store.h"

namespace spool::steps {
namespace {

class AttemptFilesTest : public testing::Test {
 protected:
  static std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }
  Claim claim(Json args) {
    Claim c;
    c.job = Uuid::v7();
    c.token = Token::random();
    c.args = std::move(args);
    return c;
  }
  TemporaryFolder folder_;
  std::unique_ptr<FolderStore> objects_ = FolderStore::at(folder_.path() / "objects").value();
};

TEST_F(AttemptFilesTest, AFolderInTheArgsStandsForWhatIsBelowIt) {
  for (const char* key : {"out/720p/00001.m4s", "out/720p-secret/a", ".spool/attempts/a"})
    ASSERT_TRUE(objects_->put(key, bytes("a")));
  ObjectAttemptFiles files(*objects_, {});
  const Claim c = claim({{"video", {{"folder", "object:out/720p/"}}}});
  EXPECT_TRUE(files.open_input(c, "object:out/720p/00001.m4s"));
  for (const char* other : {"object:out/720p-secret/a", "object:out/", "object:out/720p/../720p-secret/a",
                            "object:out/720p/", "file:/etc/passwd"})
    EXPECT_FALSE(files.open_input(c, other)) << other;
  EXPECT_FALSE(files.open_input(claim({{"folder", "object:.spool/"}}), "object:.spool/attempts/a"));
  EXPECT_FALSE(files.open_input(claim({{"folder", "file:/etc/"}}), "file:/etc/passwd"));
}

TEST_F(AttemptFilesTest, OnlyWhatStandsInTheArgsCanBeOpened) {
  ASSERT_TRUE(objects_->put("films/a.mp4", bytes("a")));
  ASSERT_TRUE(objects_->put("films/b.mp4", bytes("b")));
  ObjectAttemptFiles files(*objects_, {});
  const Claim c = claim({{"inputs", {"object:films/a.mp4"}}});
  EXPECT_TRUE(files.open_input(c, "object:films/a.mp4"));
  EXPECT_EQ(files.open_input(c, "object:films/b.mp4").error().code, Code::kPermissionDenied);
}

TEST_F(AttemptFilesTest, SpoolsOwnFilesAreNobodysInput) {
  ASSERT_TRUE(objects_->put(".spool/spool.db", bytes("secret")));
  ObjectAttemptFiles files(*objects_, {});
  const Claim c = claim({{"input", "object:.spool/spool.db"}});
  EXPECT_EQ(files.open_input(c, "object:.spool/spool.db").error().code, Code::kPermissionDenied);
}

TEST_F(AttemptFilesTest, LocalFilesNeedTheOperatorsLeave) {
  const std::string path = folder_.path() / "film.mp4";
  ASSERT_TRUE(write_file_atomic(path, bytes("film")));
  const Claim c = claim({{"input", "file:" + path}, {"other", "source:0"}, {"wrong", "http://x/"}});
  ObjectAttemptFiles strict(*objects_, {});
  EXPECT_EQ(strict.open_input(c, "file:" + path).error().code, Code::kPermissionDenied);
  EXPECT_EQ(strict.open_input(c, "http://x/").error().code, Code::kInvalidArgument);
  ObjectAttemptFiles open(*objects_, {{{"source:0", path}}, true});
  EXPECT_TRUE(open.open_input(c, "file:" + path));
  EXPECT_TRUE(open.open_input(c, "source:0"));
}

TEST_F(AttemptFilesTest, WhatIsNoRegularFileIsRefusedAndNotWaitedFor) {
  const std::string fifo = folder_.path() / "fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  ASSERT_EQ(mkfifo((folder_.path() / "objects/fifo").c_str(), 0600), 0);
  ObjectAttemptFiles files(*objects_, {{{"source:0", fifo}}, true});
  const std::vector<std::string> references{"file:" + fifo, "source:0", "file:/dev/null", "file:/etc",
                                            "object:fifo"};
  const Claim c = claim({{"inputs", references}});
  for (const std::string& reference : references)
    EXPECT_EQ(files.open_input(c, reference).error().code, Code::kInvalidArgument) << reference;
}

TEST_F(AttemptFilesTest, OutputsGoBelowTheAttemptsOwnPrefix) {
  ObjectAttemptFiles files(*objects_, {});
  const Claim c = claim(Json::object());
  const UniqueFd fd = files.create_output(c, "720p/init.mp4").value();
  ASSERT_TRUE(write_all(fd.get(), bytes("init")));
  ASSERT_TRUE(files.commit_output(c, "720p/init.mp4", fd.get()));
  EXPECT_EQ(objects_->get(attempt_prefix(c.job, c.token) + "/720p/init.mp4", 100).value(), "init");
  EXPECT_FALSE(files.create_output(c, "../../x"));
  EXPECT_FALSE(files.commit_output(c, "/etc/x", fd.get()));
}

TEST_F(AttemptFilesTest, WhatALostAttemptWroteGoesAndNothingElse) {
  ObjectAttemptFiles files(*objects_, {});
  const Claim lost = claim(Json::object());
  Claim winner = lost;
  winner.token = Token::random();
  for (const Claim& c : {lost, winner}) {
    const UniqueFd fd = files.create_output(c, "a").value();
    ASSERT_TRUE(files.commit_output(c, "a", fd.get()));
  }
  files.discard(lost);
  EXPECT_TRUE(objects_->list(attempt_prefix(lost.job, lost.token))->empty());
  EXPECT_EQ(objects_->list(attempt_prefix(winner.job, winner.token))->size(), 1u);
}

}  // namespace
}  // namespace spool::steps
