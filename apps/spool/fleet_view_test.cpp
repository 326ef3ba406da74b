#include "fleet_view.h"

#include <gtest/gtest.h>

namespace spool {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

constexpr Time kNow{std::chrono::hours(24 * 365 * 50)};

Stats a_fleet() {
  Stats stats;
  stats.now = kNow;
  QueueCounts queue;
  queue.queue = "night";
  queue.paused = true;
  queue.counts[static_cast<int>(State::kAvailable)] = 3;
  queue.counts[static_cast<int>(State::kWaiting)] = 5;
  queue.limited = 2;
  queue.oldest_ready = kNow - seconds(90);
  stats.queues = {queue};
  SessionInfo worker;
  worker.worker = {"host", 7, "1.2", 4, {"gpu"}, seconds(30)};
  worker.expires = kNow + seconds(20);
  worker.running = {{Uuid{}, "encode", "chunk 1", 2, kNow - seconds(5)},
                    {Uuid{}, "encode", "chunk 2", 1, kNow - seconds(6)}};
  SessionInfo lost = worker;
  lost.running.clear();
  lost.expires = kNow;
  stats.workers = {worker, lost};
  stats.limits = {{{LimitScope::kKey, "a\"b\\c\nd", 4, Rate{10, minutes(1), 3}}, 1, 2}};
  return stats;
}

TEST(FleetView, ATableHasAlignedColumnsAndNothingThatMovesTheCursor) {
  EXPECT_EQ(render_rows(std::vector<std::vector<std::string>>{{"A", "LONGER"}, {"longest", "b\x1b[2J"}}),
            "A        LONGER\nlongest  b?[2J\n");
}

TEST(FleetView, QueuesTellTheirCountsTheirAgeAndTheirLimit) {
  const LimitBook limits({{LimitScope::kQueue, "n*", 4, {}}});
  EXPECT_EQ(
      render_queues(a_fleet().queues, limits, kNow),
      "QUEUE  AVAILABLE  RUNNING  WAITING  LIMITED  SCHEDULED  HELD  FAILED  OLDEST  LIMIT      PAUSED\n"
      "night  3          0        3        2        0          0     0       1m 30s  4 at once  yes\n");
  EXPECT_EQ(render_queues({}, limits, kNow), "");
}

TEST(FleetView, WorkersHaveALineForEachJob) {
  const std::string table = render_workers(a_fleet().workers, kNow);
  EXPECT_NE(table.find("host:7  1.2      3/4    gpu   20s    "), std::string::npos) << table;
  EXPECT_NE(table.find(" encode chunk 2 6.0s"), std::string::npos) << table;
  EXPECT_NE(table.find("lost   -\n"), std::string::npos) << table;
  EXPECT_EQ(std::count(table.begin(), table.end(), '\n'), 4);
}

TEST(FleetView, ALimitIsWrittenInWords) {
  Limit limit{LimitScope::kKey, "a", 4, Rate{10, minutes(1), 1}};
  EXPECT_EQ(limit_text(limit), "4 at once, 10 in 1m 00s");
  EXPECT_EQ(limit_text({LimitScope::kQueue, "night", 0, {}}), "0 at once: nothing starts");
  EXPECT_EQ(rule_text(limit), limit_text(limit));
  limit.concurrency.reset();
  limit.rate->burst = 3;
  EXPECT_EQ(limit_text(limit), "10 in 1m 00s (burst 3)");
}

TEST(FleetView, ALimitOfManyKeysIsNotTakenForOneOfThemTogether) {
  const LimitUse use{{LimitScope::kKey, "customer*", 2, Rate{10, minutes(1), 1}}, 4, 0};
  EXPECT_EQ(render_limits(std::span(&use, 1)),
            "FOR  NAME       LIMIT                         TAKEN  WAITING\n"
            "key  customer*  each 2 at once, 10 in 1m 00s  4      0\n");
}

TEST(FleetView, ARateIsSoManyInATime) {
  EXPECT_EQ(parse_rate("10/1m30s").value(), (Rate{10, seconds(90), 1}));
  for (const char* wrong : {"", "10", "/1m", "x/1m", "10x/1m", "10/", "10/5"})
    EXPECT_NE(parse_rate(wrong).error().message.find("--rate: "), std::string::npos) << wrong;
}

TEST(FleetView, PrometheusGetsEachFamilyOnceAndEscapedLabels) {
  Stats stats = a_fleet();
  stats.workers[1].running = stats.workers[0].running;  // nobody has found yet that it died
  const std::string text = prometheus_text(stats);
  for (const char* line :
       {"# TYPE spool_jobs gauge\n", "spool_jobs{queue=\"night\",state=\"available\"} 3\n",
        "spool_jobs_limited{queue=\"night\"} 2\n", "spool_queue_paused{queue=\"night\"} 1\n",
        "# HELP spool_queue_oldest_ready_seconds For how many seconds",
        "spool_queue_oldest_ready_seconds{queue=\"night\"} 90\n", "spool_workers 1\n",
        "spool_worker_slots 4\n", "spool_worker_slots_taken 3\n", "spool_jobs_running 2\n",
        "spool_limit_taken{scope=\"key\",name=\"a\\\"b\\\\c\\nd\"} 1\n",
        "spool_limit_waiting{scope=\"key\",name=\"a\\\"b\\\\c\\nd\"} 2\n"})
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
  std::size_t helps = 0, types = 0;
  for (std::size_t at = 0; (at = text.find("# HELP ", at)) != std::string::npos; ++at) ++helps;
  for (std::size_t at = 0; (at = text.find("# TYPE ", at)) != std::string::npos; ++at) ++types;
  EXPECT_EQ(helps, 10u);
  EXPECT_EQ(types, 10u);
  EXPECT_TRUE(text.ends_with('\n'));
}

TEST(FleetView, AnEmptyStoreHasStatsToo) {
  const std::string text = prometheus_text({});
  EXPECT_NE(text.find("spool_workers 0\n"), std::string::npos);
  EXPECT_EQ(stats_json({})["queues"], Json::array());
}

}  // namespace
}  // namespace spool
