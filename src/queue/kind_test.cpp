#include "queue/kind.h"

#include <gtest/gtest.h>

#include <functional>
#include <stdexcept>

namespace spool {
namespace {

Ending nothing(Attempt&) {
  return Succeeded{};
}

Kind kind(std::string name) {
  Kind k;
  k.name = std::move(name);
  k.run = nothing;
  return k;
}

Kinds table() {
  Kinds kinds;
  Kind sleep = kind("sleep");
  sleep.schema = Json::parse(
      R"({"type": "object", "additionalProperties": false, "properties": {"seconds": {"type": "number", "minimum": 0}}})");
  sleep.fan_out = {{"nap", "exec"}, 2};
  kinds.add(sleep);
  Kind nap = kind("nap");
  nap.internal = true;
  kinds.add(nap);
  Kind exec = kind("exec");
  exec.never_fanned_out = true;
  kinds.add(exec);
  return kinds;
}

NewJob job(std::string kind_name, Json args = Json::object()) {
  NewJob j;
  j.kind = std::move(kind_name);
  j.args = std::move(args);
  return j;
}

std::string message(const Result<void>& result) {
  return result ? "" : result.error().message;
}

TEST(Kinds, AnUnknownKindIsAnErrorThatOffersTheNearestOneAndHidesInternalOnes) {
  EXPECT_EQ(message(table().check(job("sleeep"))),
            "unknown kind 'sleeep' (did you mean 'sleep'?); there are: exec, sleep");
}

TEST(Kinds, ArgsAreCheckedAgainstTheSchema) {
  EXPECT_TRUE(table().check(job("sleep", {{"seconds", 1.5}})));
  EXPECT_EQ(message(table().check(job("sleep", {{"seconds", -1}}))),
            "args of 'sleep': seconds: must be at least 0; is -1");
  const Kinds kinds = table();
  ASSERT_EQ(kinds.violations("sleep", {{"second", 1}}).size(), 1u);
  EXPECT_EQ(kinds.violations("sleep", {{"second", 1}})[0].pointer, "/second");
}

TEST(Kinds, WhatIsTooLargeOrSenselessIsRefused) {
  const Kinds kinds = table();
  const auto large = kinds.check(job("exec", {{"text", std::string(kMostArgsBytes, 'x')}}));
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error().code, Code::kLimitExceeded);
  NewJob j = job("exec");
  j.slots = 0;
  EXPECT_FALSE(kinds.check(j));
  j = job("exec");
  j.most_attempts = 0;
  EXPECT_FALSE(kinds.check(j));
  j = job("exec");
  j.weight = -1;
  EXPECT_FALSE(kinds.check(j));
}

TEST(Kinds, AnInternalKindIsForFanOutsOnly) {
  const Kinds kinds = table();
  EXPECT_FALSE(kinds.check(job("nap")));
  EXPECT_TRUE(kinds.check(*kinds.find("sleep"), 1, FanOut{{job("nap")}, "done"}));
}

TEST(Kinds, WhatNobodyCheckedIsResolvedAndThenChecked) {
  Kinds kinds = table();
  const auto resolved = [&](std::string_view name, Json args) {
    const auto made = kinds.resolve_and_check(name, std::move(args));
    return made ? to_text(*made) : made.error().message;
  };
  EXPECT_EQ(resolved("sleep", {{"seconds", 1}}), R"({"seconds":1})");
  EXPECT_EQ(resolved("sleep", {{"seconds", "1s"}}),
            "args of 'sleep': seconds: must be a number, is text (\"1s\")");
  kinds.resolve_with([](const Kinds&, const Kind& of, Json args) -> Result<Json> {
    if (args.value("seconds", Json()) == "late") return fail(Code::kInvalidArgument, of.name + " is late");
    args["seconds"] = args.contains("minutes") ? 60 : -1;
    args.erase("minutes");
    return args;
  });
  EXPECT_EQ(resolved("sleep", {{"minutes", 1}}), R"({"seconds":60})");
  EXPECT_EQ(resolved("sleep", {{"seconds", "late"}}), "sleep is late");
  EXPECT_EQ(resolved("sleep", Json::object()), "args of 'sleep': seconds: must be at least 0; is -1");
  EXPECT_EQ(resolved("nap", {{"seconds", "late"}}),
            "kind 'nap' is made by other jobs only, not by people or pipelines");
  EXPECT_EQ(resolved("sleeep", Json::object()),
            "unknown kind 'sleeep' (did you mean 'sleep'?); there are: exec, sleep");
}

TEST(Kinds, AFanOutKeepsToItsRule) {
  const Kinds kinds = table();
  const Kind& sleep = *kinds.find("sleep");
  EXPECT_EQ(message(kinds.check(sleep, 1, FanOut{{job("nap"), job("nap"), job("nap")}, ""})),
            "'sleep' may fan out to at most 2 jobs, wanted 3");
  EXPECT_EQ(message(kinds.check(sleep, 1, FanOut{{job("sleep")}, ""})), "'sleep' may not fan out to 'sleep'");
  EXPECT_FALSE(kinds.check(sleep, 1, FanOut{{job("no such kind")}, ""}));
}

TEST(Kinds, AChildOfAFanOutCannotParkItsTreeOrKeepItBusy) {
  const Kinds kinds = table();
  const Kind& sleep = *kinds.find("sleep");
  const std::vector<std::pair<std::string, std::function<void(NewJob&)>>> wishes = {
      {"that is held", [](NewJob& j) { j.held = true; }},
      {"with a unique key", [](NewJob& j) { j.unique_key = "k"; }},
      {"that begins in more than an hour", [](NewJob& j) { j.delay = std::chrono::minutes(61); }},
      {"with 3 slots: it has 2 itself", [](NewJob& j) { j.slots = 3; }},
      {"with 11 attempts: at most 10 are allowed", [](NewJob& j) { j.most_attempts = 11; }},
      {"with a longer timeout than its kind's", [](NewJob& j) { j.timeout = std::chrono::hours(7); }},
  };
  for (const auto& [words, wish] : wishes) {
    NewJob nap = job("nap");
    wish(nap);
    const auto refused = kinds.check(sleep, 2, FanOut{{nap}, ""});
    ASSERT_FALSE(refused) << words;
    EXPECT_EQ(refused.error().code, Code::kPermissionDenied);
    EXPECT_EQ(refused.error().message, "'sleep' may not fan out to 'nap' " + words);
  }
  NewJob modest = job("nap");
  modest.slots = 2;
  modest.most_attempts = 10;
  modest.delay = std::chrono::hours(1);
  modest.timeout = std::chrono::hours(6);
  EXPECT_TRUE(kinds.check(sleep, 2, FanOut{{modest}, ""}));
}

TEST(Kinds, WhatAPersonWroteMayBeHeldOrWide) {
  Kinds kinds = table();
  Kind pipeline = kind("pipeline");
  pipeline.placement = Placement::kInline;
  pipeline.fan_out = {{"exec"}, 2, true};
  kinds.add(pipeline);
  NewJob step = job("exec");
  step.held = true;
  step.slots = 8;
  EXPECT_TRUE(kinds.check(pipeline, 1, FanOut{{step}, ""}));
}

TEST(Kinds, AFanOutIsBoundedInBytes) {
  Kinds kinds = table();
  Kind small = kind("small");
  small.fan_out = {{"nap"}, 2};
  small.fan_out.most_args_bytes = 100;
  kinds.add(small);
  NewJob in_args = job("nap", {{"text", std::string(40, 'x')}});
  EXPECT_TRUE(kinds.check(small, 1, FanOut{{in_args}, ""}));
  EXPECT_EQ(message(kinds.check(small, 1, FanOut{{in_args, in_args}, ""})),
            "'small' may fan out to at most 100 bytes of args and labels");
  NewJob in_labels = job("nap");
  in_labels.labels["text"] = std::string(100, 'x');
  EXPECT_FALSE(kinds.check(small, 1, FanOut{{in_labels}, ""}));
}

TEST(Kinds, ExecIsNeverReachedFromAFanOutEvenIfARuleNamesIt) {
  const Kinds kinds = table();
  EXPECT_EQ(message(kinds.check(*kinds.find("sleep"), 1, FanOut{{job("exec")}, ""})),
            "'sleep' may not fan out to 'exec'");
}

TEST(Kinds, MistakesOfTheProgramAreFoundWhenTheTableIsMade) {
  Kinds kinds = table();
  EXPECT_THROW(kinds.add(kind("sleep")), std::invalid_argument);
  EXPECT_THROW(kinds.add(kind("")), std::invalid_argument);
  Kind without_handler = kind("x");
  without_handler.run = nullptr;
  EXPECT_THROW(kinds.add(without_handler), std::invalid_argument);
  Kind bad_schema = kind("x");
  bad_schema.schema = Json::parse(R"({"type": "strin"})");
  EXPECT_THROW(kinds.add(bad_schema), std::invalid_argument);
}

}  // namespace
}  // namespace spool
