#include "job_view.h"

#include <gtest/gtest.h>

#include "terminal.h"

namespace spool {
namespace {

using namespace std::chrono_literals;

const Time kStart = Time{} + std::chrono::hours(24) * 20000;

Uuid id(int n) {
  Uuid out;
  out.bytes[15] = static_cast<std::uint8_t>(n);
  return out;
}

Job job(int n, std::string kind, State state, std::optional<int> parent = {}) {
  Job out;
  out.id = id(n);
  out.root = id(1);
  out.kind = std::move(kind);
  out.state = state;
  if (parent) out.parent = id(*parent);
  out.created = kStart;
  if (state == State::kRunning || ended(state)) out.claimed = kStart + 1s;
  if (ended(state)) out.ended = kStart + 13s;
  return out;
}

std::vector<Job> a_failed_tree() {
  std::vector<Job> jobs{job(1, "transcode", State::kFailed), job(2, "transcode.plan", State::kSucceeded, 1),
                        job(3, "transcode.chunk", State::kFailed, 1),
                        job(4, "transcode.audio", State::kRunning, 1)};
  jobs[0].name = "talk.mov";
  jobs[2].attempts = 3;
  jobs[3].progress = 0.5;
  jobs[3].optional = true;
  AttemptError error;
  error.attempt = 3;
  error.error = {Code::kCrashed,
                 "signal 11 (segmentation fault) while decoding the frame at 12.3 s of the film", 0};
  error.worker = "host/1";
  error.began = kStart;
  error.ended = kStart + 65s;
  error.log_tail = "one\ntwo\x1b[2J\n";
  jobs[2].errors = {error};
  return jobs;
}

TEST(JobTree, IsDrawnWithStatesTimesAttemptsAndErrors) {
  const auto jobs = a_failed_tree();
  EXPECT_EQ(render_tree(jobs, id(1), {.width = 90, .now = kStart + 31s}),
            R"(✖ talk.mov (transcode)  00000000-0000-0000-0000-000000000001     failed               12s
├─ ✔ transcode.plan                                              succeeded            12s
├─ ✖ transcode.chunk [attempt 3 of 3]                            failed               12s
│    attempt 3 after 1m 05s (host/1): crashed: signal 11 (segmentation fault) while
│    decoding the frame at 12.3 s of the film
│      one
│      two?[2J
└─ ▶ transcode.audio, optional                                   running 50%          30s
)");
}

TEST(JobTree, AParentsTimeBeginsWithTheFirstOfItsChildren) {
  std::vector<Job> jobs{job(1, "transcode", State::kSucceeded),
                        job(2, "transcode.chunk", State::kSucceeded, 1)};
  jobs[0].claimed = kStart + 13s;  // its last phase
  const std::string ended = render_tree(jobs, id(1), {.width = 90, .now = kStart + 31s});
  EXPECT_NE(ended.find("succeeded            12s\n└"), std::string::npos) << ended;
  jobs[0].state = State::kWaiting;
  jobs[0].ended.reset();
  const std::string waits = render_tree(jobs, id(1), {.width = 90, .now = kStart + 31s});
  EXPECT_NE(waits.find("30s\n└"), std::string::npos) << waits;
}

TEST(JobTree, WhatFailedWithoutHavingRunIsNoAttempt) {
  auto jobs = a_failed_tree();
  jobs[2].errors[0].attempt = 0;
  const std::string text = render_tree(jobs, id(1), {.width = 200, .now = kStart});
  EXPECT_EQ(text.find("attempt 0"), std::string::npos) << text;
  EXPECT_NE(text.find("│    crashed: signal 11"), std::string::npos) << text;
}

TEST(JobTree, NoLineIsWiderThanTheTerminal) {
  auto jobs = a_failed_tree();
  jobs[0].name = std::string(200, 'n');
  for (const int width : {40, 60, 80, 200}) {
    const std::string text = render_tree(jobs, id(1), {.width = width, .colour = true, .now = kStart});
    std::size_t from = 0;
    for (std::size_t end; (end = text.find('\n', from)) != std::string::npos; from = end + 1)
      EXPECT_LE(columns(text.substr(from, end - from)), width) << width;
  }
}

TEST(JobTree, ManyThatWentWellAreCounted) {
  std::vector<Job> jobs{job(1, "transcode", State::kWaiting)};
  for (int i = 2; i < 60; ++i)
    jobs.push_back(job(i, "transcode.chunk", i == 30 ? State::kRunning : State::kSucceeded, 1));
  const std::string text = render_tree(jobs, id(1), {.width = 80, .now = kStart});
  EXPECT_NE(text.find("✔ and 55 more transcode.chunk succeeded"), std::string::npos) << text;
  EXPECT_NE(text.find("▶ transcode.chunk"), std::string::npos);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 5);
  const std::string all = render_tree(jobs, id(1), {.width = 80, .all = true, .now = kStart});
  EXPECT_EQ(std::count(all.begin(), all.end(), '\n'), 59);
}

TEST(JobTree, ColoursAreOnlyThereWhenAskedFor) {
  const auto jobs = a_failed_tree();
  EXPECT_EQ(render_tree(jobs, id(1), {}).find('\x1b'), std::string::npos);
  EXPECT_NE(render_tree(jobs, id(1), {.colour = true}).find("\x1b[31m"), std::string::npos);
}

TEST(JobTree, ATreeOfAnotherJobIsNothing) {
  EXPECT_EQ(render_tree({}, id(1), {}), "");
}

TEST(JobTable, HasARowAJob) {
  auto jobs = a_failed_tree();
  jobs.resize(2);
  EXPECT_EQ(render_table(jobs, {.width = 100, .now = kStart + 90s}),
            "ID                                    STATE            AGE  KIND            NAME\n"
            "00000000-0000-0000-0000-000000000001  failed        1m 30s  transcode       talk.mov\n"
            "00000000-0000-0000-0000-000000000002  succeeded     1m 30s  transcode.plan\n");
  EXPECT_EQ(render_table({}, {}), "");
}

TEST(JobJson, HasAllThatIsKnownOfAJob) {
  auto jobs = a_failed_tree();
  const Json tree = tree_json(jobs, id(1));
  EXPECT_EQ(tree["id"], "00000000-0000-0000-0000-000000000001");
  EXPECT_EQ(tree["parent"], nullptr);
  EXPECT_EQ(tree["state"], "failed");
  EXPECT_EQ(tree["created"], "2024-10-04T00:00:00.000Z");
  ASSERT_EQ(tree["children"].size(), 3u);
  const Json& error = tree["children"][1]["errors"][0];
  EXPECT_EQ(error["code"], "crashed");
  EXPECT_EQ(error["attempt"], 3);
  EXPECT_EQ(error["log_tail"], "one\ntwo\x1b[2J\n");
  EXPECT_EQ(tree_json(jobs, id(99)), nullptr);
}

TEST(Text, IsCutAndPaddedByColumns) {
  EXPECT_EQ(fit("größer", 4), "grö…");
  EXPECT_EQ(fit("größer", 6), "größer");
  EXPECT_EQ(padded("ä", 3), "ä  ");
  EXPECT_EQ(columns("\x1b[31mred\x1b[0m"), 3);
  EXPECT_EQ(fit("abc", 0), "");
}

TEST(Text, ControlCharactersOfOthersDoNotReachTheScreen) {
  EXPECT_EQ(printable("a\x1b]0;title\x07z\n\tb\xc2\x9b"
                      "1m\x7f"),
            "a?]0;title?z  b?1m?");
}

TEST(Text, OneOfAThingIsNotMany) {
  EXPECT_EQ(counted(1, "slot"), "1 slot");
  EXPECT_EQ(counted(0, "slot") + ", " + counted(2, "slot"), "0 slots, 2 slots");
}

TEST(Text, DurationsAreShort) {
  EXPECT_EQ(short_duration(300ms), "0.3s");
  EXPECT_EQ(short_duration(12s), "12s");
  EXPECT_EQ(short_duration(125s), "2m 05s");
  EXPECT_EQ(short_duration(3h + 12min), "3h 12m");
  EXPECT_EQ(short_duration(99h), "4d 3h");
  EXPECT_EQ(short_duration(-5s), "0.0s");
}

}  // namespace
}  // namespace spool
