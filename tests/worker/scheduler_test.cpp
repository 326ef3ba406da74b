// Schedules, with the real store.
#include "queue/scheduler.h"

#include "support/logged.h"
#include "worker/worker_fixture.h"

namespace spool::test {
namespace {

Schedule schedule(std::string name, Time next, std::string cron = "@hourly") {
  Schedule schedule;
  schedule.name = std::move(name);
  schedule.cron = std::move(cron);
  schedule.job = new_job("clean");
  schedule.next = next;
  return schedule;
}

std::vector<Job> jobs_of(Store& store) {
  return store.list({}).value();
}

TEST(Scheduler, WhatIsDueIsInsertedOnceAndTheRestIsWaitedFor) {
  FaultyStore store;
  const Time now = store.now().value();
  ASSERT_TRUE(store.put_schedule(schedule("now", now)));
  ASSERT_TRUE(store.put_schedule(schedule("soon", now + 3s)));
  Scheduler one(store), two(store);
  EXPECT_LE(one.turn().value(), 3s);
  EXPECT_LE(two.turn().value(), 3s);
  ASSERT_EQ(jobs_of(store).size(), 1u);
  EXPECT_EQ(jobs_of(store)[0].labels["schedule"], "now");
  store.shift_clock_for_tests(3s);
  ASSERT_TRUE(two.turn());
  ASSERT_EQ(jobs_of(store).size(), 2u);
  EXPECT_EQ(jobs_of(store)[1].labels["schedule"], "soon");
}

TEST(Scheduler, WithoutSchedulesItLooksAgainInAWhile) {
  FaultyStore store;
  EXPECT_EQ(Scheduler(store).turn().value(), 10s);
}

TEST(Scheduler, AJobSaysWhichTickOfWhichScheduleItIs) {
  Schedule of = schedule("nightly", {});
  of.job.labels = {{"room", "12"}};
  const NewJob job = job_of_tick(of, Time(1700000000s));
  EXPECT_EQ(job.labels, (Json{{"room", "12"}, {"schedule", "nightly"}, {"tick", "2023-11-14T22:13:20Z"}}));
}

TEST(Scheduler, APausedScheduleGoesOnAndInsertsNothing) {
  FaultyStore store;
  const Time now = store.now().value();
  ASSERT_TRUE(store.put_schedule(schedule("paused", now)));
  ASSERT_TRUE(store.pause_schedule("paused", true));
  ASSERT_TRUE(Scheduler(store).turn());
  EXPECT_GT(store.schedules().value()[0].next, now);
  ASSERT_TRUE(store.pause_schedule("paused", false));
  ASSERT_TRUE(Scheduler(store).turn());
  EXPECT_TRUE(jobs_of(store).empty()) << "what passed meanwhile is not made up for";
}

TEST(Scheduler, AScheduleThatIsWrongIsToldAboutOnceAndKeepsNoOtherFromItsTurn) {
  FaultyStore store;
  const Time now = store.now().value();
  Schedule elsewhere = schedule("a", now);
  elsewhere.zone = "Nowhere";
  ASSERT_TRUE(store.put_schedule(elsewhere));
  ASSERT_TRUE(store.put_schedule(schedule("b", now)));
  const Logged logged;
  Scheduler scheduler(store);
  ASSERT_TRUE(scheduler.turn());
  ASSERT_TRUE(scheduler.turn());
  ASSERT_EQ(jobs_of(store).size(), 1u);
  EXPECT_EQ(jobs_of(store)[0].labels["schedule"], "b");
  const std::string text = logged.text();
  const auto first = text.find("the schedule a does not tick: there is no time zone \"Nowhere\"");
  EXPECT_NE(first, std::string::npos) << text;
  EXPECT_EQ(text.find("does not tick", first + 20), std::string::npos) << text;
}

// A store that refuses what a tick inserts.
class RefusesTicks final : public ForwardingStore {
 public:
  RefusesTicks(std::unique_ptr<Store> store, Code code) : ForwardingStore(std::move(store)), code_(code) {}
  Result<bool> tick(const std::string&, Time, Time, std::span<const NewJob>) override {
    return fail(code_, "refused");
  }

 private:
  Code code_;
};

TEST(Scheduler, ATickThatIsRefusedIsToldAndOneThatFailsIsTheStores) {
  for (const Code code : {Code::kConflict, Code::kUnavailable}) {
    SqliteBackend backend;
    RefusesTicks store(backend.open(), code);
    ASSERT_TRUE(store.put_schedule(schedule("a", store.now().value())));
    const Logged logged;
    const auto turned = Scheduler(store).turn();
    EXPECT_EQ(turned.has_value(), code == Code::kConflict);
    EXPECT_EQ(logged.text().find("the schedule a does not tick: refused") != std::string::npos,
              code == Code::kConflict);
  }
}

TEST(Scheduler, EveryWorkerLetsSchedulesTick) {
  FaultyStore store;
  Kinds kinds;
  kinds.add(inline_kind("clean", [](Attempt&) -> Ending { return Succeeded{}; }));
  ASSERT_TRUE(store.put_schedule(schedule("now", store.now().value())));
  RunningWorker one(store, kinds), two(store, kinds);
  EXPECT_TRUE(store.await_ended(1));
  EXPECT_EQ(jobs_of(store).size(), 1u);
}

}  // namespace
}  // namespace spool::test
