#include "base/utf8.h"

#include <gtest/gtest.h>

namespace spool {
namespace {

TEST(Utf8, CharactersOfEachLengthAreText) {
  EXPECT_TRUE(is_utf8_text(""));
  EXPECT_TRUE(is_utf8_text("a \x7f \xc3\xa9 \xe2\x82\xac \xed\x9f\xbf \xf0\x9f\x8e\xac \xf4\x8f\xbf\xbf"));
}

TEST(Utf8, WhatIsNoCharacterIsReplacedByteByByte) {
  struct Case {
    std::string_view bytes, text;
  };
  constexpr std::string_view kBad = "\xef\xbf\xbd";
  for (const Case& c : {
           Case{std::string_view("a\0b", 3),
                "a\xef\xbf\xbd"
                "b"},
           Case{"\x80", kBad},
           Case{"\xc3", kBad},
           Case{"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"},
           Case{"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
           Case{"\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd"},
           Case{"\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
           Case{"\xff", kBad},
       }) {
    EXPECT_FALSE(is_utf8_text(c.bytes));
    EXPECT_EQ(to_utf8_text(c.bytes), c.text);
    EXPECT_TRUE(is_utf8_text(to_utf8_text(c.bytes)));
  }
  EXPECT_EQ(to_utf8_text("plain \xc3\xa9"), "plain \xc3\xa9");
}

TEST(CleanText, IsOneLineCutBetweenCharactersAndWithoutControlCharactersOfAnyKind) {
  EXPECT_EQ(clean_text("Grüße"), "Grüße");
  EXPECT_EQ(clean_text("a\xff"
                       "b\xc3"),
            "a\xEF\xBF\xBD"
            "b\xEF\xBF\xBD");
  EXPECT_EQ(clean_text("\xed\xa0\x80"), "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");  // a surrogate
  EXPECT_EQ(clean_text("one\ntwo\x1b\t\x7f"), "one two   ");
  EXPECT_EQ(clean_text(std::string_view("a\0b", 3)), "a b");
  EXPECT_EQ(clean_text("a\xC2\x9B"
                       "2Jb\xC2\xA0"),
            "a 2Jb\xC2\xA0");
  EXPECT_EQ(clean_text("üü", 3), "ü");
  EXPECT_EQ(clean_text("\xFF\xFF", 4), "\xEF\xBF\xBD");
}

}  // namespace
}  // namespace spool
