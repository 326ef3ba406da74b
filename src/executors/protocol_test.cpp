#include "executors/process/protocol.h"

#include <gtest/gtest.h>

#include "executors/process/ending_codec.h"

namespace spool::process {
namespace {

FromChild back(const FromChild& message) {
  auto read = decode_from_child(encode(message));
  EXPECT_TRUE(read) << read.error().message;
  return std::move(*read);
}

Error refused(std::string_view text) {
  const auto read = decode_from_child(text);
  EXPECT_FALSE(read) << text;
  return read ? Error{} : read.error();
}

NewJob full_job() {
  NewJob job;
  job.id = Uuid::v7();
  job.kind = "chunk";
  job.args = {{"n", 1}};
  job.name = "chunk 1";
  job.queue = "slow";
  job.priority = -2;
  job.slots = 3;
  job.tags = {"gpu"};
  job.delay = std::chrono::seconds(5);
  job.needs = {{Uuid::v7(), true}};
  job.most_attempts = 7;
  job.timeout = std::chrono::minutes(1);
  job.deadline = std::chrono::hours(1);
  job.unique_key = "u";
  job.weight = 2.5;
  job.optional = true;
  job.labels = {{"a", "b"}};
  return job;
}

TEST(Protocol, MessagesOfAChildSurviveTheWay) {
  EXPECT_EQ(std::get<OpenInput>(back(OpenInput{"file:/a"})).reference, "file:/a");
  const auto piece = std::get<ReadInput>(back(ReadInput{7, std::int64_t{1} << 40, 1000}));
  EXPECT_EQ(std::tie(piece.input, piece.offset, piece.length),
            std::make_tuple(7, std::int64_t{1} << 40, 1000));
  EXPECT_EQ(std::get<CloseInput>(back(CloseInput{7})).input, 7);
  EXPECT_EQ(std::get<CreateOutput>(back(CreateOutput{"a/b"})).name, "a/b");
  EXPECT_EQ(std::get<CommitOutput>(back(CommitOutput{"a/b"})).name, "a/b");
  EXPECT_EQ(std::get<Progress>(back(Progress{0.5, {{"fps", 9}}})).detail, Json({{"fps", 9}}));
  EXPECT_EQ(std::get<Checkpoint>(back(Checkpoint{{{"done", 3}}})).value, Json({{"done", 3}}));
  EXPECT_EQ(std::get<LogLine>(back(LogLine{"häuser"})).line, "häuser");
  EXPECT_EQ(std::get<Ready>(back(Ready{})).version, kProtocolVersion);
}

TEST(Protocol, EveryEndingSurvivesTheWay) {
  const Error error{Code::kCorruptInput, "damaged", -3};
  const auto ending = [](Ending e) { return std::get<Ended>(back(Ended{std::move(e), {1.5, 2, 3, 4}})); };
  EXPECT_EQ(std::get<Succeeded>(ending(Succeeded{{{"a", 1}}}).ending).result, Json({{"a", 1}}));
  EXPECT_EQ(std::get<Failed>(ending(Failed{error}).ending).error, error);
  const auto again = std::get<RetryLater>(ending(RetryLater{error, std::chrono::seconds(3)}).ending);
  EXPECT_EQ(again.error, error);
  EXPECT_EQ(again.after, std::chrono::seconds(3));
  EXPECT_EQ(std::get<Snooze>(ending(Snooze{std::chrono::seconds(9)}).ending).duration,
            std::chrono::seconds(9));
  EXPECT_TRUE(std::holds_alternative<Released>(ending(Released{}).ending));
  EXPECT_EQ(ending(Released{}).usage.cpu_seconds, 1.5);
}

TEST(Protocol, AFanOutSurvivesTheWayWholly) {
  const NewJob job = full_job();
  const auto fan_out =
      std::get<FanOut>(std::get<Ended>(back(Ended{FanOut{{job}, "assemble", true}, {}})).ending);
  EXPECT_EQ(fan_out.next_phase, "assemble");
  EXPECT_TRUE(fan_out.fail_fast);
  ASSERT_EQ(fan_out.children.size(), 1u);
  const NewJob& read = fan_out.children[0];
  EXPECT_EQ(
      std::tie(read.id, read.kind, read.args, read.name, read.queue, read.priority, read.slots, read.tags),
      std::tie(job.id, job.kind, job.args, job.name, job.queue, job.priority, job.slots, job.tags));
  EXPECT_EQ(std::tie(read.delay, read.most_attempts, read.timeout, read.deadline, read.unique_key,
                     read.weight, read.optional, read.labels),
            std::tie(job.delay, job.most_attempts, job.timeout, job.deadline, job.unique_key, job.weight,
                     job.optional, job.labels));
  ASSERT_EQ(read.needs.size(), 1u);
  EXPECT_EQ(read.needs[0].job, job.needs[0].job);
  EXPECT_TRUE(read.needs[0].ignore_failure);
}

TEST(Protocol, AClaimSurvivesTheWayWholly) {
  Claim claim;
  claim.job = Uuid::v7();
  claim.root = Uuid::v7();
  claim.parent = Uuid::v7();
  claim.token = Token::random();
  claim.kind = "transcode";
  claim.name = "ladder";
  claim.owner = "alice";
  claim.phase = "assemble";
  claim.args = {{"input", "file:/a"}};
  claim.checkpoint = {{"done", 2}};
  claim.attempt = 2;
  claim.most_attempts = 5;
  claim.slots = 2;
  claim.timeout = std::chrono::minutes(3);
  claim.until_deadline = std::chrono::minutes(2);
  ChildResult child;
  child.id = Uuid::v7();
  child.kind = "chunk";
  child.name = "c1";
  child.state = State::kFailed;
  child.args = {{"n", 1}};
  child.token = Token::random();
  claim.children = {child};
  const auto read = decode_from_manager(encode(FromManager(process::Run{claim})));
  ASSERT_TRUE(read) << read.error().message;
  const Claim& found = std::get<process::Run>(*read).claim;
  EXPECT_EQ(to_json(found), to_json(claim));
  EXPECT_EQ(found.until_deadline, claim.until_deadline);
  EXPECT_EQ(found.children[0].token, claim.children[0].token);
  EXPECT_EQ(found.children[0].state, State::kFailed);
}

TEST(Protocol, MessagesOfAManagerSurviveTheWay) {
  for (const auto reason : {StopReason::kCancelled, StopReason::kTimedOut, StopReason::kStalled,
                            StopReason::kDraining, StopReason::kLeaseLost})
    EXPECT_EQ(std::get<Stop>(*decode_from_manager(encode(FromManager(Stop{reason})))).reason, reason);
  const Reply reply{Error{Code::kNotFound, "gone", 2}, true, 3, std::int64_t{1} << 40, 4096};
  const auto read = decode_from_manager(encode(FromManager(reply)));
  EXPECT_EQ(std::get<Reply>(*read).error, reply.error);
  EXPECT_TRUE(std::get<Reply>(*read).descriptor);
  EXPECT_EQ(std::get<Reply>(*read).input, 3);
  EXPECT_EQ(std::get<Reply>(*read).size, std::int64_t{1} << 40);
  EXPECT_EQ(std::get<Reply>(*read).bytes, 4096);
}

TEST(Protocol, WrongTypesRangesAndKeysAreRefusedInWords) {
  EXPECT_NE(refused("[]").message.find("not an object"), std::string::npos);
  EXPECT_NE(refused(R"({"type":7})").message.find("type is not a text"), std::string::npos);
  EXPECT_NE(refused(R"({"type":"log"})").message.find("lacks line"), std::string::npos);
  EXPECT_NE(refused(R"({"type":"progress","fraction":1.5})").message.find("fraction"), std::string::npos);
  EXPECT_NE(refused(R"({"type":"progress","fraction":-1})").message.find("fraction"), std::string::npos);
  EXPECT_NE(refused(R"({"type":"log","line":"x","extra":1})").message.find("unknown key extra"),
            std::string::npos);
  for (const char* read :
       {R"("offset":-1,"length":10)", R"("offset":1e30,"length":10)", R"("offset":0,"length":0)",
        R"("offset":0,"length":262145)", R"("offset":0,"length":-1)", R"("offset":0)", R"("length":10)"})
    EXPECT_EQ(refused(fmt::format(R"({{"type":"read_input","input":1,{}}})", read)).code,
              Code::kInvalidArgument)
        << read;
  EXPECT_NE(refused(R"({"type":"close_input"})").message.find("lacks input"), std::string::npos);
  EXPECT_EQ(refused(R"({"type":"close_input","input":0})").code, Code::kInvalidArgument);
  EXPECT_EQ(refused(R"({"type":"run","claim":{}})").code, Code::kInvalidArgument);  // a manager's word
  EXPECT_EQ(refused("").code, Code::kInvalidArgument);
}

TEST(Protocol, WrongEndingsAreRefused) {
  const auto ending = [](const std::string& text) {
    return refused(R"({"type":"ended","ending":)" + text + "}").message;
  };
  EXPECT_NE(ending("3").find("not an object"), std::string::npos);
  EXPECT_NE(ending(R"({"is":"won"})").find("no known sort"), std::string::npos);
  EXPECT_NE(ending(R"({"is":"failed"})").find("lacks error"), std::string::npos);
  EXPECT_NE(ending(R"({"is":"failed","error":{"code":"x"}})").find("lacks message"), std::string::npos);
  EXPECT_NE(ending(R"({"is":"snooze","duration":-1})").find("duration"), std::string::npos);
  EXPECT_NE(ending(R"({"is":"snooze","duration":1e30})").find("duration"), std::string::npos);
  EXPECT_NE(ending(R"({"is":"snooze","duration":18446744073709551615})").find("duration"), std::string::npos);
  EXPECT_NE(ending(R"({"is":"fan_out","next_phase":"x"})").find("lacks children"), std::string::npos);
  EXPECT_NE(ending(R"({"is":"fan_out","next_phase":"x","children":{}})").find("no list"), std::string::npos);
  const auto child = [&](const std::string& text) {
    return ending(R"({"is":"fan_out","next_phase":"x","children":[)" + text + "]}");
  };
  EXPECT_NE(child("1").find("not an object"), std::string::npos);
  EXPECT_NE(child(R"({"args":{}})").find("lacks kind"), std::string::npos);
  EXPECT_NE(child(R"({"kind":"a","args":[]})").find("not an object"), std::string::npos);
  EXPECT_NE(child(R"({"kind":"a","args":{},"slots":0})").find("slots"), std::string::npos);
  EXPECT_NE(child(R"({"kind":"a","args":{},"owner":"root"})").find("unknown key owner"), std::string::npos);
  EXPECT_NE(child(R"({"kind":"a","args":{},"id":"x"})").find("x"), std::string::npos);
  EXPECT_NE(child(R"({"kind":"a","args":{},"needs":[{}]})").find("lacks job"), std::string::npos);
  EXPECT_NE(child(R"({"kind":"a","args":{},"tags":[1]})").find("tags"), std::string::npos);
}

TEST(Protocol, WhatIsTooLargeIsRefused) {
  EXPECT_EQ(refused(encode(LogLine{std::string(kMostTextBytes + 1, 'x')})).code, Code::kLimitExceeded);
  EXPECT_EQ(refused(encode(Checkpoint{std::string(kMostCheckpointBytes, 'x')})).code, Code::kLimitExceeded);
  EXPECT_EQ(refused(encode(Ended{Succeeded{std::string(kMostResultBytes, 'x')}, {}})).code,
            Code::kLimitExceeded);
  EXPECT_EQ(refused(encode(OpenInput{std::string(kMostReferenceBytes + 1, 'x')})).code, Code::kLimitExceeded);
  std::string lists = R"({"type":"checkpoint","value":[)";
  for (std::size_t i = 0; i <= kMostMessageValues; ++i) lists += "0,";
  lists.back() = ']';
  EXPECT_EQ(refused(lists + "}").code, Code::kLimitExceeded);
}

TEST(Protocol, AFanOutHasALimitWhateverItsKindAllows) {
  std::string children;
  for (std::size_t i = 0; i <= kMostChildren; ++i) children += R"({"kind":"a","args":{}},)";
  children.pop_back();
  const Error error =
      refused(R"({"type":"ended","ending":{"is":"fan_out","next_phase":"x","children":[)" + children + "]}}");
  EXPECT_EQ(error.code, Code::kLimitExceeded);
  EXPECT_NE(error.message.find("100001 children"), std::string::npos) << error.message;
}

TEST(Frames, AreCutFromAnyPieces) {
  const std::string stream = frame("one") + frame("") + frame("three");
  for (std::size_t piece = 1; piece <= stream.size(); ++piece) {
    FrameReader reader(100);
    std::vector<std::string> found;
    for (std::size_t at = 0; at < stream.size(); at += piece) {
      reader.feed(std::string_view(stream).substr(at, piece));
      while (auto text = reader.next().value()) found.push_back(*text);
    }
    EXPECT_EQ(found, (std::vector<std::string>{"one", "", "three"}));
    EXPECT_TRUE(reader.empty());
  }
}

TEST(Frames, TooLongAreRefusedByTheirHeaderEvenBehindAGoodOne) {
  FrameReader reader(100);
  reader.feed(frame("good") + std::string("\xff\xff\xff\xff"));
  EXPECT_EQ(reader.next().value(), "good");
  EXPECT_EQ(reader.next().error().code, Code::kLimitExceeded);
}

TEST(Rules, AFileMustStandInTheArgsAsAWhole) {
  Claim claim;
  claim.args = {{"deep", {{"list", {"file:/a/b.mp4"}}}}};
  EXPECT_TRUE(may_open(claim, "file:/a/b.mp4"));
  EXPECT_FALSE(may_open(claim, "file:/a/b"));
  EXPECT_FALSE(may_open(claim, "file:/a/b.mp4/.."));
  EXPECT_FALSE(may_open(claim, "/a/b.mp4"));
  EXPECT_FALSE(may_open(claim, "object:any"));
}

TEST(Rules, WhatAJobsArgsDoNotNameIsNotHandedOnToItsChildren) {
  Kind kind;
  kind.name = "transcode";
  kind.fan_out = {{"transcode.chunk"}, 10};
  Claim claim;
  claim.args = {{"input", "object:films/a.mp4"}};
  for (const auto& [input, good] :
       {std::pair("object:films/a.mp4", true), std::pair("object:films/b.mp4", false),
        std::pair("object:films/", false), std::pair("file:/etc/shadow", false)}) {
    FanOut fan_out;
    fan_out.children.resize(1);
    fan_out.children[0].kind = "transcode.chunk";
    fan_out.children[0].args = {{"input", input}};
    Ending ending = fan_out;
    EXPECT_EQ(check_ending(ending, claim, kind).has_value(), good) << input;
  }
}

TEST(Rules, WithoutChildrenAKindMayOnlyGoOnToAPhaseOfItsOwnInTheManager) {
  Kind kind;
  kind.name = "poster";
  kind.inline_phases = {"publish"};
  Ending own = FanOut{{}, "publish", false};
  EXPECT_TRUE(check_ending(own, Claim{}, kind));
  Ending other = FanOut{{}, "assemble", false};
  EXPECT_EQ(check_ending(other, Claim{}, kind).error().code, Code::kPermissionDenied);
  FanOut with_child{{}, "publish", false};
  with_child.children.resize(1);
  Ending child = with_child;
  EXPECT_EQ(check_ending(child, Claim{}, kind).error().code, Code::kPermissionDenied);
}

TEST(Rules, OutputNamesAreRelativeAndPlain) {
  for (const char* good : {"a", "a/b.m4s", "720p/..hidden", "a b"})
    EXPECT_TRUE(check_output_name(good)) << good;
  for (const char* bad : {"", "/a", "a/", "..", "a/../b", ".", "a//b", "a\nb", "a\\b"})
    EXPECT_FALSE(check_output_name(bad)) << bad;
}

}  // namespace
}  // namespace spool::process
