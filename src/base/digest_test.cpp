#include "base/digest.h"

#include <gtest/gtest.h>

namespace spool {
namespace {

std::string md5_hex(std::initializer_list<std::string_view> pieces) {
  Md5Sum sum;
  for (const std::string_view piece : pieces) sum.add(std::as_bytes(std::span(piece)));
  return hex(sum.end());
}

std::string base64_of(std::string_view text) {
  return base64({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}

TEST(Digest, Md5GivesTheSumsOfItsStandard) {  // RFC 1321 A.5
  EXPECT_EQ(md5_hex({}), "d41d8cd98f00b204e9800998ecf8427e");
  EXPECT_EQ(md5_hex({"message digest"}), "f96b697d7cb7938d525a2f31aaf161d0");
  EXPECT_EQ(md5_hex({"mess", "", "age digest"}), "f96b697d7cb7938d525a2f31aaf161d0") << "piece by piece";
}

TEST(Digest, HmacGivesTheSumsOfItsStandard) {  // RFC 4231 4.3 and 4.7
  const std::string_view jefe = "Jefe";
  EXPECT_EQ(hex(hmac_sha256({reinterpret_cast<const std::uint8_t*>(jefe.data()), jefe.size()},
                            "what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(hex(hmac_sha256(std::vector<std::uint8_t>(131, 0xaa),
                            "Test Using Larger Than Block-Size Key - Hash Key First")),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST(Digest, Base64IsPadded) {  // RFC 4648 section 10
  EXPECT_EQ(base64_of(""), "");
  EXPECT_EQ(base64_of("f"), "Zg==");
  EXPECT_EQ(base64_of("fo"), "Zm8=");
  EXPECT_EQ(base64_of("foobar"), "Zm9vYmFy");
}

}  // namespace
}  // namespace spool
