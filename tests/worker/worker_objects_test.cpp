// The worker and objects that are away, or refuse it.
#include <gtest/gtest.h>

#include <atomic>

#include "worker/worker_fixture.h"

namespace spool::test {
namespace {

// Objects that can be away, and a kind that needs them.
class WorkerAndObjects : public testing::Test {
 protected:
  WorkerAndObjects() {
    kinds_.add(inline_kind("reads", [this](Attempt& attempt) -> Ending {
      ++runs_;
      if (attempt.claim().checkpoint.is_null()) static_cast<void>(attempt.checkpoint({{"at", 1}}));
      if (!away_) return Succeeded{attempt.claim().checkpoint};
      return Failed{{Code::kPermissionDenied, "the keys have expired"}};
    }));
    kinds_.add(inline_kind("missing", [this](Attempt&) -> Ending {
      ++runs_;
      return Failed{{Code::kNotFound, "there is no such object"}};
    }));
    options_.ask_objects = [this]() -> Result<void> {
      if (note_question() >= hangs_from_) {
        interrupts_.acquire();
        return fail(Code::kCancelled, "interrupted");
      }
      if (away_) return fail(Code::kPermissionDenied, "the keys have expired");
      return {};
    };
    options_.interrupt = [this] {
      interrupted_ = true;
      interrupts_.release();
    };
  }
  int note_question() {
    const std::lock_guard lock(mutex_);
    asked_.notify_all();
    return ++questions_;
  }
  // Those before it have been answered.
  void await_question(int number) {
    std::unique_lock lock(mutex_);
    asked_.wait(lock, [&] { return questions_ >= number; });
  }

  FaultyStore store_;
  Kinds kinds_;
  WorkerOptions options_ = quick();
  std::atomic<int> runs_ = 0;
  std::atomic<bool> away_ = false, interrupted_ = false;
  int hangs_from_ = 1000;  // this question
  std::mutex mutex_;
  int questions_ = 0;
  std::condition_variable asked_;
  std::counting_semaphore<> interrupts_{0};
};

TEST_F(WorkerAndObjects, ObjectsThatAreAwayChargeNothingAndNothingIsClaimedUntilTheyAnswer) {
  away_ = true;
  const Uuid first = insert_one(store_, new_job("reads"));
  RunningWorker worker(store_, kinds_, options_);
  await_question(2);
  std::vector<Uuid> jobs{first};
  for (int i = 0; i < 19; ++i) jobs.push_back(insert_one(store_, new_job("reads")));
  await_question(4);
  EXPECT_LE(runs_, 1 + options_.slots) << "but for a claim that was on its way";
  away_ = false;
  ASSERT_TRUE(store_.await_ended(20));
  for (const Uuid& job : jobs) {
    EXPECT_EQ(store_.get(job)->state, State::kSucceeded);
    EXPECT_EQ(store_.get(job)->attempts, 1);
    EXPECT_TRUE(store_.get(job)->errors.empty());
  }
  EXPECT_EQ(store_.get(first)->result, (Json{{"at", 1}})) << "its checkpoint stays";
}

TEST_F(WorkerAndObjects, AFailureOfItsOwnIsChargedWhereTheObjectsAnswer) {
  const Uuid missing = insert_one(store_, new_job("missing"));
  RunningWorker worker(store_, kinds_, options_);
  ASSERT_TRUE(store_.await_ended(1));
  EXPECT_EQ(store_.get(missing)->state, State::kFailed);
  EXPECT_EQ(store_.get(missing)->attempts, 1);
  EXPECT_EQ(runs_, 1);
}

TEST_F(WorkerAndObjects, ItDrainsWhileItWaits) {
  away_ = true;
  const Uuid job = insert_one(store_, new_job("reads"));
  RunningWorker worker(store_, kinds_, options_);
  await_question(2);
  worker->drain();
  EXPECT_TRUE(worker.wait());
  EXPECT_EQ(store_.get(job)->state, State::kAvailable);
  EXPECT_EQ(store_.get(job)->attempts, 0);
  EXPECT_EQ(store_.calls().closed, 1);
}

TEST_F(WorkerAndObjects, AnEndWhileTheyAreAwayDoesNotWaitForAQuestionThatHangs) {
  away_ = true;
  hangs_from_ = 3;
  insert_one(store_, new_job("reads"));
  RunningWorker worker(store_, kinds_, options_);
  await_question(hangs_from_);
  worker->drain();
  EXPECT_TRUE(worker.wait());
  EXPECT_TRUE(interrupted_);
}

TEST_F(WorkerAndObjects, AStopReleasesWhatWaitsForAnAnswer) {
  hangs_from_ = 1;
  const Uuid job = insert_one(store_, new_job("missing"));
  RunningWorker worker(store_, kinds_, options_);
  await_question(1);
  worker->stop();
  EXPECT_TRUE(worker.wait());
  EXPECT_EQ(store_.get(job)->state, State::kAvailable);
  EXPECT_EQ(store_.get(job)->attempts, 0);
}

}  // namespace
}  // namespace spool::test
