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

TEST(JsonNumber, ThatIsNoWholeNumberOrTooLargeIsRefusedInsteadOfCutOff) {
  EXPECT_EQ(read_value<int>(Json(-7)), -7);
  EXPECT_EQ(read_value<std::uint8_t>(Json(255)), 255);
  EXPECT_EQ(read_value<std::int64_t>(Json(INT64_MIN)), INT64_MIN);
  EXPECT_EQ(read_value<std::uint64_t>(Json(UINT64_MAX)), UINT64_MAX);
  EXPECT_EQ(read_value<double>(Json(1e30)), 1e30);
  EXPECT_EQ(read_value<std::vector<int>>(Json{1, 2}), (std::vector{1, 2}));
  EXPECT_THROW((void)read_value<int>(Json(1e30)), Json::exception);
  EXPECT_THROW((void)read_value<int>(Json(1.5)), Json::exception);
  EXPECT_THROW((void)read_value<int>(Json(true)), Json::exception);
  EXPECT_THROW((void)read_value<int>(Json(std::int64_t{1} << 31)), Json::exception);
  EXPECT_THROW((void)read_value<unsigned>(Json(-1)), Json::exception);
  EXPECT_THROW((void)read_value<std::int64_t>(Json(UINT64_MAX)), Json::exception);
  EXPECT_THROW((void)read_value<std::vector<int>>(Json{1, 1e30}), Json::exception);
  EXPECT_THROW((void)read_value<std::vector<int>>(Json(1)), Json::exception);
}

}  // namespace
}  // namespace spool
