#include "fleet_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/units.h"
#include "terminal.h"

namespace spool {
namespace {

using Row = std::vector<std::string>;

std::string age(Time now, Time then) {
  return short_duration(std::max(now - then, Duration(0)));
}

int slots_of(const SessionInfo& worker) {
  int slots = 0;
  for (const RunningJob& job : worker.running) slots += job.slots;
  return slots;
}

std::int64_t count_of(const QueueCounts& queue, State state) {
  return queue.counts[static_cast<int>(state)];
}

std::string_view name_of(LimitScope scope) {
  return scope == LimitScope::kQueue ? "queue" : "key";
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : ",") + word;
  return out;
}

double seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

Json job_names(const QueueCounts& queue) {
  Json counts = Json::object();
  for (int i = 0; i < kStateCount; ++i) counts[std::string(name(static_cast<State>(i)))] = queue.counts[i];
  return counts;
}

}  // namespace

std::string render_rows(std::span<const Row> rows) {
  std::vector<int> widths;
  std::vector<Row> cells;
  for (const Row& row : rows) {
    Row& own = cells.emplace_back();
    for (const std::string& cell : row) own.push_back(printable(cell));
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], columns(own[i]));
  }
  std::string out;
  for (const Row& row : cells) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) line += padded(row[i], widths[i]) + "  ";
    line.resize(line.find_last_not_of(' ') + 1);
    out += line + '\n';
  }
  return out;
}

std::string limit_text(const Limit& limit) {
  std::string text;
  if (limit.concurrency)
    text =
        *limit.concurrency == 0 ? "0 at once: nothing starts" : fmt::format("{} at once", *limit.concurrency);
  if (!limit.rate) return text;
  const Rate& rate = *limit.rate;
  text += fmt::format("{}{} in {}", text.empty() ? "" : ", ", rate.count, short_duration(rate.period));
  if (rate.burst > 1) text += fmt::format(" (burst {})", rate.burst);
  return text;
}

std::string rule_text(const Limit& limit) {
  return (limit.name.ends_with('*') ? "each " : "") + limit_text(limit);
}

Json limit_json(const LimitUse& use) {
  const Limit& limit = use.limit;
  Json rate;
  if (limit.rate)
    rate = {
        {"count", limit.rate->count}, {"period", seconds(limit.rate->period)}, {"burst", limit.rate->burst}};
  return {{"scope", name_of(limit.scope)},
          {"name", limit.name},
          {"concurrency", limit.concurrency ? Json(*limit.concurrency) : Json()},
          {"rate", std::move(rate)},
          {"taken", use.taken},
          {"waiting", use.waiting}};
}

Result<Rate> parse_rate(const std::string& text) {
  Rate rate;
  const auto slash = text.find('/');
  const char* const end = text.data() + std::min(slash, text.size());
  const auto [stopped, error] = std::from_chars(text.data(), end, rate.count);
  if (slash == std::string::npos || error != std::errc() || stopped != end)
    return fail(Code::kInvalidArgument,
                fmt::format("--rate: \"{}\": so many starts in a time are written 10/1m", text));
  const auto period = parse_duration(text.substr(slash + 1));
  if (!period) return fail(Code::kInvalidArgument, fmt::format("--rate: {}", period.error().message));
  rate.period = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(*period));
  return rate;
}

std::string render_queues(std::span<const QueueCounts> queues, const LimitBook& limits, Time now) {
  if (queues.empty()) return {};
  std::vector<Row> rows = {{"QUEUE", "AVAILABLE", "RUNNING", "WAITING", "LIMITED", "SCHEDULED", "HELD",
                            "FAILED", "OLDEST", "LIMIT", "PAUSED"}};
  for (const QueueCounts& queue : queues) {
    const Limit* limit = limits.find(LimitScope::kQueue, queue.queue);
    const auto count = [&](State state) { return std::to_string(count_of(queue, state)); };
    rows.push_back({queue.queue, count(State::kAvailable), count(State::kRunning),
                    std::to_string(count_of(queue, State::kWaiting) - queue.limited),
                    std::to_string(queue.limited), count(State::kScheduled), count(State::kCreated),
                    count(State::kFailed), queue.oldest_ready ? age(now, *queue.oldest_ready) : "-",
                    limit != nullptr ? limit_text(*limit) : "-", queue.paused ? "yes" : "-"});
  }
  return render_rows(rows);
}

Json queue_json(const QueueCounts& queue) {
  return {{"queue", queue.queue},
          {"paused", queue.paused},
          {"counts", job_names(queue)},
          {"limited", queue.limited},
          {"oldest_ready", queue.oldest_ready ? Json(rfc3339(*queue.oldest_ready)) : Json()}};
}

bool lives(const SessionInfo& worker, Time now) {
  return worker.expires > now;
}

std::string render_workers(std::span<const SessionInfo> workers, Time now) {
  if (workers.empty()) return {};
  std::vector<Row> rows = {{"WORKER", "VERSION", "SLOTS", "TAGS", "LEASE", "RUNNING"}};
  for (const SessionInfo& info : workers) {
    const std::string lease = lives(info, now) ? short_duration(info.expires - now) : "lost";
    Row row = {fmt::format("{}:{}", info.worker.host, info.worker.pid), info.worker.version,
               fmt::format("{}/{}", slots_of(info), info.worker.slots),
               info.worker.tags.empty() ? "-" : joined(info.worker.tags),
               lease + (info.draining ? "  draining" : "")};
    if (info.running.empty()) {
      row.push_back("-");
      rows.push_back(row);
    }
    // A line for each job; the worker stands in the first.
    for (const RunningJob& job : info.running) {
      row.push_back(fmt::format("{} {} {} {}", job.job.text(), job.kind, job.name, age(now, job.claimed)));
      rows.push_back(std::exchange(row, Row(5)));
    }
  }
  return render_rows(rows);
}

Json worker_json(const SessionInfo& info) {
  Json running = Json::array();
  for (const RunningJob& job : info.running)
    running.push_back({{"id", job.job.text()},
                       {"kind", job.kind},
                       {"name", job.name},
                       {"slots", job.slots},
                       {"claimed", rfc3339(job.claimed)}});
  return {{"id", info.session.id.text()},     {"host", info.worker.host},
          {"pid", info.worker.pid},           {"version", info.worker.version},
          {"slots", info.worker.slots},       {"slots_taken", slots_of(info)},
          {"tags", info.worker.tags},         {"lease", seconds(info.worker.lease)},
          {"expires", rfc3339(info.expires)}, {"draining", info.draining},
          {"running", std::move(running)}};
}

std::string render_limits(std::span<const LimitUse> limits) {
  if (limits.empty()) return {};
  std::vector<Row> rows = {{"FOR", "NAME", "LIMIT", "TAKEN", "WAITING"}};
  for (const LimitUse& use : limits)
    rows.push_back({std::string(name_of(use.limit.scope)), use.limit.name, rule_text(use.limit),
                    std::to_string(use.taken), std::to_string(use.waiting)});
  return render_rows(rows);
}

std::string_view name(Missed missed) {
  switch (missed) {
    case Missed::kRunOnce:
      return "run-once";
    case Missed::kSkip:
      return "skip";
    case Missed::kRunAll:
      return "run-all";
  }
  return "";
}

std::string render_schedules(std::span<const Schedule> schedules, Time now) {
  if (schedules.empty()) return {};
  std::vector<Row> rows = {{"NAME", "CRON", "ZONE", "MISSED", "KIND", "NEXT", "IN"}};
  for (const Schedule& schedule : schedules)
    rows.push_back({schedule.name, schedule.cron, schedule.zone, std::string(name(schedule.missed)),
                    schedule.job.kind, rfc3339(schedule.next),
                    schedule.paused ? "paused" : age(schedule.next, now)});
  return render_rows(rows);
}

Json schedule_json(const Schedule& schedule) {
  return {{"name", schedule.name},           {"cron", schedule.cron},     {"zone", schedule.zone},
          {"missed", name(schedule.missed)}, {"paused", schedule.paused}, {"next", rfc3339(schedule.next)},
          {"kind", schedule.job.kind},       {"args", schedule.job.args}, {"queue", schedule.job.queue}};
}

Json stats_json(const Stats& stats) {
  Json queues = Json::array(), workers = Json::array(), limits = Json::array();
  for (const QueueCounts& queue : stats.queues) queues.push_back(queue_json(queue));
  for (const SessionInfo& worker : stats.workers) workers.push_back(worker_json(worker));
  for (const LimitUse& limit : stats.limits) limits.push_back(limit_json(limit));
  return {{"now", rfc3339(stats.now)},
          {"queues", std::move(queues)},
          {"workers", std::move(workers)},
          {"limits", std::move(limits)}};
}

}  // namespace spool
