#include "pipeline/ladders.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/temporary_folder.h"

namespace spool::pipeline {
namespace {

Json some_schema() {
  return Json::parse(
      R"({"type": "object", "additionalProperties": false, "required": ["name", "rungs"], "properties": {
      "name": {"type": "string"}, "rungs": {"type": "array", "minItems": 1, "items": {
        "type": "object", "additionalProperties": false, "properties": {"height": {"type": "integer"}}}}}})");
}

class LaddersTest : public testing::Test {
 protected:
  void file(const std::string& name, std::string_view text) { std::ofstream(folder_.path() / name) << text; }
  TemporaryFolder folder_;
  Ladders ladders_{some_schema(), folder_.path()};
};

TEST_F(LaddersTest, AFolderAddsLadders) {
  file("mine.yaml", "rungs: [{height: 100}]\n");
  const auto ladder = ladders_.named("mine");
  ASSERT_TRUE(ladder) << ladder.error().message;
  EXPECT_EQ(*ladder, (Json{{"name", "mine"}, {"rungs", {{{"height", 100}}}}}));
  const auto names = ladders_.names();
  EXPECT_NE(std::find(names.begin(), names.end(), "mine"), names.end());
}

TEST_F(LaddersTest, ALadderOfTheFolderHasAFileAndABuiltInOneHasNone) {
  file("mine.yaml", "rungs: [{height: 100}]\n");
  EXPECT_EQ(ladders_.file_of("mine"), folder_.path() / "mine.yaml");
  for (const char* name : {"web", "none", "../mine"}) EXPECT_EQ(ladders_.file_of(name), std::nullopt) << name;
  EXPECT_EQ(Ladders(some_schema()).file_of("mine"), std::nullopt);
}

TEST_F(LaddersTest, AnUnknownNameListsTheKnown) {
  file("mine.yaml", "rungs: [{height: 100}]\n");
  const auto ladder = ladders_.named("mien");
  ASSERT_FALSE(ladder);
  EXPECT_EQ(ladder.error().code, Code::kNotFound);
  EXPECT_NE(ladder.error().message.find("mine"), std::string::npos) << ladder.error().message;
}

TEST_F(LaddersTest, ANameNeverLeavesTheFolder) {
  file("secret.yaml", "rungs: [{height: 100}]\n");
  const Ladders inner(some_schema(), folder_.path() / "inner");
  EXPECT_EQ(inner.named("../secret").error().code, Code::kNotFound);
  EXPECT_EQ(inner.named("/etc/passwd").error().code, Code::kNotFound);
}

TEST_F(LaddersTest, AWrongLadderIsPointedAtInItsOwnFile) {
  file("mine.yaml", "rungs:\n  - {heigth: 100}\n");
  const auto ladder = ladders_.named("mine");
  ASSERT_FALSE(ladder);
  EXPECT_NE(ladder.error().message.find("mine.yaml:2:6: unknown key \"heigth\", did you mean \"height\"?"),
            std::string::npos)
      << ladder.error().message;
}

TEST_F(LaddersTest, AFileIsReadWhenThePathSaysSo) {
  file("mine.json", R"({"name": "other", "rungs": [{"height": 100}]})");
  EXPECT_EQ((*ladders_.named_or_file((folder_.path() / "mine.json").string()))["name"], "other");
  EXPECT_EQ(ladders_.named_or_file("./nowhere.yaml").error().code, Code::kNotFound);
}

}  // namespace
}  // namespace spool::pipeline
