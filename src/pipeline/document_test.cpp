#include "pipeline/document.h"

#include <gtest/gtest.h>

#include "pipeline/located_json.h"

namespace spool::pipeline {
namespace {

Kind kind(std::string name, const char* schema, bool internal = false) {
  Kind out;
  out.name = std::move(name);
  out.schema = Json::parse(schema);
  out.internal = internal;
  out.run = [](Attempt&) -> Ending { return Succeeded{}; };
  return out;
}

Kinds some_kinds() {
  Kinds kinds;
  kinds.add(kind("transcode",
                 R"({"type": "object", "additionalProperties": false, "required": ["input"], "properties": {
      "input": {"type": "string"},
      "ladder": {"type": "object", "format": "ladder"},
      "start": {"type": "number", "format": "duration", "minimum": 0},
      "speed": {"enum": ["fast", "balanced"]},
      "memory": {"type": "integer", "format": "size"},
      "mp4": {"type": "boolean"}}})"));
  kinds.add(kind("thumbnails",
                 R"({"type": "object", "additionalProperties": false, "required": ["input"], "properties": {
      "input": {"type": "string"},
      "every": {"type": "number", "format": "duration"},
      "sprite": {"type": "boolean"},
      "sizes": {"type": "array", "items": {"type": "object", "additionalProperties": false,
                "properties": {"width": {"type": "integer"}}}}}})"));
  kinds.add(kind("exec", R"({"type": "object", "properties": {"command": {"type": "string"}}})"));
  kinds.add(kind("pipeline", R"({"type": "object"})"));
  kinds.add(kind("transcode.chunk", R"({"type": "object"})", true));
  return kinds;
}

class DocumentTest : public testing::Test {
 protected:
  DocumentTest() {
    environment_.kinds = &kinds_;
    environment_.ladder = [](std::string_view name) -> Result<Json> {
      if (name == "web") return Json{{"name", "web"}};
      return fail(Code::kNotFound, "there is no ladder \"" + std::string(name) + "\"");
    };
  }

  // The complaints as "line:column message" lines.
  std::string wrong(std::string_view text) {
    Complaints complaints(text, "p.yaml");
    EXPECT_FALSE(parse_pipeline(text, environment_, complaints)) << "accepted:\n" << text;
    std::string out;
    for (const Complaint& c : complaints.list())
      out += std::to_string(c.at.line) + ":" + std::to_string(c.at.column) + " " + c.message + "\n";
    return out;
  }

  Document right(std::string_view text) {
    auto document = parse_pipeline(text, "p.yaml", environment_);
    EXPECT_TRUE(document) << document.error().message;
    return document ? *document : Document{};
  }

  Kinds kinds_ = some_kinds();
  Environment environment_;
};

TEST_F(DocumentTest, AStepsParametersBecomePlainValues) {
  const Document document = right(R"(version: 1
name: talk
steps:
  ladder: {kind: transcode, input: $source, ladder: web, start: 1m30s, memory: 16MiB, mp4: true}
)");
  EXPECT_EQ(document.name, "talk");
  ASSERT_EQ(document.steps.size(), 1u);
  EXPECT_EQ(document.steps[0].kind, "transcode");
  EXPECT_EQ(document.steps[0].args,
            Json::parse(R"({"input": "$source", "ladder": {"name": "web"}, "start": 90.0,
                                                    "memory": 16777216, "mp4": true})"));
  EXPECT_EQ(document.steps[0].sources, std::vector<std::string>{"/input"});
}

TEST_F(DocumentTest, StepsKeepTheOrderOfTheDocument) {
  const Document document = right("version: 1\nsteps:\n  z: {kind: exec}\n  a: {kind: exec}\n");
  EXPECT_EQ(document.steps[0].name, "z");
  EXPECT_EQ(document.steps[1].name, "a");
}

TEST_F(DocumentTest, AReferenceIsANeed) {
  const Document document = right(R"(version: 1
steps:
  ladder: {kind: transcode, input: $source}
  captions: {kind: exec, optional: true}
  thumbs: {kind: thumbnails, input: $steps.ladder.mp4, needs: [captions]}
)");
  const Step& thumbs = document.steps[2];
  EXPECT_EQ(thumbs.needs, (std::vector<std::string>{"captions", "ladder"}));
  ASSERT_EQ(thumbs.references.size(), 1u);
  EXPECT_EQ(thumbs.references[0].pointer, "/input");
  EXPECT_EQ(thumbs.references[0].step, "ladder");
  EXPECT_EQ(thumbs.references[0].output, "mp4");
  EXPECT_TRUE(document.steps[1].optional);
}

TEST_F(DocumentTest, AReferenceWithoutAnOutputMeansTheMainOne) {
  const Document document =
      right("version: 1\nsteps:\n  a: {kind: exec}\n  b: {kind: thumbnails, input: $steps.a}\n");
  EXPECT_EQ(document.steps[1].references[0].output, "");
}

TEST_F(DocumentTest, AnOutputMayBeAFile) {
  const Document document =
      right("version: 1\nsteps:\n  a: {kind: exec}\n  b: {kind: thumbnails, input: $steps.a.film.mp4}\n");
  EXPECT_EQ(document.steps[1].references[0].output, "film.mp4");
}

TEST_F(DocumentTest, TwoDollarsAreOne) {
  const Document document = right("version: 1\nsteps:\n  a: {kind: exec, command: $$HOME}\n");
  EXPECT_EQ(document.steps[0].args["command"], "$HOME");
}

TEST_F(DocumentTest, JsonIsReadInTheSameWay) {
  const Document document = right(
      "{\n\t\"version\": 1,\n\t\"steps\": {\"a\": {\"kind\": \"thumbnails\", \"input\": \"$source\","
      " \"every\": \"10s\", \"sprite\": false}}\n}\n");
  EXPECT_EQ(document.steps[0].args["every"], 10.0);
  EXPECT_EQ(wrong("{\n\t\"version\": 1,\n\t\"steps\": {\"a\": {\"kind\": \"thumb\"}}\n}\n"),
            "3:26 there is no kind \"thumb\"; known are exec, thumbnails, transcode\n");
}

TEST_F(DocumentTest, EverythingThatIsWrongIsToldAtOnceWithACaret) {
  const auto result = parse_pipeline(R"(version: 2
steps:
  ladder: {kind: trancode, input: $source}
  thumbs: {kind: thumbnails, input: $source, evry: 10s}
)",
                                     "talk.yaml", environment_);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::kInvalidArgument);
  EXPECT_EQ(result.error().message,
            R"(talk.yaml:1:10: version 2 is not known here; this program reads version 1
     1 | version: 2
       |          ^
talk.yaml:3:18: there is no kind "trancode", did you mean "transcode"?
     3 |   ladder: {kind: trancode, input: $source}
       |                  ^~~~~~~~
talk.yaml:4:46: unknown key "evry", did you mean "every"?
     4 |   thumbs: {kind: thumbnails, input: $source, evry: 10s}
       |                                              ^~~~)");
}

TEST_F(DocumentTest, ColumnsCountCharactersNotBytes) {
  EXPECT_EQ(wrong("version: 1\nsteps: {\"ä\": {kind: exec}, b: {kind: exe}}\n"),
            "2:9 a step's name has letters, digits, - and _, at most 64 of them\n"
            "2:38 there is no kind \"exe\", did you mean \"exec\"?\n");
}

TEST_F(DocumentTest, UnknownKeysOfTheDocumentAreRefused) {
  EXPECT_EQ(wrong("version: 1\nstep:\n  a: {kind: exec}\n"),
            "1:1 the key steps is missing\n2:1 unknown key \"step\", did you mean \"steps\"?\n");
}

TEST_F(DocumentTest, UnknownKeysInsideParametersAreRefused) {
  EXPECT_EQ(wrong("version: 1\nsteps:\n  a:\n    kind: thumbnails\n    input: $source\n    sizes:\n      - "
                  "widht: 4\n"),
            "7:9 unknown key \"widht\", did you mean \"width\"?\n");
}

TEST_F(DocumentTest, TheVersionIsNeededAndKnown) {
  EXPECT_EQ(wrong("steps: {a: {kind: exec}}"), "1:1 the key version is missing: write `version: 1`\n");
  EXPECT_EQ(wrong("version: '1'\nsteps: {a: {kind: exec}}"),
            "1:10 version \"1\" is not known here; this program reads version 1\n");
}

TEST_F(DocumentTest, ANumberNeedsItsUnit) {
  EXPECT_EQ(wrong("version: 1\nsteps:\n  a: {kind: thumbnails, input: $source, every: 10}\n"),
            "3:48 10 needs a unit: expected a duration with a unit, like 10s\n");
  EXPECT_EQ(wrong("version: 1\nsteps:\n  a: {kind: transcode, input: $source, memory: 10}\n"),
            "3:48 10 needs a unit: expected a size with a unit, like 16MiB\n");
  EXPECT_EQ(wrong("version: 1\nsteps:\n  a: {kind: transcode, input: $source, start: [1]}\n"),
            "3:47 expected a duration with a unit, like 10s\n");
}

TEST_F(DocumentTest, AWrongUnitIsPointedAt) {
  EXPECT_EQ(wrong("version: 1\nsteps:\n  a: {kind: thumbnails, input: $source, every: 10x}\n"),
            "3:48 \"10x\" is not a duration: \"x\" is no unit of time (d, h, m, s, ms); write 10s, 1m30s, "
            "250ms, 2h\n");
}

TEST_F(DocumentTest, AnUnknownLadderIsPointedAt) {
  EXPECT_EQ(wrong("version: 1\nsteps:\n  a: {kind: transcode, input: $source, ladder: wbe}\n"),
            "3:48 there is no ladder \"wbe\"\n");
}

TEST_F(DocumentTest, TheSchemaOfAKindIsChecked) {
  EXPECT_EQ(wrong("version: 1\nsteps:\n  a: {kind: thumbnails, input: $source, sprite: 3}\n"),
            "3:49 sprite: must be true or false, is a whole number (3)\n");
  EXPECT_EQ(wrong("version: 1\nsteps:\n  a: {kind: transcode, input: $source, speed: slow}\n"),
            "3:47 speed: must be one of fast, balanced; is \"slow\"\n");
}

TEST_F(DocumentTest, AMissingParameterIsNamedAtItsStep) {
  const std::string told = wrong("version: 1\nsteps:\n  a: {kind: thumbnails}\n");
  EXPECT_TRUE(told.starts_with("3:3 ")) << told;
  EXPECT_NE(told.find("input"), std::string::npos) << told;
}

TEST_F(DocumentTest, InternalKindsAreNotForDocuments) {
  EXPECT_EQ(wrong("version: 1\nsteps:\n  a: {kind: transcode.chunk}\n"),
            "3:13 there is no kind \"transcode.chunk\"; known are exec, thumbnails, transcode\n");
}

TEST_F(DocumentTest, KeysThatAPatternAllowsAreKnown) {
  kinds_.add(kind("copy", R"({"type": "object", "additionalProperties": false, "properties": {"inputs": {
      "type": "object", "additionalProperties": false, "patternProperties": {"^[a-z]+$": {"type": "string"}}}}})"));
  const Document document = right("version: 1\nsteps:\n  a: {kind: copy, inputs: {film: $source}}\n");
  EXPECT_EQ(document.steps[0].sources, std::vector<std::string>{"/inputs/film"});
  const std::string told = wrong("version: 1\nsteps:\n  a: {kind: copy, inputs: {FILM: $source}}\n");
  EXPECT_TRUE(told.starts_with("3:")) << told;
  EXPECT_NE(told.find("FILM"), std::string::npos) << told;
}

TEST_F(DocumentTest, APipelineIsNoStepOfAPipeline) {
  EXPECT_EQ(wrong("version: 1\nsteps:\n  a: {kind: pipeline}\n"),
            "3:13 there is no kind \"pipeline\"; known are exec, thumbnails, transcode\n");
}

TEST_F(DocumentTest, ACircleIsNamed) {
  EXPECT_EQ(wrong(R"(version: 1
steps:
  a: {kind: exec, needs: [b]}
  b: {kind: thumbnails, input: $steps.c.x}
  c: {kind: exec, needs: [a]}
)"),
            "5:27 the steps need each other in a circle: a -> b -> c -> a\n");
  EXPECT_EQ(wrong("version: 1\nsteps:\n  a: {kind: exec, needs: [a]}\n"),
            "3:27 the steps need each other in a circle: a -> a\n");
}

TEST_F(DocumentTest, MissingStepsArePointedAt) {
  EXPECT_EQ(wrong(R"(version: 1
steps:
  ladder: {kind: exec, needs: [laddr]}
  thumbs: {kind: thumbnails, input: $steps.lader.mp4}
)"),
            "3:32 there is no step \"laddr\", did you mean \"ladder\"?\n"
            "4:37 there is no step \"lader\", did you mean \"ladder\"?\n");
}

TEST_F(DocumentTest, WrongReferencesArePointedAt) {
  EXPECT_EQ(wrong("version: 1\nsteps:\n  a: {kind: thumbnails, input: $sorce}\n"),
            "3:32 \"$sorce\" is no reference: write $source, $steps.NAME or $steps.NAME.OUTPUT\n");
  EXPECT_EQ(wrong("version: 1\nsteps:\n  a: {kind: exec}\n  b: {kind: thumbnails, input: $steps.a.}\n"),
            "4:32 \"$steps.a.\" is no reference: write $steps.NAME or $steps.NAME.OUTPUT\n");
}

TEST_F(DocumentTest, AnOptionalStepCannotBeReliedOn) {
  EXPECT_EQ(wrong("version: 1\nsteps:\n  a: {kind: exec, optional: true}\n  b: {kind: thumbnails, input: "
                  "$steps.a.x}\n"),
            "4:32 \"a\" is optional and may give nothing: make \"b\" optional as well, or \"a\" not\n");
}

TEST_F(DocumentTest, DuplicateKeysAreRefused) {
  EXPECT_EQ(wrong("version: 1\nsteps:\n  a: {kind: exec}\n  a: {kind: exec}\n"),
            "4:3 the key \"a\" stands here twice; first in line 3\n");
}

TEST_F(DocumentTest, TheShapeOfStepsIsChecked) {
  EXPECT_EQ(wrong("version: 1\nsteps: []\n"), "2:8 steps must be a map of at least one step\n");
  EXPECT_EQ(wrong("version: 1\nsteps:\n  a: exec\n"), "3:6 the step \"a\" must be a map with the key kind\n");
  EXPECT_EQ(wrong("version: 1\nsteps:\n  a: {optional: 1}\n"),
            "3:3 the step \"a\" has no kind\n3:17 optional must be true or false\n");
  EXPECT_EQ(wrong("version: 1\nsteps:\n  a: {kind: 3}\n"), "3:13 kind must be a string\n");
  EXPECT_EQ(wrong("version: 1\nsteps:\n  a: {kind: exec, needs: b}\n"),
            "3:26 needs must be a list of steps, like [ladder, captions]\n");
  EXPECT_EQ(wrong("version: 1\nsteps:\n  a: {kind: exec, needs: [3]}\n"),
            "3:27 needs must be a list of names of steps\n");
  EXPECT_EQ(wrong("version: 1\nsteps:\n  b: {kind: exec}\n  a: {kind: exec, needs: [b, b]}\n"),
            "4:30 the need \"b\" stands here twice\n");
  EXPECT_EQ(wrong("[1]"), "1:1 a pipeline is a map with the keys version and steps\n");
  EXPECT_EQ(wrong("version: 1\nname: [x]\nsteps: {a: {kind: exec}}\n"), "2:7 name must be a string\n");
}

TEST_F(DocumentTest, TooManyStepsAreRefused) {
  std::string text = "version: 1\nsteps:\n";
  for (std::size_t i = 0; i <= kMostSteps; ++i) text += "  s" + std::to_string(i) + ": {kind: exec}\n";
  EXPECT_EQ(wrong(text), "3:3 201 steps; at most 200 are accepted\n");
}

TEST_F(DocumentTest, YamlThatCannotBeReadIsPointedAt) {
  EXPECT_EQ(wrong("version: 1\nsteps: {a: {kind: exec}\n"),
            "3:1 not valid YAML: end of map flow not found\n");
  for (const char* indented : {"\ta: b", "\t a: {kind: exec}"})
    EXPECT_EQ(wrong(fmt::format("version: 1\nsteps:\n{}\n", indented)),
              "3:1 tabs are not allowed for indentation: use spaces\n");
  EXPECT_EQ(wrong("version: 1\nsteps:\n  \ta: b\n"),
            "3:3 tabs are not allowed for indentation: use spaces\n");
  EXPECT_EQ(wrong(""), "1:1 the document is empty\n");
  EXPECT_EQ(wrong("version: 1\nname: a\xff\n"), "2:8 not a text in UTF-8\n");
  EXPECT_EQ(wrong(std::string_view("version: 1\0", 11)), "1:11 not a text in UTF-8\n");
}

TEST_F(DocumentTest, ASecondDocumentIsRefused) {
  EXPECT_EQ(wrong("version: 1\n---\nversion: 1\n").substr(0, 34), "2:1 a second document begins here;");
}

TEST_F(DocumentTest, AliasesMergeKeysAndTagsAreRefused) {
  EXPECT_EQ(wrong("version: 1\nsteps:\n  a: &x {kind: exec}\n  b: *x\n"),
            "4:6 aliases (*name) are not accepted: write the value out\n");
  EXPECT_EQ(wrong("a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n").substr(0, 12), "2:8 aliases ");
  EXPECT_EQ(wrong("version: 1\nsteps:\n  <<: {kind: exec}\n"),
            "3:3 merge keys (<<) are not accepted: write the keys out\n");
  EXPECT_EQ(wrong("version: !!int 1\n"), "1:10 tags (tag:yaml.org,2002:int) are not accepted\n");
  EXPECT_EQ(wrong("version: .inf\n"), "1:10 a number must be finite\n");
  EXPECT_EQ(wrong("? [a]\n: 1\n"), "1:3 a key must be a word, not a list or a map\n");
}

TEST_F(DocumentTest, DepthAndSizeAndPartsHaveLimits) {
  EXPECT_EQ(wrong(std::string(100, '[') + std::string(100, ']')), "1:33 nested deeper than 32\n");
  EXPECT_NE(wrong(std::string(200000, '[')), "");
  EXPECT_NE(wrong(std::string(kMostDocumentBytes + 1, 'x')).find("at most 262144 are accepted"),
            std::string::npos);
  std::string many = "[";
  for (std::size_t i = 0; i <= kMostParts; ++i) many += "1,\n";
  EXPECT_NE(wrong(many + "]").find("more than 10000 values"), std::string::npos);
}

TEST_F(DocumentTest, ComplaintsHaveALimitAndTheRestIsCounted) {
  std::string text = "version: 1\nsteps: {a: {kind: exec}}\n";
  for (int i = 0; i < 60; ++i) text += "key" + std::to_string(i) + ": 1\n";
  const auto result = parse_pipeline(text, "p.yaml", environment_);
  ASSERT_FALSE(result);
  EXPECT_TRUE(result.error().message.ends_with("p.yaml: and 10 more")) << result.error().message;
}

TEST_F(DocumentTest, ALongLineIsShownAroundThePlace) {
  const std::string text = "{\"version\": 1, \"steps\": {\"a\": {\"kind\": \"exec\", \"command\": \"" +
                           std::string(300, 'x') + "\"}}, \"stepz\": 1, \"more\": \"" +
                           std::string(300, 'y') + "\"}";
  const auto result = parse_pipeline(text, "p.json", environment_);
  ASSERT_FALSE(result);
  std::istringstream lines(result.error().message);
  for (std::string line; std::getline(lines, line);) EXPECT_LT(line.size(), 130u);
}

TEST_F(DocumentTest, StringsOfJsonKeepTheirEscapes) {
  const Document document =
      right(R"({"version": 1, "steps": {"a": {"kind": "exec", "command": "a\tb\u00e9\/\n\"x\""}}})");
  EXPECT_EQ(document.steps[0].args["command"], "a\tb\u00e9/\n\"x\"");
}

TEST_F(DocumentTest, ParametersOutsideADocumentAreCheckedInTheSameWay) {
  const Kind* thumbnails = kinds_.find("thumbnails");
  EXPECT_EQ(*check_parameters(*thumbnails, {{"input", "file:/a"}, {"every", "10s"}}, environment_),
            (Json{{"input", "file:/a"}, {"every", 10.0}}));
  const auto result = check_parameters(*thumbnails, {{"input", "file:/a"}, {"every", 10}}, environment_);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().message,
            "thumbnails: every: 10 needs a unit: expected a duration with a unit, like 10s");
}

}  // namespace
}  // namespace spool::pipeline
