// What a service does on a bad day: whatever happens, an object is there whole or not at all, and nothing
// else is left.
#include <atomic>
#include <future>
#include <thread>

#include "s3/faulty_bucket.h"
#include "s3/plain_client.h"

namespace spool {
namespace {

using test::film, test::file_of, test::kPart, test::read_range;
using namespace std::chrono_literals;

class S3Faults : public test::FaultyBucket {
 protected:
  void be_impatient() {
    config_.patience.tries = 2;
    config_.patience.silence = 1s;
    config_.patience.request = 2s;
    store_ = S3ObjectStore::at(config_).value();
  }
  // As AWS puts it.
  const Json too_large_for_one_copy_ = {
      {"method", "PUT"}, {"target", "/copy$"}, {"answer", 400}, {"code", "InvalidRequest"}};

  void expect_nothing_left() {
    test::FaultyBucket::faults().ask({{"clear", true}});
    EXPECT_TRUE(store_->list("").value().empty());
    EXPECT_EQ(store_->sweep_uploads(0s).value(), 0) << "an upload is left behind";
    EXPECT_EQ(test::parts_kept(config_.prefix), "");
  }
};

TEST_F(S3Faults, WhatTheServiceCannotTakeNowIsTriedAgain) {
  for (const int status : {429, 500, 502, 503, 504}) {
    rule({{"method", "PUT"}, {"answer", status}, {"times", 2}});
    EXPECT_TRUE(store_->put(fmt::format("{}", status), test::bytes("v"))) << status;
    EXPECT_EQ(count(fmt::format("^PUT .*/{}$", status)), 3);
  }
  rule({{"method", "PUT"}, {"answer", 503}, {"code", "SlowDown"}, {"headers", {{"Retry-After", "1"}}}});
  EXPECT_TRUE(store_->put("slow", test::bytes("v")));
  rule({{"method", "PUT"}, {"answer", 400}, {"code", "RequestTimeout"}});
  EXPECT_TRUE(store_->put("late", test::bytes("v")));
}

TEST_F(S3Faults, TriesHaveAnEnd) {
  rule({{"method", "PUT"}, {"answer", 503}, {"code", "SlowDown"}, {"times", -1}});
  const auto put = store_->put("k", test::bytes("v"));
  EXPECT_EQ(put.error().code, Code::kUnavailable);
  EXPECT_NE(put.error().message.find("SlowDown"), std::string::npos) << put.error().message;
  EXPECT_EQ(count("^PUT .*/k$"), config_.patience.tries);
  expect_nothing_left();
}

TEST_F(S3Faults, AServiceThatSaysForHowLongIsLeftAloneSoLong) {
  config_.patience.longest_wait = 5s;
  store_ = S3ObjectStore::at(config_).value();
  rule({{"method", "PUT"}, {"answer", 503}, {"code", "SlowDown"}, {"headers", {{"Retry-After", "1"}}}});
  const auto began = std::chrono::steady_clock::now();
  EXPECT_TRUE(store_->put("slow", test::bytes("v")));
  EXPECT_GE(std::chrono::steady_clock::now() - began, 1s);
}

TEST_F(S3Faults, AnAnswerThatBreaksOffGoesOnWhereItStopped) {
  const std::string made = film(1'000'000);
  ASSERT_TRUE(store_->put("film", test::bytes(made)));
  rule({{"method", "GET"}, {"cut", 300'000}});
  rule({{"method", "GET"}, {"cut", 300'000}, {"reset", true}});
  EXPECT_EQ(store_->get("film", made.size()).value() == made, true);
  EXPECT_EQ(count("^GET .*/film$"), 3);
}

TEST_F(S3Faults, ARangeThatBreaksOffGoesOnWhereItStopped) {
  const std::string made = film(1'000'000);
  ASSERT_TRUE(store_->put("film", test::bytes(made)));
  const ByteSource source = store_->open("film").value();
  rule({{"method", "GET"}, {"cut", 100'000}});
  rule({{"method", "GET"}, {"cut", 100'000}, {"reset", true}});
  rule({{"method", "GET"}, {"answer", 500}});
  EXPECT_EQ(read_range(source, 123'456, 500'000) == made.substr(123'456, 500'000), true);
  EXPECT_EQ(count("^GET .*/film$"), 4);
}

TEST_F(S3Faults, AReplacementBetweenTwoPiecesIsNeverMixedIn) {
  ASSERT_TRUE(store_->put("film", test::bytes(std::string(1'000'000, '1'))));
  const ByteSource source = store_->open("film").value();
  rule({{"method", "GET"}, {"cut", 100'000}, {"times", -1}});
  std::string text(500'000, '\0');
  std::atomic<bool> read = false;
  std::thread writer([&] {
    for (int i = 0; !read; ++i)
      EXPECT_TRUE(store_->put("film", test::bytes(std::string(1'000'000, i % 2 ? '1' : '2'))));
  });
  const auto got = source.read_at(0, std::as_writable_bytes(std::span(text)));
  const auto whole = store_->get("film", 1'000'000);
  read = true;
  writer.join();
  if (got) {
    EXPECT_EQ(text, std::string(500'000, '1'));
  } else {
    EXPECT_TRUE(got.error().code == Code::kConflict || got.error().code == Code::kUnavailable)
        << got.error().message;
  }
  if (whole) {
    EXPECT_TRUE(*whole == std::string(1'000'000, '1') || *whole == std::string(1'000'000, '2'));
  }
}

TEST_F(S3Faults, WhatIsDamagedOnItsWayIsNotTaken) {
  ASSERT_TRUE(store_->put("film", test::bytes("frames")));
  rule({{"method", "GET"}, {"damage", true}});
  EXPECT_EQ(store_->get("film", 100), "frames");
  rule({{"method", "GET"}, {"damage", true}, {"times", -1}});
  EXPECT_EQ(store_->get("film", 100).error().code, Code::kUnavailable);
}

TEST_F(S3Faults, AServiceThatStoredSomethingElseIsFoundOut) {
  rule({{"method", "PUT"}, {"answer", 200}, {"headers", {{"ETag", "\"900150983cd24fb0d6963f7d28e17f72\""}}}});
  const auto put = store_->put("k", test::bytes("v"));
  EXPECT_NE(put.error().message.find("stored something else"), std::string::npos) << put.error().message;
}

TEST_F(S3Faults, AServiceThatIsSilentIsNotWaitedForLong) {
  ASSERT_TRUE(store_->put("k", test::bytes("v")));
  be_impatient();
  rule({{"method", "GET"}, {"stall", true}, {"times", -1}});
  EXPECT_EQ(store_->get("k", 100).error().code, Code::kTimeout);
  rule({{"method", "PUT"}, {"stall", true}, {"times", -1}});
  EXPECT_EQ(store_->copy("k", "other").error().code, Code::kTimeout)
      << "where it has more to do it may be silent longer";
}

TEST_F(S3Faults, WhetherItAnswersIsKnownSoonAlsoWhenItIsSilent) {
  rule({{"stall", true}});
  EXPECT_TRUE(store_->answers()) << "one request may be lost";
  rule({{"stall", true}, {"times", -1}});
  const auto began = BootClock::now();
  EXPECT_EQ(store_->answers().error().code, Code::kTimeout);
  EXPECT_LT(BootClock::now() - began, config_.patience.silence) << "as long as one try of any other request";
}

TEST_F(S3Faults, ACopyOverAConnectionThatIsDeadIsNotWaitedForLong) {
  ASSERT_TRUE(store_->put("k", test::bytes("v")));
  config_.patience.silence = 1s;
  store_ = S3ObjectStore::at(config_).value();
  rule({{"method", "PUT"}, {"stall", true}});
  EXPECT_TRUE(store_->copy("k", "other"));
  EXPECT_EQ(count("^PUT .*/other$"), 2);
}

TEST_F(S3Faults, ALongCopyIsWaitedForLongerWithEachTry) {
  ASSERT_TRUE(store_->put("k", test::bytes("v")));
  config_.patience.silence = 1s;
  store_ = S3ObjectStore::at(config_).value();
  rule({{"method", "PUT"}, {"delay", 2.5}, {"times", -1}});
  EXPECT_TRUE(store_->copy("k", "other"));
  EXPECT_EQ(count("^PUT .*/other$"), 3);
}

TEST_F(S3Faults, AnInterruptedStoreWaitsForNothing) {
  ASSERT_TRUE(store_->put("k", test::bytes("v")));
  const ByteSource source = store_->open("k").value();
  config_.patience.first_wait = config_.patience.longest_wait = 1h;
  const auto patient = S3ObjectStore::at(config_).value();
  rule({{"target", "/(k|stat|put)$|nothing"}, {"stall", true}, {"times", -1}});
  rule({{"target", "/busy$"}, {"answer", 503}, {"times", -1}});
  const auto async = [](auto call) { return std::async(std::launch::async, call); };
  auto get = async([&] { return store_->get("k", 100).error().code; });
  auto read = async([&] {
    std::byte byte;
    return source.read_at(0, std::span(&byte, 1)).error().code;
  });
  auto stat = async([&] { return store_->stat("stat").error().code; });
  auto put = async([&] { return store_->put("put", test::bytes("v")).error().code; });
  auto answers = async([&] { return store_->answers().error().code; });
  auto between_tries = async([&] { return patient->get("busy", 100).error().code; });
  while (count("/(k|stat|put|busy)$|nothing") < 8) std::this_thread::yield();
  store_->interrupt();
  patient->interrupt();
  for (auto* call : {&get, &read, &stat, &put, &answers}) {
    ASSERT_EQ(call->wait_for(10s), std::future_status::ready)
        << "it is silent for 30 s before it is given up";
    EXPECT_EQ(call->get(), Code::kCancelled);
  }
  ASSERT_EQ(between_tries.wait_for(10s), std::future_status::ready);
  EXPECT_EQ(between_tries.get(), Code::kCancelled);
  EXPECT_EQ(store_->list("").error().code, Code::kCancelled);
}

TEST_F(S3Faults, ASlowAnswerIsWaitedFor) {
  rule({{"delay", 0.2}, {"times", 2}});
  ASSERT_TRUE(store_->put("k", test::bytes("v")));
  EXPECT_EQ(store_->get("k", 100), "v");
  EXPECT_EQ(count("/k$"), 2) << "and nothing is asked twice";
}

TEST_F(S3Faults, ConnectionsAreUsedAgain) {
  faults().ask({{"clear", true}});
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(store_->put("k", test::bytes("v")));
    ASSERT_EQ(store_->get("k", 100), "v");
  }
  EXPECT_LE(faults().ask({{"connections", true}})["count"], 1);
}

TEST_F(S3Faults, AConnectionThatWasClosedMeanwhileIsReplaced) {
  const std::string made = film(100'000);
  ASSERT_TRUE(store_->put("k", test::bytes("v")));
  rule({{"method", "PUT"}, {"cut_request", 0}});
  ASSERT_TRUE(store_->put("film", test::bytes(made)));
  EXPECT_EQ(store_->get("film", made.size()).value() == made, true);
}

TEST_F(S3Faults, OneFailedPartIsPutAgainAlone) {
  const std::string made = film(2 * kPart + 1000);
  rule({{"method", "PUT"}, {"target", "partNumber=2"}, {"answer", 500}, {"code", "InternalError"}});
  rule({{"method", "PUT"}, {"target", "partNumber=3"}, {"cut_request", 500}});
  const auto put = store_->put_file("film", file_of(made).get());
  ASSERT_TRUE(put) << put.error().message;
  EXPECT_EQ(store_->get("film", made.size()).value() == made, true);
  EXPECT_EQ(count("^PUT .*partNumber=1&"), 1);
  EXPECT_EQ(count("^PUT .*partNumber=2&"), 2);
  EXPECT_EQ(count("^PUT .*partNumber=3&"), 2);
}

TEST_F(S3Faults, AnUploadWhosePartFailsForGoodLeavesNothing) {
  rule({{"method", "PUT"}, {"target", "partNumber=2"}, {"answer", 500}, {"times", -1}});
  EXPECT_EQ(store_->put_file("film", file_of(film(2 * kPart)).get()).error().code, Code::kUnavailable);
  expect_nothing_left();
}

TEST_F(S3Faults, AFailedUploadLeavesTheOlderObject) {
  ASSERT_TRUE(store_->put("film", test::bytes("an older film")));
  rule({{"method", "PUT"}, {"target", "partNumber=1"}, {"cut_request", 100'000}, {"times", -1}});
  EXPECT_FALSE(store_->put_file("film", file_of(film(2 * kPart)).get()));
  EXPECT_EQ(store_->get("film", 100), "an older film");
  EXPECT_EQ(store_->sweep_uploads(0s).value(), 0);
}

TEST_F(S3Faults, AnUploadThatCannotBeEndedLeavesNothing) {
  rule({{"method", "POST"}, {"target", "uploadId="}, {"answer", 503}, {"times", -1}});
  EXPECT_EQ(store_->put_file("film", file_of(film(2 * kPart)).get()).error().code, Code::kUnavailable);
  expect_nothing_left();
}

TEST_F(S3Faults, AnUploadThatCannotBeBegunLeavesNothing) {
  rule({{"method", "POST"}, {"target", "uploads="}, {"answer", 503}, {"times", -1}});
  EXPECT_EQ(store_->put_file("film", file_of(film(2 * kPart)).get()).error().code, Code::kUnavailable);
  expect_nothing_left();
}

// Nobody knows the name of the first one.
TEST_F(S3Faults, AnUploadWhoseBeginningWasNotAnsweredIsSwept) {
  rule({{"method", "POST"}, {"target", "uploads="}, {"answer", 500}, {"done", true}});
  ASSERT_TRUE(store_->put_file("film", file_of(film(2 * kPart)).get()));
  EXPECT_EQ(store_->sweep_uploads(1h).value(), 0);
  EXPECT_EQ(store_->sweep_uploads(0s).value(), 1);
  ASSERT_TRUE(store_->remove("film"));
  expect_nothing_left();
}

TEST_F(S3Faults, AnUploadWhoseEndWasNotAnsweredHasEnded) {
  const std::string made = film(2 * kPart);
  // The service forgets the upload when it has ended.
  rule({{"method", "POST"}, {"target", "uploadId="}, {"answer", 500}, {"done", true}});
  rule({{"method", "POST"}, {"target", "uploadId="}, {"answer", 404}, {"code", "NoSuchUpload"}});
  const auto put = store_->put_file("film", file_of(made).get());
  ASSERT_TRUE(put) << put.error().message;
  EXPECT_EQ(store_->get("film", made.size()).value() == made, true);
  EXPECT_EQ(store_->sweep_uploads(0s).value(), 0);
}

TEST_F(S3Faults, AnErrorBehindAStatusOf200IsAnError) {
  const std::string error =
      "<?xml version='1.0'?><Error><Code>InternalError</Code><Message>m</Message></Error>";
  rule({{"method", "POST"}, {"target", "uploadId="}, {"answer", 200}, {"body", error}});
  EXPECT_TRUE(store_->put_file("film", file_of(film(2 * kPart)).get()));
  ASSERT_TRUE(store_->put("k", test::bytes("v")));
  rule({{"method", "PUT"}, {"answer", 200}, {"body", error}});
  EXPECT_TRUE(store_->copy("k", "copy"));
  EXPECT_EQ(store_->get("copy", 100), "v");
  rule({{"method", "PUT"}, {"answer", 200}, {"body", error}, {"times", -1}});
  EXPECT_EQ(store_->copy("k", "other").error().code, Code::kUnavailable);
}

TEST_F(S3Faults, ACopyIsMadeInPartsWhereTheServiceAsksForIt) {
  const std::string made = film(2 * kPart + 1000);
  ASSERT_TRUE(store_->put_file("film", file_of(made).get()));
  rule(too_large_for_one_copy_);
  ASSERT_TRUE(store_->copy("film", "copy"));
  EXPECT_EQ(store_->get("copy", made.size()).value() == made, true);
  EXPECT_EQ(count("^PUT .*/copy.partNumber="), 3);
}

TEST_F(S3Faults, ACopyInPartsThatFailsLeavesNothing) {
  ASSERT_TRUE(store_->put_file("film", file_of(film(2 * kPart)).get()));
  rule(too_large_for_one_copy_);
  rule({{"method", "PUT"}, {"target", "partNumber=2"}, {"answer", 500}, {"times", -1}});
  EXPECT_EQ(store_->copy("film", "copy").error().code, Code::kUnavailable);
  ASSERT_TRUE(store_->remove("film"));
  expect_nothing_left();
}

TEST_F(S3Faults, ACopyOfWhatIsReplacedMeanwhileIsNoMix) {
  ASSERT_TRUE(store_->put_file("film", file_of(film(2 * kPart)).get()));
  rule(too_large_for_one_copy_);
  rule({{"method", "HEAD"}, {"skip", 1}, {"answer", 200}, {"headers", {{"ETag", "\"another\""}}}});
  EXPECT_EQ(store_->copy("film", "copy").error().code, Code::kConflict);
  ASSERT_TRUE(store_->remove("film"));
  expect_nothing_left();
}

TEST_F(S3Faults, WhatCouldNotBeAbortedIsSweptWhenItIsOldEnough) {
  rule({{"method", "PUT"}, {"target", "partNumber=2"}, {"answer", 403}, {"code", "AccessDenied"}});
  rule({{"method", "DELETE"}, {"answer", 500}, {"times", -1}});
  EXPECT_EQ(store_->put_file("a/film", file_of(film(2 * kPart)).get()).error().code, Code::kPermissionDenied);
  faults().ask({{"clear", true}});
  EXPECT_EQ(store_->sweep_uploads(1h).value(), 0);
  EXPECT_EQ(test::bucket_store()->sweep_uploads(0s).value(), 0) << "another prefix";
  EXPECT_EQ(store_->sweep_uploads(0s).value(), 1);
  expect_nothing_left();
}

TEST_F(S3Faults, UploadsAreSweptOverManyPages) {
  rule({{"method", "GET"},
        {"target", "uploads="},
        {"answer", 200},
        {"headers", {{"Date", "Thu, 26 Nov 2026 18:00:00 GMT"}}},
        {"body",
         "<ListMultipartUploadsResult><IsTruncated>true</IsTruncated><NextKeyMarker>gone</NextKeyMarker>"
         "<NextUploadIdMarker>1</NextUploadIdMarker><Upload><Key>gone</Key><UploadId>1</UploadId>"
         "<Initiated>2026-11-25T18:00:00.000Z</Initiated></Upload></ListMultipartUploadsResult>"}});
  EXPECT_EQ(store_->sweep_uploads(1h).value(), 1) << "the one that has gone meanwhile";
  EXPECT_EQ(count("^GET .*key-marker=gone&.*upload-id-marker=1"), 1);
}

TEST_F(S3Faults, AFileThatIsCutShortMeanwhileIsNotPut) {
  const ByteSource lies{[](std::uint64_t, std::span<std::byte>) -> Result<std::size_t> { return 0; }, 1000,
                        "film"};
  S3Client client(config_);
  const S3Request request{.method = "PUT", .key = config_.prefix + "/film", .body = &lies};
  const S3Result put = client.once(request);
  EXPECT_NE(put.error().error.message.find("became shorter"), std::string::npos);
  expect_nothing_left();
}

}  // namespace
}  // namespace spool
