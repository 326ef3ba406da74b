#include "base/units.h"

#include <gtest/gtest.h>

namespace spool {
namespace {

TEST(Units, DurationsAreReadWithTheirUnits) {
  EXPECT_DOUBLE_EQ(*parse_duration("10s"), 10);
  EXPECT_DOUBLE_EQ(*parse_duration("1m30s"), 90);
  EXPECT_DOUBLE_EQ(*parse_duration("250ms"), 0.25);
  EXPECT_DOUBLE_EQ(*parse_duration("1.5h"), 5400);
  EXPECT_DOUBLE_EQ(*parse_duration("2d"), 172800);
  EXPECT_DOUBLE_EQ(*parse_duration("1d2h3m4s5ms"), 93784.005);
  EXPECT_DOUBLE_EQ(*parse_duration("0s"), 0);
}

void expect_no_duration(std::string_view text, std::string_view why) {
  const auto result = parse_duration(text);
  ASSERT_FALSE(result) << text;
  EXPECT_EQ(result.error().code, Code::kInvalidArgument);
  EXPECT_NE(result.error().message.find(why), std::string::npos) << result.error().message;
  EXPECT_NE(result.error().message.find("write 10s"), std::string::npos) << result.error().message;
}

TEST(Units, WrongDurationsSayWhatIsWrong) {
  expect_no_duration("", "it is empty");
  expect_no_duration("10", "the unit is missing");
  expect_no_duration("10x", "\"x\" is no unit of time");
  expect_no_duration("10S", "\"S\" is no unit of time");
  expect_no_duration("s", "a number must come first");
  expect_no_duration("-5s", "a number must come first");
  expect_no_duration("1.2.3s", "a number must come first");
  expect_no_duration("10s1m", "from large to small");
  expect_no_duration("1s2s", "each once");
  expect_no_duration("10 s", "the unit is missing");
  expect_no_duration("9999999d", "longer than ten years");
  expect_no_duration("1e3s", "\"e\" is no unit of time");
}

TEST(Units, SizesAreReadWithTheirUnits) {
  EXPECT_EQ(*parse_size("500B"), 500);
  EXPECT_EQ(*parse_size("16KiB"), 16384);
  EXPECT_EQ(*parse_size("1.5GB"), 1500000000);
  EXPECT_EQ(*parse_size("2 MiB"), 2097152);
}

TEST(Units, WrongSizesSayWhatIsWrong) {
  EXPECT_NE(parse_size("16").error().message.find("the unit is missing"), std::string::npos);
  EXPECT_NE(parse_size("16Kib").error().message.find("no unit of size"), std::string::npos);
  EXPECT_NE(parse_size("KiB").error().message.find("a number must come first"), std::string::npos);
  EXPECT_NE(parse_size("99999999999TB").error().message.find("too large"), std::string::npos);
}

}  // namespace
}  // namespace spool
