#include "checkup.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/temporary_folder.h"
#include "parts.h"

namespace spool {
namespace {

TEST(Checkup, ANetworkFileSystemIsNoPlaceForTheStore) {
  for (const std::int64_t type : {0x6969L, 0xFF534D42L, 0xFE534D42L, 0x01021997L}) {
    EXPECT_EQ(judge_file_system("store", type, "/data", true).health, Health::kProblem);
    EXPECT_EQ(judge_file_system("objects", type, "/data", false).health, Health::kGood);
  }
  EXPECT_NE(judge_file_system("store", 0x6969, "/data", true).found.find("NFS"), std::string::npos);
  EXPECT_NE(judge_file_system("store", 0x6969, "/data", true).remedy, "");
}

TEST(Checkup, ALocalDiskIsGoodAndMemoryIsForgetful) {
  EXPECT_EQ(judge_file_system("store", 0xEF53, "/data", true).health, Health::kGood);
  EXPECT_EQ(judge_file_system("store", 0x01021994, "/data", true).health, Health::kNote);
  EXPECT_EQ(judge_file_system("store", 0x1234, "/data", true).health, Health::kGood);
}

TEST(Checkup, LittleRoomIsSaid) {
  EXPECT_EQ(judge_room("objects", 500'000'000, "/data").health, Health::kProblem);
  EXPECT_EQ(judge_room("objects", 5'000'000'000, "/data").health, Health::kNote);
  EXPECT_EQ(judge_room("objects", 50'000'000'000, "/data").health, Health::kGood);
}

TEST(Checkup, AFolderThatIsNotThereYetIsJudgedByItsParent) {
  const TemporaryFolder folder;
  const auto findings = examine_folder("objects", folder.path() / "a" / "b", false);
  ASSERT_EQ(findings.size(), 2u);
  EXPECT_NE(findings[0].found.find("a/b"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "a"));
}

TEST(Checkup, AFileSystemWithoutNamelessFilesIsNoPlaceForObjects) {
  const auto findings = examine_folder("objects", "/proc", false);
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].health, Health::kProblem);
  // Only root may try to write there.
  EXPECT_NE(findings[0].found.find(geteuid() == 0 ? "without nameless files" : "cannot be written"),
            std::string::npos);
}

TEST(Checkup, AFileInThePlaceOfTheStoreIsAProblem) {
  const TemporaryFolder folder;
  Config config;
  config.store = "sqlite:" + (folder.path() / "spool.db").string();
  {
    FILE* file = fopen((folder.path() / "spool.db").c_str(), "w");
    fputs("this is no database, but a text of some length", file);
    fclose(file);
  }
  const auto findings = examine_store(config);
  EXPECT_TRUE(std::any_of(findings.begin(), findings.end(),
                          [](const Finding& f) { return f.health == Health::kProblem; }));
}

TEST(Checkup, AWorkerThatDiedIsNotCounted) {
  const TemporaryFolder folder;
  Config config;
  config.store = "sqlite:" + (folder.path() / "spool.db").string();
  {
    const auto store = open_store(config, Open::kMake).value();
    WorkerInfo worker;
    worker.lease = std::chrono::hours(1);
    ASSERT_TRUE(store->open_session(worker));
    worker.lease = Duration(1);
    ASSERT_TRUE(store->open_session(worker));
    ASSERT_EQ(store->sessions().value().size(), 2u);
  }
  const std::vector<Finding> findings = examine_store(config);
  EXPECT_TRUE(findings.back().found.ends_with("spool.db: 1 worker at work")) << findings.back().found;
}

TEST(Checkup, WhatFfmpegHasIsFound) {
  const auto findings = examine_ffmpeg();
  EXPECT_TRUE(std::any_of(findings.begin(), findings.end(), [](const Finding& f) {
    return f.found.find("libx264") != std::string::npos && f.health == Health::kGood;
  }));
}

}  // namespace
}  // namespace spool
