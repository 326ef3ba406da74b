#include "base/json.h"

#include <gtest/gtest.h>

namespace spool {
namespace {

TEST(JsonText, IsParsedOrRefusedWithThePosition) {
  EXPECT_EQ(parse_json(R"({"a":[1,2.5,null,true,"x"]})").value(),
            Json({{"a", {1, 2.5, nullptr, true, "x"}}}));
  const auto broken = parse_json("{\"a\":1,}", "the document");
  ASSERT_FALSE(broken);
  EXPECT_EQ(broken.error().code, Code::kInvalidArgument);
  EXPECT_EQ(broken.error().message, "the document: not valid JSON at byte 8");
}

TEST(JsonText, WithANumberBeyondAllRangesIsRefusedAndThrowsNothing) {
  EXPECT_EQ(parse_json("[1e999]").error().code, Code::kInvalidArgument);
}

TEST(JsonText, ThatIsNoUtf8IsRefused) {
  EXPECT_EQ(parse_json("\"\xff\"").error().code, Code::kInvalidArgument);
}

TEST(JsonText, NestedTooDeepIsRefused) {
  EXPECT_TRUE(parse_json(std::string(64, '[') + std::string(64, ']')));
  EXPECT_EQ(parse_json(std::string(65, '[') + std::string(65, ']')).error().code, Code::kLimitExceeded);
  EXPECT_EQ(parse_json(std::string(1 << 20, '[')).error().code, Code::kLimitExceeded);
}

TEST(JsonText, WithTooManyValuesIsRefused) {
  EXPECT_TRUE(parse_json("[1,2]", "it", 3));
  EXPECT_EQ(parse_json("[1,2,3]", "it", 3).error().message, "it: more than 3 values");
}

TEST(JsonText, WithAHundredThousandObjectsTakesLinearTime) {
  // Quadratic parsing would take minutes.
  std::string text = "[";
  for (int i = 0; i < 100'000; ++i) text += R"({"kind":"x"},)";
  text.back() = ']';
  EXPECT_EQ(parse_json(text).value().size(), 100'000u);
}

}  // namespace
}  // namespace spool
