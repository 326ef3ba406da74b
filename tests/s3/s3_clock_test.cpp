// A machine whose clock is off by more than the service allows: requests are signed with the service's time.
#include <algorithm>
#include <atomic>

#include "s3/faulty_bucket.h"
#include "s3/plain_client.h"
#include "support/logged.h"

namespace spool {
namespace {

using namespace std::chrono_literals;
using test::film, test::file_of, test::kPart;

class S3ClockOff : public test::FaultyBucket {
 protected:
  void SetUp() override {
    FaultyBucket::SetUp();
    const auto right = config_.clock;
    config_.clock = [this, right] { return right() + Duration(off_.load()); };
  }
  std::unique_ptr<S3ObjectStore> off_by(Duration off) {
    off_ = off.count();
    faults().ask({{"clear", true}});
    return S3ObjectStore::at(config_).value();
  }
  [[nodiscard]] int warnings() const {
    const std::string text = logged_.text();
    int lines = 0;
    for (auto at = text.find("set it (NTP)"); at != std::string::npos; at = text.find("set it (NTP)", at + 1))
      ++lines;
    return lines;
  }

  std::atomic<Duration::rep> off_ = 0;
  test::Logged logged_;
};

TEST_F(S3ClockOff, TheServicesTimeIsLearnedOnceAndKept) {
  const auto store = off_by(61min);
  EXPECT_EQ(count("^GET "), 2) << "a listing, and the same signed anew";
  ASSERT_TRUE(store->put("k", test::bytes("v")));
  EXPECT_EQ(store->get("k", 100), "v");
  EXPECT_EQ(count("/k$"), 2);
  EXPECT_EQ(warnings(), 1) << logged_.text();
  const std::string text = logged_.text();
  EXPECT_NE(text.find("clock is 61 minutes ahead of that of the S3 service"), std::string::npos) << text;
}

TEST_F(S3ClockOff, ItMayBeBehindToo) {
  EXPECT_EQ(off_by(-25h)->get("k", 100).error().code, Code::kNotFound);
  const std::string text = logged_.text();
  EXPECT_NE(text.find("clock is 1500 minutes behind that of the S3 service"), std::string::npos) << text;
}

TEST_F(S3ClockOff, EverythingIsSignedWithTheServicesTime) {
  config_.copy_part_bytes = kPart;
  const auto store = off_by(61min);
  const std::string made = film(kPart + 1);
  ASSERT_TRUE(store->put_file("film", file_of(made).get()));
  rule({{"method", "PUT"}, {"target", "/copy$"}, {"answer", 400}, {"code", "InvalidRequest"}});
  ASSERT_TRUE(store->copy("film", "copy")) << "in parts, which libcurl does not sign";
  EXPECT_TRUE(store->get("copy", made.size()) == made);
  const std::string url = store->presign(S3ObjectStore::Method::kGet, "copy", 60s).value();
  EXPECT_TRUE(test::ask(url).body == made);
  EXPECT_EQ(warnings(), 1) << logged_.text();
}

TEST_F(S3ClockOff, AClockThatJumpsMeanwhileIsNoticedWhateverIsAsked) {
  const auto store = off_by(0s);
  ASSERT_TRUE(store->put("k", test::bytes("v")));
  EXPECT_EQ(warnings(), 0);
  off_ = Duration(2h).count();
  EXPECT_TRUE(store->stat("k").value()) << "the answer to a HEAD does not say why";
  off_ = 0;
  EXPECT_EQ(store->get("k", 100), "v") << "it was set right";
  EXPECT_EQ(warnings(), 1) << logged_.text();
  EXPECT_NE(logged_.text().find("agrees with that of the S3 service again"), std::string::npos)
      << logged_.text();
}

TEST_F(S3ClockOff, ASinkHasNothingOfTheRefusal) {
  const auto store = off_by(0s);
  ASSERT_TRUE(store->put("k", test::bytes("0123456789")));
  const ByteSource source = store->open("k").value();
  off_ = Duration(-2h).count();
  EXPECT_EQ(test::read_range(source, 3, 4), "3456");
}

}  // namespace
}  // namespace spool
