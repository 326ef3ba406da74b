#include "base/id.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <set>

namespace spool {
namespace {

TEST(Uuid, Version7IdsIncreaseAndCarryTheirVersion) {
  Uuid last;
  for (int i = 0; i < 10000; ++i) {
    const Uuid id = Uuid::v7();
    EXPECT_LT(last, id);
    EXPECT_EQ(id.bytes[6] >> 4, 7);
    EXPECT_EQ(id.bytes[8] >> 6, 2);
    last = id;
  }
}

TEST(Uuid, TextGoesThereAndBack) {
  const Uuid id = Uuid::v7();
  EXPECT_EQ(Uuid::parse(id.text()).value(), id);
  EXPECT_FALSE(Uuid::parse("").has_value());
  EXPECT_FALSE(Uuid::parse("0192d5f0-aaaa-7bbb-8ccc-00000000000g").has_value());
  EXPECT_FALSE(Uuid::parse("0192d5f0aaaa7bbb8ccc0000000000001234").has_value());
}

TEST(Uuid, ADigestGivesTheSameIdEachTime) {
  EXPECT_EQ(Uuid::from_digest_of("a"), Uuid::from_digest_of("a"));
  EXPECT_NE(Uuid::from_digest_of("a"), Uuid::from_digest_of("b"));
}

TEST(Token, RandomOnesDoNotRepeat) {
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) seen.insert(Token::random().text());
  EXPECT_EQ(seen.size(), 1000u);
}

TEST(Token, AForkedChildDoesNotRepeatItsParents) {
  static_cast<void>(Token::random());  // both have random bytes left over from this one
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe(ends.data()), 0);
  const pid_t child = fork();
  if (child == 0) {
    const Token token = Token::random();
    _exit(write(ends[1], token.bytes.data(), token.bytes.size()) == 16 ? 0 : 1);
  }
  ASSERT_GT(child, 0);
  Token theirs;
  EXPECT_EQ(read(ends[0], theirs.bytes.data(), theirs.bytes.size()), 16);
  EXPECT_NE(theirs, Token::random());
  int status = -1;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  close(ends[0]);
  close(ends[1]);
}

}  // namespace
}  // namespace spool
