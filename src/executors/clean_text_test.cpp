#include "executors/process/clean_text.h"

#include <gtest/gtest.h>

namespace spool::process {
namespace {

TEST(CleanText, KeepsLinesAndDropsWhatATerminalWouldObey) {
  EXPECT_EQ(clean_log("a\tb\nc"), "a\tb\nc");
  EXPECT_EQ(clean_log("\x1b[31mred\x1b[0m \x1b]0;title\x07!"), "red ]0;title!");
  EXPECT_EQ(clean_log("50%\r100%\r\n"), "50%\n100%\n");
  EXPECT_EQ(clean_log("a\x01\x7f\xc2\x9b"
                      "31mb"),
            "a31mb");
}

TEST(CleanText, ReplacesBrokenUtf8) {
  EXPECT_EQ(clean_log("h\xc3\xa4user \xe2\x82\xac \xf0\x9f\x8e\xac"), "häuser € 🎬");
  EXPECT_EQ(clean_log("\xc3"), "?");
  EXPECT_EQ(clean_log("\xc0\xaf\xed\xa0\x80"), "?????");  // overlong, surrogate
}

TEST(CleanText, APrintableLineHasNoBreaksAndALimit) {
  EXPECT_EQ(printable("a\nb\x1b", 10), "a?b?");
  EXPECT_EQ(printable("häuser", 2), "h");  // never half a letter
}

TEST(Tail, KeepsTheEndFromALinesStart) {
  Tail tail(10);
  tail.append("first\n");
  EXPECT_EQ(tail.text(), "first\n");
  for (int i = 0; i < 100; ++i) tail.append("123\n");
  EXPECT_EQ(tail.text(), "123\n123\n");
  tail.append(std::string(50, 'x'));
  tail.append("\nend\n");
  EXPECT_EQ(tail.text(), "end\n");
  tail.clear();
  EXPECT_EQ(tail.text(), "");
}

}  // namespace
}  // namespace spool::process
