#include "queue/progress.h"

#include <gtest/gtest.h>

namespace spool {
namespace {

using std::chrono::seconds;

Job job(State state, double progress, std::optional<Uuid> parent = {}, double weight = 1) {
  Job made;
  made.id = Uuid::v7();
  made.parent = parent;
  made.state = state;
  made.progress = progress;
  made.weight = weight;
  return made;
}

TEST(TreeProgress, OfALoneJobIsItsOwn) {
  const std::vector<Job> jobs = {job(State::kRunning, 0.3)};
  EXPECT_DOUBLE_EQ(tree_progress(jobs, jobs[0].id), 0.3);
}

TEST(TreeProgress, WeighsChildren) {
  std::vector<Job> jobs = {job(State::kWaiting, 0)};
  jobs.push_back(job(State::kSucceeded, 0, jobs[0].id, 3));
  jobs.push_back(job(State::kRunning, 0.5, jobs[0].id, 1));
  const WeighKind weigh = [&](const Job& j) -> std::optional<PhaseWeights> {
    if (j.id == jobs[0].id) return PhaseWeights{10, 80, 10};
    return std::nullopt;
  };
  EXPECT_DOUBLE_EQ(tree_progress(jobs, jobs[0].id, 0, weigh), 0.1 + 0.8 * (3 + 0.5) / 4);
}

TEST(TreeProgress, NeverFallsWhenAFanOutFindsMoreToDo) {
  std::vector<Job> jobs = {job(State::kRunning, 0.9)};
  const double before = tree_progress(jobs, jobs[0].id);
  jobs[0].state = State::kWaiting;
  jobs.push_back(job(State::kAvailable, 0, jobs[0].id));
  EXPECT_DOUBLE_EQ(tree_progress(jobs, jobs[0].id, before), before);
  EXPECT_LT(tree_progress(jobs, jobs[0].id), before);
}

TEST(TreeProgress, AKindThatWillFanOutDoesNotRunAheadWhileItPlans) {
  const std::vector<Job> jobs = {job(State::kRunning, 1.0)};
  const WeighKind weigh = [](const Job&) { return PhaseWeights{2, 96, 2}; };
  EXPECT_DOUBLE_EQ(tree_progress(jobs, jobs[0].id, 0, weigh), 0.02);
}

TEST(TreeProgress, IsWholeOnlyWhenTheTopHasSucceeded) {
  std::vector<Job> jobs = {job(State::kRunning, 1.0)};
  jobs.push_back(job(State::kSucceeded, 1, jobs[0].id));
  EXPECT_LT(tree_progress(jobs, jobs[0].id), 1.0);
  jobs[0].state = State::kSucceeded;
  EXPECT_DOUBLE_EQ(tree_progress(jobs, jobs[0].id), 1.0);
}

TEST(TreeProgress, OfAnUnknownTopIsThePreviousValue) {
  EXPECT_DOUBLE_EQ(tree_progress({}, Uuid::v7(), 0.4), 0.4);
}

TEST(TimeLeft, IsUnknownUntilTheEstimatesAgree) {
  TimeLeft left;
  EXPECT_EQ(left.add(seconds(0), 0), std::nullopt);
  EXPECT_EQ(left.add(seconds(4), 0.04), std::nullopt) << "too early";
  EXPECT_EQ(left.add(seconds(5), 0.05), std::nullopt) << "one estimate";
  EXPECT_EQ(left.add(seconds(6), 0.06), std::nullopt);
  const auto known = left.add(seconds(7), 0.07);
  ASSERT_TRUE(known.has_value());
  EXPECT_NEAR(std::chrono::duration<double>(*known).count(), 93, 0.5);
}

TEST(TimeLeft, IsTakenBackWhenTheSpeedJumps) {
  TimeLeft left;
  std::optional<Duration> known;
  for (int i = 0; i <= 10; ++i) known = left.add(seconds(i), 0.01 * i);
  ASSERT_TRUE(known.has_value());
  EXPECT_EQ(left.add(seconds(11), 0.5), std::nullopt);
}

TEST(TimeLeft, StaysUnknownWithoutProgress) {
  TimeLeft left;
  for (int i = 0; i < 100; ++i) EXPECT_EQ(left.add(seconds(i), 0.2), std::nullopt);
}

}  // namespace
}  // namespace spool
