#include "base/json_schema.h"

#include <gtest/gtest.h>

#include "base/schema_explanation.h"

namespace spool {
namespace {

JsonSchema schema_of(const char* text) {
  auto schema = JsonSchema::compile(Json::parse(text));
  EXPECT_TRUE(schema) << schema.error().message;
  return *schema;
}

const JsonSchema& thumbnails() {
  static const JsonSchema schema = schema_of(R"({
    "type": "object", "additionalProperties": false, "required": ["input"],
    "properties": {
      "input":  {"type": "string", "minLength": 1},
      "every":  {"type": "string", "pattern": "^[0-9]+(ms|s|m)$", "examples": ["10s", "500ms"]},
      "width":  {"type": "integer", "minimum": 16, "maximum": 4096, "multipleOf": 2},
      "format": {"enum": ["jpeg", "png"]},
      "rungs":  {"type": "array", "maxItems": 2, "uniqueItems": true,
                 "items": {"type": "object", "properties": {"height": {"$ref": "#/definitions/size"}}}},
      "at":     {"anyOf": [{"type": "number"}, {"type": "string", "pattern": "%$", "examples": ["10%"]}]}
    },
    "definitions": {"size": {"type": "integer", "exclusiveMinimum": 0}}})");
  return schema;
}

std::vector<SchemaViolation> faults(const char* text) {
  return thumbnails().violations(Json::parse(text));
}
using Found = std::vector<SchemaViolation>;

TEST(JsonSchema, AValueThatFitsHasNoViolations) {
  EXPECT_EQ(faults(R"({"input": "$source", "every": "10s", "width": 320, "format": "png",
                       "rungs": [{"height": 720}], "at": "10%"})"),
            Found{});
}

TEST(JsonSchema, AnUnknownKeyIsNamedWithTheNearestAllowedOne) {
  EXPECT_EQ(
      faults(R"({"input": "a", "widht": 3})"),
      (Found{{"/widht",
              "unknown key 'widht' (did you mean 'width'?); allowed: at, every, format, input, rungs, width",
              true}}));
}

TEST(JsonSchema, AMissingKeyPointsAtTheObjectThatLacksIt) {
  EXPECT_EQ(faults("{}"), (Found{{"", "the key 'input' is missing"}}));
}

TEST(JsonSchema, AWrongTypeSaysBoth) {
  EXPECT_EQ(faults(R"({"input": "a", "width": "wide"})"),
            (Found{{"/width", "width: must be a whole number, is text (\"wide\")"}}));
  EXPECT_EQ(faults("[]"), (Found{{"", "must be a mapping, is a list ([])"}}));
}

TEST(JsonSchema, AWrongUnitIsToldByExample) {
  EXPECT_EQ(faults(R"({"input": "a", "every": "10 parsecs"})"),
            (Found{{"/every", "every: must be such as 10s, 500ms; is \"10 parsecs\""}}));
}

TEST(JsonSchema, RangesAndChoicesSayWhatIsAllowed) {
  EXPECT_EQ(faults(R"({"input": "a", "width": 8})"), (Found{{"/width", "width: must be at least 16; is 8"}}));
  EXPECT_EQ(faults(R"({"input": "a", "width": 5000})"),
            (Found{{"/width", "width: must be at most 4096; is 5000"}}));
  EXPECT_EQ(faults(R"({"input": "a", "width": 33})"),
            (Found{{"/width", "width: must be a multiple of 2; is 33"}}));
  EXPECT_EQ(faults(R"({"input": "", "format": "gif"})"),
            (Found{{"/format", "format: must be one of jpeg, png; is \"gif\""},
                   {"/input", "input: must have at least 1 characters; has 0"}}));
}

TEST(JsonSchema, ThePathLeadsIntoListsAndReferences) {
  EXPECT_EQ(faults(R"({"input": "a", "rungs": [{"height": 1}, {"height": 0}]})"),
            (Found{{"/rungs/1/height", "rungs[1].height: must be more than 0; is 0"}}));
  EXPECT_EQ(faults(R"({"input": "a", "rungs": [{}, {}]})"),
            (Found{{"/rungs/1", "rungs[1]: stands in the list twice"}}));
}

TEST(JsonSchema, OfSeveralFormsTheOneThatWasMeantIsExplained) {
  EXPECT_EQ(faults(R"({"input": "a", "at": "10"})"), (Found{{"/at", "at: must be such as 10%; is \"10\""}}));
  EXPECT_EQ(faults(R"({"input": "a", "at": true})"),
            (Found{{"/at", "at: must be a number or text; is true or false (true)"}}));
}

TEST(JsonSchema, AKeyWithASlashIsEscapedInThePointer) {
  const auto found = faults(R"({"input": "a", "a/b~c": 1})");
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].pointer, "/a~1b~0c");
}

TEST(JsonSchema, WhatTheExplanationDoesNotKnowIsStillRefused) {
  const JsonSchema schema = schema_of(R"({"properties": {"a": {"not": {"type": "string"}}}})");
  EXPECT_TRUE(schema.violations(Json::parse(R"({"a": 1})")).empty());
  const auto found = schema.violations(Json::parse(R"({"a": "x"})"));
  ASSERT_FALSE(found.empty());
  EXPECT_EQ(found[0].pointer, "/a");
}

TEST(JsonSchema, AVeryLongStringIsNotGivenToARegularExpression) {
  Json value = {{"input", "a"}, {"every", std::string(1 << 20, '1')}};
  const auto found = thumbnails().violations(value);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].message, "every: is longer than 4096 bytes");
}

TEST(JsonSchema, ASchemaThatIsNoneIsRefused) {
  EXPECT_FALSE(JsonSchema::compile(Json::array()));
  EXPECT_FALSE(JsonSchema::compile(Json::parse(R"({"type": "strin"})")));
  EXPECT_FALSE(JsonSchema::compile(Json::parse(R"({"properties": {"a": {"pattern": "("}}})")));
  EXPECT_FALSE(
      JsonSchema::compile(Json::parse(R"({"properties": {"a": {"$ref": "https://example.org/x"}}})")));
}

TEST(JsonSchema, ASchemaThatRefersToItselfEnds) {
  const JsonSchema schema = schema_of(
      R"({"type": "object", "additionalProperties": false, "properties": {"next": {"$ref": "#"}}})");
  EXPECT_TRUE(schema.violations(Json::parse(R"({"next": {"next": {}}})")).empty());
  EXPECT_EQ(schema.violations(Json::parse(R"({"next": {"nxt": {}}})")),
            (Found{{"/next/nxt", "next: unknown key 'nxt' (did you mean 'next'?); allowed: next", true}}));
}

TEST(JsonSchema, TheErrorNamesTheDocumentAndKeepsToTheFirstEight) {
  const JsonSchema numbers = schema_of(R"({"items": {"type": "integer"}})");
  const auto checked = check_schema(numbers, Json(std::vector<std::string>(10, "x")), "args of 'sum'");
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().code, Code::kInvalidArgument);
  EXPECT_TRUE(checked.error().message.starts_with(
      "args of 'sum': [0]: must be a whole number, is text (\"x\"); [1]"));
  EXPECT_TRUE(checked.error().message.ends_with("; and 2 more"));
}

TEST(NearestWord, OnlyWordsThatAreNearAreOffered) {
  EXPECT_EQ(nearest_word("transcod", {"probe", "transcode"}), "transcode");
  EXPECT_EQ(nearest_word("xyz", {"probe", "transcode"}), "");
}

}  // namespace
}  // namespace spool
