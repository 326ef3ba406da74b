#include "queue/object_watch.h"

#include <gtest/gtest.h>

#include <deque>
#include <optional>

#include "support/logged.h"

namespace spool {
namespace {

const Error kAway{Code::kUnavailable, "nobody is there"};

// Objects that answer when the test says so, and what is passed on meanwhile.
class ObjectWatchTest : public testing::Test {
 protected:
  ~ObjectWatchTest() override {
    watch_.end([this] { say(fail(Code::kCancelled, "the end")); });
  }

  void await_question() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return asks_; });
    asks_ = false;
  }
  void answer(const Result<void>& answer) {
    await_question();
    say(answer);
  }
  void say(const Result<void>& answer) {
    const std::lock_guard lock(mutex_);
    answer_ = answer;
    changed_.notify_all();
  }
  void await_back() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return back_ > 0; });
  }

  void put(const Token& token, Ending ending) { watch_.put({Uuid{}, token, std::move(ending), {}, {}}); }
  void put(Ending ending) { put(Token::random(), std::move(ending)); }
  bool is_passed_on() {
    const std::lock_guard lock(mutex_);
    return !passed_on_.empty();
  }
  Ending passed_on() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !passed_on_.empty(); });
    Ending ending = std::move(passed_on_.front().ending);
    passed_on_.pop_front();
    return ending;
  }

  std::vector<Token> running_;

 private:
  Result<void> ask() {
    std::unique_lock lock(mutex_);
    asks_ = true;
    changed_.notify_all();
    changed_.wait(lock, [this] { return answer_.has_value(); });
    return *std::exchange(answer_, std::nullopt);
  }
  void take(Settlement settlement) {
    const std::lock_guard lock(mutex_);
    passed_on_.push_back(std::move(settlement));
    changed_.notify_all();
  }
  void note_back() {
    const std::lock_guard lock(mutex_);
    ++back_;
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Result<void>> answer_;
  std::deque<Settlement> passed_on_;
  bool asks_ = false;
  int back_ = 0;

 protected:
  const test::Logged logged_;
  ObjectWatch watch_{{[this] { return ask(); }, [this](Settlement s) { take(std::move(s)); },
                      [this] { return running_; }, [this] { note_back(); }, std::chrono::milliseconds(1)}};
};

const Ending kTriedAgain = RetryLater{{Code::kUnavailable, "HTTP 500"}, std::nullopt};
const Ending kRefused = Failed{{Code::kPermissionDenied, "HTTP 403"}};

TEST_F(ObjectWatchTest, WhatDidNotFailAsksNobody) {
  watch_.start();
  put(Succeeded{});
  put(Snooze{});
  put(Failed{{Code::kCancelled, "cancelled"}});
  EXPECT_TRUE(std::holds_alternative<Succeeded>(passed_on()));
  EXPECT_TRUE(std::holds_alternative<Snooze>(passed_on()));
  EXPECT_TRUE(std::holds_alternative<Failed>(passed_on()));
}

TEST_F(ObjectWatchTest, AFailureIsTheAttemptsOwnWhenTheObjectsAnswer) {
  watch_.start();
  for (const Ending& ending : {kTriedAgain, kRefused}) {
    put(ending);
    EXPECT_FALSE(is_passed_on()) << "before the answer";
    answer({});
    EXPECT_EQ(passed_on().index(), ending.index());
  }
  EXPECT_FALSE(watch_.away());
  EXPECT_EQ(logged_.text(), "");
}

TEST_F(ObjectWatchTest, AnAnswerCountsForWhatHadEndedWhenItWasAskedFor) {
  put(kTriedAgain);
  put(kRefused);
  watch_.start();
  answer({});
  EXPECT_TRUE(std::holds_alternative<RetryLater>(passed_on()));
  EXPECT_TRUE(std::holds_alternative<Failed>(passed_on()));
}

TEST_F(ObjectWatchTest, FailuresAreReleasedWhileTheObjectsAreAwayWhichIsSaidOnce) {
  watch_.start();
  put(kTriedAgain);
  answer(fail(kAway));
  EXPECT_TRUE(std::holds_alternative<Released>(passed_on()));
  EXPECT_TRUE(watch_.away());
  put(kRefused);
  EXPECT_TRUE(std::holds_alternative<Released>(passed_on())) << "without a question";
  for (int i = 0; i < 3; ++i) answer(fail(kAway));
  EXPECT_TRUE(watch_.away());
  answer({});
  await_back();
  EXPECT_FALSE(watch_.away());
  const std::string said = logged_.text();
  for (const char* once : {"the objects do not answer, waiting for them: nobody is there", "answer again"}) {
    EXPECT_NE(said.find(once), std::string::npos) << said;
    EXPECT_EQ(said.find(once), said.rfind(once)) << said;
  }
}

TEST_F(ObjectWatchTest, AFailureBehindAnOutageIsReleasedOnceIfItBeganBeforeItsEnd) {
  watch_.start();
  running_ = {Token::random()};
  put(kTriedAgain);
  answer(fail(kAway));
  EXPECT_TRUE(std::holds_alternative<Released>(passed_on()));
  answer({});
  await_back();
  put(running_[0], kTriedAgain);
  EXPECT_TRUE(std::holds_alternative<Released>(passed_on()));
  put(kTriedAgain);
  answer({});
  EXPECT_TRUE(std::holds_alternative<RetryLater>(passed_on()));
}

TEST_F(ObjectWatchTest, TheEndInterruptsAQuestionAndReleasesWhoWaitsForIt) {
  watch_.start();
  put(kTriedAgain);
  await_question();
  watch_.end([this] { say(fail(Code::kCancelled, "interrupted")); });
  EXPECT_TRUE(std::holds_alternative<Released>(passed_on()));
  EXPECT_EQ(logged_.text().find("waiting"), std::string::npos) << logged_.text();
}

TEST(ObjectWatch, WithoutAQuestionEverythingIsPassedOn) {
  int passed_on = 0;
  ObjectWatch watch({{}, [&](const Settlement&) { ++passed_on; }, {}, {}, Duration(1)});
  watch.start();
  watch.put({Uuid{}, Token{}, kTriedAgain, {}, {}});
  EXPECT_EQ(passed_on, 1);
  watch.end({});
}

}  // namespace
}  // namespace spool
