#include "queue/input_references.h"

#include <gtest/gtest.h>

namespace spool {
namespace {

TEST(InputReferences, WhatStandsInTheArgsMayBeReadWhereverItStands) {
  const Json args = {{"deep", {{"list", {1, "file:/a/b.mp4"}}}}};
  EXPECT_TRUE(names_input(args, "file:/a/b.mp4"));
  for (const char* other : {"file:/a/b", "file:/a/b.mp4/..", "/a/b.mp4", "object:any", ""})
    EXPECT_FALSE(names_input(args, other)) << other;
}

TEST(InputReferences, AFolderOfObjectsStandsForWhatIsBelowIt) {
  const Json args = {{"video", {{"folder", "object:out/720p/"}}}};
  EXPECT_TRUE(names_input(args, "object:out/720p/00001.m4s"));
  for (const char* other : {"object:out/720p", "object:out/720p-secret/a", "object:out/",
                            "object:", "object:out/720p/../720p-secret/a", "out/720p/00001.m4s"})
    EXPECT_FALSE(names_input(args, other)) << other;
}

TEST(InputReferences, OtherFoldersStandForNothing) {
  EXPECT_FALSE(names_input({{"folder", "file:/etc/"}}, "file:/etc/passwd"));
  EXPECT_FALSE(names_input({{"folder", "object:out"}}, "object:out/720p"));
  EXPECT_FALSE(names_input({{"folder", "/"}}, "/etc/passwd"));
}

}  // namespace
}  // namespace spool
