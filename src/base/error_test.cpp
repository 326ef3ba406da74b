#include "base/error.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace spool {
namespace {

TEST(ErrorTable, EveryCodeKeepsItsPlaceAndName) {
  for (int i = 0; i <= static_cast<int>(Code::kInternal); ++i) {
    const auto code = static_cast<Code>(i);
    EXPECT_EQ(code_from_name(name(code)), code) << name(code);
  }
  EXPECT_EQ(code_from_name("no such code"), Code::kInternal);
}

TEST(ErrorTable, AFullDiskIsWorthARetryAndADamagedFilmIsNot) {
  EXPECT_EQ(disposition(errno_error(ENOSPC, "x").code), Disposition::kRetry);
  EXPECT_EQ(disposition(Code::kCorruptInput), Disposition::kGiveUp);
  EXPECT_EQ(disposition(Code::kInDoubt), Disposition::kInDoubt);
}

Result<int> twice(Result<int> in) {
  SPOOL_ASSIGN(int value, in);
  return 2 * value;
}

TEST(Result, AnErrorTravelsUpward) {
  EXPECT_EQ(twice(4).value(), 8);
  EXPECT_EQ(twice(fail(Code::kTimeout, "late")).error().message, "late");
}

}  // namespace
}  // namespace spool
