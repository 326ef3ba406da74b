#include "pipeline/stored_args.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/temporary_folder.h"
#include "pipeline/document.h"
#include "pipeline/plan.h"
#include "queue/input_references.h"

namespace spool::pipeline {
namespace {

class StoredArgs : public testing::Test {
 protected:
  StoredArgs() {
    Kind transcode;
    transcode.name = "transcode";
    transcode.schema = Json::parse(
        R"({"type": "object", "additionalProperties": false, "required": ["input", "ladder"], "properties": {
        "ladder": {"type": "object", "format": "ladder", "default": "web"},
        "start": {"type": "number", "format": "duration", "minimum": 0},
        "memory": {"type": "integer", "format": "size"}}})");
    transcode.schema["properties"]["input"] = input_schema();
    transcode.run = [](Attempt&) -> Ending { return Succeeded{}; };
    kinds_.add(transcode);
    Kind exec = transcode;
    exec.name = "exec";
    exec.schema = {{"type", "object"}};
    kinds_.add(exec);
    add_pipeline_kinds(
        kinds_, [](Uuid) -> Result<Job> { return fail(Code::kNotFound, "no jobs here"); },
        [](Uuid, Uuid, const std::optional<Token>&, std::string_view name) { return std::string(name); });
    const Json any = {{"type", "object"}, {"required", {"rungs"}}};
    kinds_.resolve_with(stored_args_resolver(Ladders(any, folder_.path())));
    for (const char* name : {"web", "mobile"}) ladders_[name] = *Ladders(any).named(name);
  }

  Json right(std::string_view kind, const Json& args) {
    auto made = kinds_.resolve_and_check(kind, args);
    EXPECT_TRUE(made) << made.error().message;
    return made ? *made : Json();
  }
  std::string wrong(std::string_view kind, const Json& args) {
    auto made = kinds_.resolve_and_check(kind, args);
    EXPECT_FALSE(made) << to_text(*made);
    return made ? "" : made.error().message;
  }

  TemporaryFolder folder_;
  Kinds kinds_;
  Json ladders_;
};

constexpr const char* kFilm = "object:films/talk.mp4";

TEST_F(StoredArgs, DefaultsNamesAndUnitsBecomePlainValues) {
  EXPECT_EQ(right("transcode", {{"input", kFilm}}), (Json{{"input", kFilm}, {"ladder", ladders_["web"]}}));
  EXPECT_EQ(
      right("transcode", {{"input", kFilm}, {"ladder", "mobile"}, {"start", "1m3s"}, {"memory", "1KiB"}}),
      (Json{{"input", kFilm}, {"ladder", ladders_["mobile"]}, {"start", 63}, {"memory", 1024}}));
}

TEST_F(StoredArgs, PlainValuesStayAsTheyAre) {
  const Json plain{{"input", kFilm}, {"ladder", {{"rungs", {1}}}}, {"start", 2.5}, {"memory", 16}};
  EXPECT_EQ(right("transcode", plain), plain);
  const Json resolved = right("transcode", {{"input", kFilm}, {"start", "3s"}});
  EXPECT_EQ(right("transcode", resolved), resolved);
}

TEST_F(StoredArgs, EverythingThatIsWrongIsTold) {
  const std::string told = wrong("transcode", {{"ladder", "mobil"}, {"start", "3x"}, {"sped", 1}});
  for (const char* part : {"input", "there is no ladder \"mobil\", did you mean \"mobile\"?",
                           "\"3x\" is not a duration", "unknown key \"sped\""})
    EXPECT_NE(told.find(part), std::string::npos) << part << " in " << told;
  EXPECT_NE(wrong("transcode", {{"input", kFilm}, {"start", -1}}).find("start"), std::string::npos);
  for (const Json& args : {Json(), Json(1), Json::array()}) EXPECT_NE(wrong("transcode", args), "");
}

TEST_F(StoredArgs, OnlyTheFirstOfManyComplaintsAreTold) {
  Json args{{"input", kFilm}};
  for (int i = 0; i < 10000; ++i) args["unknown" + std::to_string(i)] = i;
  const std::string told = wrong("transcode", args);
  EXPECT_LT(told.size(), 10000u);
  EXPECT_TRUE(told.ends_with("\ntranscode: and 9950 more")) << told.substr(told.size() - 100);
}

TEST_F(StoredArgs, PathsAreNeverRead) {
  std::ofstream(folder_.path() / "secret.txt") << "sesame";
  for (const std::string& name : {folder_.path().string() + "/secret.txt", std::string("../secret"),
                                  std::string("secret.txt"), std::string("./mine.yaml")})
    EXPECT_NE(wrong("transcode", {{"input", kFilm}, {"ladder", name}}).find("there is no ladder"),
              std::string::npos)
        << name;
  for (const char* input : {"/etc/passwd", "talk.mp4", "../talk.mp4", "s3://bucket/talk.mp4", ""})
    EXPECT_NE(wrong("transcode", {{"input", input}}).find("such as object:films/talk.mp4"), std::string::npos)
        << input;
}

TEST_F(StoredArgs, WhatIsWrongWithTheOperatorsLadderIsNotToldToStrangers) {
  std::ofstream(folder_.path() / "mine.yaml") << "sesame: {\n";
  const std::string told = wrong("transcode", {{"input", kFilm}, {"ladder", "mine"}});
  EXPECT_EQ(told, "transcode: ladder: the ladder \"mine\" of this worker is wrong: its log says how");
}

TEST_F(StoredArgs, ADocumentBecomesItsPlan) {
  const Json document = Json::parse(R"({"version": 1, "source": "object:films/talk.mp4", "steps": {
    "phone": {"kind": "transcode", "input": "$steps.ladder", "ladder": "mobile", "start": "3s", "optional": true},
    "ladder": {"kind": "transcode", "input": "$source"}}})");
  const Json plan = right("pipeline", document)["steps"];
  ASSERT_EQ(plan.size(), 2u);
  EXPECT_EQ(plan[0]["name"], "ladder");
  EXPECT_EQ(plan[0]["args"], (Json{{"input", kFilm}, {"ladder", ladders_["web"]}}));
  EXPECT_EQ(plan[1]["args"]["start"], 3);
  EXPECT_EQ(plan[1]["needs"], Json{"ladder"});
  EXPECT_EQ(right("pipeline", {{"steps", plan}}), (Json{{"steps", plan}})) << "a plan is taken as it is";
}

TEST_F(StoredArgs, WhateverStandsInADocumentIsInItsPlan) {
  Json data = {
      {"", 1}, {"a/b~c", 2}, {"a: b # c", nullptr}, {"numbers", {0, -1, 1e300, 0.1, 9007199254740993}}};
  for (const char* text : {"", "yes", "1", "null", "~", " a ", "a\t\n\r\f\b\x1b", "\"'\\/{}[],:#&*!|>%@`",
                           "\x04\x7f", "\u00e9\u0085\u2028\ufeff\U0001F600", "- a", "--- ", "..."})
    data["texts"].push_back(text);
  data["texts"].push_back(std::string(5000, 'x'));
  const Json plan =
      right("pipeline", {{"version", 1}, {"steps", {{"a", {{"kind", "exec"}, {"data", data}}}}}});
  EXPECT_EQ(plan["steps"][0]["args"]["data"], data);
}

TEST_F(StoredArgs, WhatIsWrongWithADocumentIsToldWithItsPlace) {
  Json document =
      Json::parse(R"({"version": 1, "steps": {"ladder": {"kind": "transcode", "input": "$source"}}})");
  EXPECT_EQ(wrong("pipeline", document), "the step \"ladder\" takes $source, and no source was given");
  for (const Json& source : {Json("/etc/passwd"), Json("talk.mp4"), Json(1), Json("$steps.ladder")}) {
    document["source"] = source;
    EXPECT_EQ(wrong("pipeline", document), "source: must be object:KEY, like object:films/talk.mp4");
  }
  document["source"] = kFilm;
  document["steps"]["ladder"]["start"] = 3;
  EXPECT_EQ(wrong("pipeline", document),
            "pipeline:6:16: 3 needs a unit: expected a duration with a unit, like 10s\n"
            "     6 |       \"start\": 3\n"
            "       |                ^");
  document["steps"]["ladder"]["start"] = "3s";
  document.erase("version");
  EXPECT_NE(wrong("pipeline", document).find("the key version is missing"), std::string::npos);
}

}  // namespace
}  // namespace spool::pipeline
