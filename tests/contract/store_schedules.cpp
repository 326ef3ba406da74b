// Schedules as rows, and ticks that happen once. What their times are is in queue/cron_test.cpp.
#include <atomic>
#include <thread>

#include "contract/store_contract.h"

namespace spool {
namespace {

using std::chrono::hours;

Schedule nightly(Time next) {
  Schedule schedule;
  schedule.name = "nightly";
  schedule.cron = "0 3 * * *";
  schedule.zone = "Europe/Berlin";
  schedule.missed = Missed::kRunAll;
  schedule.job = new_job("clean", "nightly");
  schedule.job.args = {{"deep", true}};
  schedule.job.queue = "night";
  schedule.job.timeout = hours(1);
  schedule.job.limit_key = "cleaning";
  schedule.next = next;
  return schedule;
}

TEST_P(StoreContract, AScheduleIsKeptAsItWasPut) {
  const Time next = must(store().now()) + hours(1);
  Schedule second = nightly(next);
  second.name = "another";
  second.paused = true;
  must(store().put_schedule(nightly(next)));
  must(store().put_schedule(second));
  reopen();
  const auto all = must(store().schedules());
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].name, "another");
  EXPECT_TRUE(all[0].paused);
  const Schedule& kept = all[1];
  EXPECT_EQ(kept.name, "nightly");
  EXPECT_EQ(kept.cron, "0 3 * * *");
  EXPECT_EQ(kept.zone, "Europe/Berlin");
  EXPECT_EQ(kept.missed, Missed::kRunAll);
  EXPECT_EQ(kept.next, next);
  EXPECT_FALSE(kept.paused);
  EXPECT_EQ(kept.job.kind, "clean");
  EXPECT_EQ(kept.job.args, (Json{{"deep", true}}));
  EXPECT_EQ(kept.job.queue, "night");
  EXPECT_EQ(kept.job.timeout, Duration(hours(1)));
  EXPECT_EQ(kept.job.limit_key, "cleaning");
}

TEST_P(StoreContract, APutScheduleReplacesTheOneOfItsName) {
  const Time next = must(store().now());
  must(store().put_schedule(nightly(next)));
  Schedule changed = nightly(next + hours(2));
  changed.cron = "0 5 * * *";
  must(other().put_schedule(changed));
  ASSERT_EQ(must(store().schedules()).size(), 1u);
  EXPECT_EQ(must(store().schedules())[0].cron, "0 5 * * *");
  EXPECT_EQ(must(store().schedules())[0].next, next + hours(2));
  must(store().remove_schedule("nightly"));
  EXPECT_TRUE(must(store().schedules()).empty());
  EXPECT_EQ(code_of(store().remove_schedule("nightly")), "not_found");
  EXPECT_EQ(code_of(store().pause_schedule("nightly", true)), "not_found");
}

TEST_P(StoreContract, AScheduleWhoseJobCannotBeIsRefused) {
  const auto code_with = [&](auto change) {
    Schedule schedule = nightly(must(store().now()));
    change(schedule);
    return code_of(store().put_schedule(schedule));
  };
  EXPECT_EQ(code_with([](Schedule& s) { s.name = ""; }), "invalid_argument");
  EXPECT_EQ(code_with([](Schedule& s) { s.job.kind = ""; }), "invalid_argument");
  EXPECT_EQ(code_with([](Schedule& s) { s.job.slots = 0; }), "invalid_argument");
  EXPECT_EQ(code_with([](Schedule& s) { s.job.id = Uuid::v7(); }), "invalid_argument");
  EXPECT_EQ(code_with([](Schedule& s) { s.job.parent = Uuid::v7(); }), "invalid_argument");
  EXPECT_EQ(code_with([](Schedule& s) { s.job.needs = {{Uuid::v7(), false}}; }), "invalid_argument");
  EXPECT_EQ(code_with([](Schedule& s) {
              s.job.args = {{"x", std::string(2 << 20, 'x')}};
            }),
            "limit_exceeded");
  EXPECT_TRUE(must(store().schedules()).empty());
}

TEST_P(StoreContract, ATickInsertsItsJobsAndMovesOnOnce) {
  const Time first = must(store().now()), second = first + hours(24);
  const Schedule schedule = nightly(first);
  must(store().put_schedule(schedule));
  const std::vector<NewJob> jobs = {schedule.job, schedule.job};
  EXPECT_TRUE(must(store().tick("nightly", first, second, jobs)));
  EXPECT_FALSE(must(other().tick("nightly", first, second, jobs))) << "another one was faster";
  EXPECT_EQ(must(store().schedules())[0].next, second);
  EXPECT_EQ(must(store().list({})).size(), 2u);
  EXPECT_EQ(claim(1).at(0).args, schedule.job.args);
  EXPECT_TRUE(must(other().tick("nightly", second, second + hours(24), {})));
  EXPECT_EQ(must(store().list({})).size(), 2u);
}

TEST_P(StoreContract, OfManyWhoTickAtOnceOneDoes) {
  const Time first = must(store().now());
  const Schedule schedule = nightly(first);
  must(store().put_schedule(schedule));
  constexpr int kTicks = 40;
  std::atomic<int> done{0};
  const auto work = [&](Store& handle) {
    for (int i = 0; i < kTicks; ++i)
      done +=
          must(handle.tick("nightly", first + hours(i), first + hours(i + 1), std::span(&schedule.job, 1)));
  };
  Store& second = other();
  std::thread thread([&] { work(second); });
  work(store());
  thread.join();
  EXPECT_GE(done, 1);
  // One may have been ahead, and the other behind: then some ticks found the schedule elsewhere.
  EXPECT_EQ(must(store().list({})).size(), static_cast<std::size_t>(done));
  EXPECT_EQ(must(store().schedules())[0].next, first + hours(done));
}

TEST_P(StoreContract, APausedScheduleMovesOnWithoutJobs) {
  const Time first = must(store().now());
  const Schedule schedule = nightly(first);
  must(store().put_schedule(schedule));
  must(store().pause_schedule("nightly", true));
  EXPECT_TRUE(must(store().schedules())[0].paused);
  EXPECT_FALSE(must(store().tick("nightly", first, first + hours(1), std::span(&schedule.job, 1))));
  EXPECT_EQ(must(store().schedules())[0].next, first);
  EXPECT_TRUE(must(store().tick("nightly", first, first + hours(1), {})));
  EXPECT_TRUE(must(store().list({})).empty());
  must(store().pause_schedule("nightly", false));
  EXPECT_TRUE(must(store().tick("nightly", first + hours(1), first + hours(2), std::span(&schedule.job, 1))));
}

TEST_P(StoreContract, ATickOfAScheduleThatIsGoneDoesNothing) {
  const NewJob job = new_job("a");
  EXPECT_FALSE(must(store().tick("nightly", Time{}, Time(hours(1)), std::span(&job, 1))));
  EXPECT_TRUE(must(store().list({})).empty());
}

TEST_P(StoreContract, ATickWhoseJobIsRefusedChangesNothing) {
  const Time first = must(store().now());
  must(store().put_schedule(nightly(first)));
  NewJob wrong = new_job("a");
  wrong.slots = 0;
  const std::vector<NewJob> jobs = {new_job("a"), wrong};
  EXPECT_EQ(code_of(store().tick("nightly", first, first + hours(1), jobs)), "invalid_argument");
  EXPECT_EQ(must(store().schedules())[0].next, first);
  EXPECT_TRUE(must(store().list({})).empty());
}

TEST_P(StoreContract, ATickWhoseJobHasAKeyThatIsHeldMovesOn) {
  const Time first = must(store().now());
  Schedule schedule = nightly(first);
  schedule.job.unique_key = "one at a time";
  must(store().put_schedule(schedule));
  EXPECT_TRUE(must(store().tick("nightly", first, first + hours(1), std::span(&schedule.job, 1))));
  EXPECT_TRUE(must(store().tick("nightly", first + hours(1), first + hours(2), std::span(&schedule.job, 1))));
  EXPECT_EQ(must(store().list({})).size(), 1u);
}

TEST_P(StoreContract, ATickWakesWhoWaits) {
  const Time first = must(store().now());
  const Schedule schedule = nightly(first);
  must(store().put_schedule(schedule));
  store().wait(Duration(0));
  const auto began = BootClock::now();
  must(store().tick("nightly", first, first + hours(1), std::span(&schedule.job, 1)));
  store().wait(std::chrono::seconds(20));
  EXPECT_LT(BootClock::now() - began, std::chrono::seconds(15));
}

}  // namespace
}  // namespace spool
