// Queues, workers, limits and schedules as people and programs see them: tables, the JSON of --json, and
// Prometheus's text format. Pure functions.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "queue/store.h"

namespace spool {

// The first line are the headings; each column as wide as it must be, numbers to the right. Text of others is
// made printable.
[[nodiscard]] std::string render_rows(std::span<const std::vector<std::string>> rows);

// "4 at once, 10/1m (burst 3)"; the shape of docs/cli.md.
[[nodiscard]] std::string limit_text(const Limit& limit);
// Where the limit itself is shown: with a * at the end of its name "each 4 at once".
[[nodiscard]] std::string rule_text(const Limit& limit);
[[nodiscard]] Json limit_json(const LimitUse& use);
// "10/1m": so many starts in that time. Errors: kInvalidArgument.
[[nodiscard]] Result<Rate> parse_rate(const std::string& text);

[[nodiscard]] std::string render_queues(std::span<const QueueCounts> queues, const LimitBook& limits,
                                        Time now);
[[nodiscard]] Json queue_json(const QueueCounts& queue);
// Whether its lease is valid: what a worker that died leaves is seen until another one finds it.
[[nodiscard]] bool lives(const SessionInfo& worker, Time now);
[[nodiscard]] std::string render_workers(std::span<const SessionInfo> workers, Time now);
[[nodiscard]] Json worker_json(const SessionInfo& worker);
[[nodiscard]] std::string render_limits(std::span<const LimitUse> limits);
[[nodiscard]] std::string render_schedules(std::span<const Schedule> schedules, Time now);
[[nodiscard]] Json schedule_json(const Schedule& schedule);
[[nodiscard]] std::string_view name(Missed missed);  // "run-once", "skip", "run-all"

struct Stats {
  std::vector<QueueCounts> queues;
  std::vector<SessionInfo> workers;
  std::vector<LimitUse> limits;
  Time now{};
};
[[nodiscard]] Json stats_json(const Stats& stats);
// Text exposition format 0.0.4.
[[nodiscard]] std::string prometheus_text(const Stats& stats);

}  // namespace spool
