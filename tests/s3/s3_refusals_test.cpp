// What an operator got wrong, and what a service refuses for good: each a message that says what to do.
#include <arpa/inet.h>
#include <sys/socket.h>

#include <regex>

#include "base/temporary_folder.h"
#include "objects/s3_failure.h"
#include "objects/s3_signature.h"
#include "s3/faulty_bucket.h"
#include "s3/plain_client.h"
#include "support/program.h"
#include "test_paths.h"

namespace spool {
namespace {

using test::bucket_config, test::service;

Error refusal_of(const S3Config& config) {
  const auto store = S3ObjectStore::at(config);
  EXPECT_FALSE(store);
  return store ? Error{} : store.error();
}

void expect_says(const Error& error, Code code, const std::string& words) {
  EXPECT_EQ(error.code, code) << error.message;
  EXPECT_NE(error.message.find(words), std::string::npos) << error.message;
}

TEST(S3Refusals, ABucketThatIsMissing) {
  S3Config config = bucket_config();
  config.bucket = "nobodys";
  expect_says(refusal_of(config), Code::kInvalidArgument,
              "there is no such bucket: make it, or mend --objects");
  expect_says(refusal_of(config), Code::kInvalidArgument, "bucket nobodys at http://127.0.0.1:");
}

TEST(S3Refusals, AnAccessKeyThatIsUnknown) {
  S3Config config = bucket_config();
  config.credentials.access_key = "nobody:nothing";
  expect_says(refusal_of(config), Code::kPermissionDenied, "AWS_ACCESS_KEY_ID");
}

TEST(S3Refusals, ASecretThatDoesNotFit) {
  S3Config config = bucket_config();
  config.credentials.secret_key = "an0ther-secret";
  const Error error = refusal_of(config);
  expect_says(error, Code::kPermissionDenied, "AWS_SECRET_ACCESS_KEY");
  EXPECT_EQ(error.message.find("an0ther-secret"), std::string::npos) << error.message;
}

TEST(S3Refusals, KeysThatMayNot) {
  S3Config config = bucket_config();
  config.credentials = {service()["stranger_access_key"], service()["stranger_secret_key"], ""};
  expect_says(refusal_of(config), Code::kPermissionDenied, "these keys may not do that");
}

TEST(S3Refusals, AnEndpointThatNobodyServes) {
  S3Config config = bucket_config();
  config.patience.tries = 2;
  config.endpoint = "http://127.0.0.1:1";
  expect_says(refusal_of(config), Code::kUnavailable, "http://127.0.0.1:1 cannot be reached");
  config.endpoint = "http://no-such-host.invalid";
  expect_says(refusal_of(config), Code::kUnavailable, "is the endpoint right, and does the service run?");
}

// A port whose queue of connections is full.
TEST(S3Refusals, AnEndpointThatTakesNoConnections) {
  const UniqueFd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* any = reinterpret_cast<sockaddr*>(&address);
  ASSERT_EQ(bind(listener.get(), any, size), 0);
  ASSERT_EQ(listen(listener.get(), 0), 0);
  ASSERT_EQ(getsockname(listener.get(), any, &size), 0);
  const UniqueFd waiting(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(connect(waiting.get(), any, size), 0);
  S3Config config = bucket_config();
  config.patience.tries = 2;
  config.patience.connect = std::chrono::milliseconds(100);
  config.endpoint = fmt::format("http://127.0.0.1:{}", ntohs(address.sin_port));
  expect_says(refusal_of(config), Code::kTimeout, "does not answer in time");
}

TEST(S3Refusals, AClockThatIsOff) {
  const S3Config config = bucket_config();
  const Time long_ago = std::chrono::sys_days(std::chrono::year(2020) / 1 / 1);
  std::vector<std::string> headers = {"x-amz-content-sha256: UNSIGNED-PAYLOAD"};
  const auto signature = signed_headers(config, "GET", "k", {}, headers, long_ago);
  headers.insert(headers.end(), signature.begin(), signature.end());
  const S3Response answer = test::ask(s3_place(config, "k").url(), headers);
  expect_says(s3_failure(answer, {}, config).error, Code::kUnavailable,
              "this machine's clock is off: set it (NTP)");
}

TEST(S3Refusals, AnEndpointWithoutTls) {
  S3Config config = bucket_config();
  config.patience.tries = 2;
  config.endpoint.replace(0, 4, "https");
  const Error error = refusal_of(config);
  expect_says(error, Code::kUnavailable, "the connection to https://127.0.0.1:");
  expect_says(error, Code::kUnavailable, "a service without TLS has an endpoint with http://");
}

TEST(S3Refusals, ACertificateOfNobody) {
  const TemporaryFolder folder;
  const std::string pem = (folder.path() / "pem").string();
  test::output_of(
      fmt::format("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 "
                  "-subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 -keyout {0}.key -out {0}",
                  pem));
  test::output_of(fmt::format("cat {0}.key >>{0}", pem));
  test::Server tls({SPOOL_SOURCE_DIR "/tests/servers/s3_faults", service()["endpoint"], "--tls", pem});
  S3Config config = bucket_config(tls.ready()["endpoint"]);
  const Error error = refusal_of(config);
  expect_says(error, Code::kInvalidArgument, "certificate that is not trusted here");
  expect_says(error, Code::kInvalidArgument, "AWS_CA_BUNDLE");
  config.ca_bundle = pem;
  const auto store = S3ObjectStore::at(config);
  ASSERT_TRUE(store) << store.error().message;
  EXPECT_TRUE((*store)->put("k", test::bytes("v")));
  config.ca_bundle = "/no/such/file";
  expect_says(refusal_of(config), Code::kInvalidArgument, "AWS_CA_BUNDLE");
}

TEST(S3Refusals, AnObjectThatIsTooLarge) {
  S3Config config = bucket_config();
  config.part_bytes = 9 << 20;
  const auto store = S3ObjectStore::at(config).value();
  const auto put = store->put_file("k", test::file_of(test::film(9 << 20)).get());
  expect_says(put.error(), Code::kLimitExceeded, "larger than the service takes");
}

class S3Answers : public test::FaultyBucket {
 protected:
  // Of a store that is made while the service answers that to everything.
  Error refusal(const Json& answer) {
    faults().ask({{"clear", true}});
    Json always = answer;
    always["times"] = -1;
    rule(always);
    return refusal_of(config_);
  }
};

TEST_F(S3Answers, AClockThatIsOffIsSaidByHowMuch) {
  const Error error =
      refusal({{"answer", 403},
               {"code", "RequestTimeTooSkewed"},
               {"message", "The difference between the request time and the current time is too large."},
               {"headers", {{"Date", "Thu, 01 Jan 2043 00:00:00 GMT"}}}});
  EXPECT_EQ(error.code, Code::kUnavailable);
  EXPECT_TRUE(std::regex_search(
      error.message,
      std::regex("this machine's clock is off: set it \\(NTP\\), it is \\d+ minutes behind the service's")))
      << error.message;
}

TEST_F(S3Answers, ABucketOfAnotherRegion) {
  const std::string body =
      "<Error><Code>AuthorizationHeaderMalformed</Code><Message>the region is "
      "wrong</Message><Region>eu-west-1</Region></Error>";
  const Error error = refusal({{"answer", 400}, {"body", body}});
  expect_says(error, Code::kInvalidArgument, "write region=NAME into --objects");
  expect_says(error, Code::kInvalidArgument, "region eu-west-1");
}

TEST_F(S3Answers, ARedirectIsNotFollowed) {
  const Error error = refusal(
      {{"answer", 307}, {"code", "TemporaryRedirect"}, {"headers", {{"Location", "http://127.0.0.1:1/"}}}});
  expect_says(error, Code::kInvalidArgument, "write its region=NAME or endpoint=URL into --objects");
}

TEST_F(S3Answers, KeysThatAreUnknown) {
  expect_says(refusal({{"answer", 403}, {"code", "InvalidAccessKeyId"}}), Code::kPermissionDenied,
              "the service does not know this access key: see AWS_ACCESS_KEY_ID");
}

TEST_F(S3Answers, ASessionThatIsOver) {
  const std::string told = ": renew AWS_SESSION_TOKEN and the keys beside it";
  expect_says(refusal({{"answer", 400}, {"code", "ExpiredToken"}}), Code::kPermissionDenied,
              "the keys have expired" + told);
  expect_says(refusal({{"answer", 400}, {"code", "InvalidToken"}}), Code::kPermissionDenied,
              "the session token is wrong" + told);
}

TEST_F(S3Answers, AWebServer) {
  const std::string page = "<html><body>It works!</body></html>";
  expect_says(refusal({{"answer", 200}, {"body", page}}), Code::kUnavailable, "is the endpoint right?");
  expect_says(refusal({{"answer", 404}, {"body", page}}), Code::kInvalidArgument,
              "no S3 service: mend the endpoint");
}

TEST_F(S3Answers, AFullService) {
  rule({{"method", "PUT"}, {"answer", 403}, {"code", "QuotaExceeded"}});
  expect_says(store_->put("k", test::bytes("v")).error(), Code::kStorageFull, "quota");
  rule({{"method", "PUT"}, {"answer", 507}});
  expect_says(store_->put("k", test::bytes("v")).error(), Code::kStorageFull, "no room left");
}

TEST_F(S3Answers, AKeyThatIsTooLongWithItsPrefix) {
  const std::string part(250, 'k');
  const auto put = store_->put(fmt::format("{0}/{0}/{0}/{0}", part), test::bytes("v"));
  expect_says(put.error(), Code::kInvalidArgument, "the key is too long");
}

TEST_F(S3Answers, AKeyThatIsNoUtf8) {
  expect_says(store_->put("d\xfc", test::bytes("v")).error(), Code::kInvalidArgument, "no UTF-8");
  EXPECT_EQ(count("^PUT "), 0);
}

TEST_F(S3Answers, SomeObjectsThatCannotBeRemoved) {
  ASSERT_TRUE(store_->put("a/k", test::bytes("v")));
  rule({{"method", "POST"},
        {"answer", 200},
        {"body",
         "<DeleteResult><Error><Key>a/k</Key><Code>AccessDenied</Code><Message>no</Message></Error></"
         "DeleteResult>"}});
  expect_says(store_->remove_all("a").error(), Code::kPermissionDenied, "a/k cannot be removed");
}

TEST_F(S3Answers, AServiceThatOverlooksRanges) {
  ASSERT_TRUE(store_->put("k", test::bytes("0123456789")));
  const ByteSource source = store_->open("k").value();
  rule({{"method", "GET"},
        {"answer", 200},
        {"body", "0123456789"},
        {"headers", {{"ETag", "\"781e5e245d69b566979b86e28d23f2c7\""}}}});
  std::byte buffer[4];
  expect_says(source.read_at(3, buffer).error(), Code::kUnsupported, "does not give the range");
}

TEST_F(S3Answers, AServiceThatOverlooksConditions) {
  ASSERT_TRUE(store_->put("k", test::bytes("0123456789")));
  const ByteSource source = store_->open("k").value();
  rule({{"method", "GET"},
        {"answer", 206},
        {"body", "3456"},
        {"headers", {{"ETag", "\"another\""}, {"Content-Range", "bytes 3-6/10"}}}});
  std::byte buffer[4];
  expect_says(source.read_at(3, buffer).error(), Code::kConflict, "replaced or removed");
  // And of writes: the second of the two probes is taken too.
  rule({{"method", "PUT"}, {"target", "probes"}, {"answer", 200}, {"times", 2}});
  ASSERT_TRUE(store_->put_if_absent("new", test::bytes("one")));
  EXPECT_EQ(store_->put_if_absent("new", test::bytes("two")).error().code, Code::kConflict);
  EXPECT_EQ(store_->get("new", 100), "one");
}

TEST_F(S3Answers, ConditionalWritesAreUsedWhereTheServiceHasThem) {
  rule({{"method", "PUT"}, {"target", "probes"}, {"answer", 200}});
  rule({{"method", "PUT"}, {"target", "probes"}, {"answer", 412}, {"code", "PreconditionFailed"}});
  rule({{"method", "PUT"}, {"answer", 200}});
  EXPECT_TRUE(store_->put_if_absent("k", test::bytes("v")));
  rule({{"method", "PUT"}, {"answer", 412}, {"code", "PreconditionFailed"}});
  EXPECT_EQ(store_->put_if_absent("k", test::bytes("v")).error().code, Code::kConflict);
  EXPECT_EQ(count("^HEAD "), 0) << "nothing is looked up";
  EXPECT_EQ(count("^PUT .*probes"), 2) << "it is asked once";
}

TEST_F(S3Answers, AServiceHasConditionalWritesAlsoWhenItsFirstAnswerAboutThemIsLost) {
  rule({{"method", "PUT"}, {"target", "probes"}, {"answer", 500}});
  rule({{"method", "PUT"}, {"target", "probes"}, {"answer", 412}, {"code", "PreconditionFailed"}});
  rule({{"method", "PUT"}, {"target", "/k$"}, {"answer", 200}});
  const auto put = store_->put_if_absent("k", test::bytes("v"));
  EXPECT_TRUE(put) << put.error().message;
  EXPECT_EQ(count("^HEAD "), 0) << "nothing is looked up";
  EXPECT_EQ(count("^DELETE .*probes"), 1) << "the probe was put, and goes";
}

TEST_F(S3Answers, AProbeIsRemovedWhateverTheServiceAnswers) {
  const auto put_when_it_answers = [&](int status, const char* code) {
    faults().ask({{"clear", true}});
    rule({{"method", "PUT"}, {"target", "probes"}, {"answer", status}, {"code", code}, {"times", -1}});
    rule({{"method", "PUT"}, {"answer", 200}});
    const auto put = S3ObjectStore::at(config_).value()->put_if_absent("k", test::bytes("v"));
    EXPECT_EQ(count("^DELETE .*probes"), 1) << status;
    return put;
  };
  EXPECT_EQ(put_when_it_answers(500, "InternalError").error().code, Code::kUnavailable);
  EXPECT_EQ(put_when_it_answers(403, "AccessDenied").error().code, Code::kPermissionDenied);
  EXPECT_TRUE(put_when_it_answers(412, "PreconditionFailed"));
  EXPECT_TRUE(put_when_it_answers(501, "NotImplemented"));
  EXPECT_TRUE(put_when_it_answers(200, ""));
}

TEST_F(S3Answers, AProbeThatCannotBeRemovedIsSaid) {
  rule({{"method", "DELETE"}, {"target", "probes"}, {"answer", 403}, {"code", "AccessDenied"}});
  expect_says(store_->put_if_absent("k", test::bytes("v")).error(), Code::kPermissionDenied, "probes/");
  EXPECT_TRUE(store_->put_if_absent("k", test::bytes("v")));
}

TEST_F(S3Answers, AConditionalWriteWhoseAnswerWasLostIsKnownByItsMark) {
  rule({{"method", "PUT"}, {"target", "probes"}, {"answer", 200}});
  rule({{"method", "PUT"}, {"target", "probes"}, {"answer", 412}, {"code", "PreconditionFailed"}});
  const auto put = [&](const Json& head) {
    rule({{"method", "PUT"}, {"answer", 500}});
    rule({{"method", "PUT"}, {"answer", 412}, {"code", "PreconditionFailed"}});
    rule(head);
    return store_->put_if_absent("k", test::bytes("v"));
  };
  EXPECT_TRUE(put({{"method", "HEAD"}, {"answer", 200}, {"echo", "x-amz-meta-spool-put"}}));
  EXPECT_EQ(put({{"method", "HEAD"}, {"answer", 200}}).error().code, Code::kConflict) << "somebody else's";
}

}  // namespace
}  // namespace spool
