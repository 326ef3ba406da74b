// Prometheus's text exposition format 0.0.4: each family with its HELP and TYPE, once, and its samples.
#include <fmt/format.h>

#include <algorithm>

#include "fleet_view.h"

namespace spool {
namespace {

using Labels = std::vector<std::pair<std::string_view, std::string_view>>;

// A label's value: backslash, quote and line break are escaped.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n";
      continue;
    }
    if (c == '\\' || c == '"') out += '\\';
    out += c;
  }
  return out;
}

class Exposition {
 public:
  void family(std::string_view name, std::string_view help) {
    family_ = name;
    text_ += fmt::format("# HELP {} {}\n# TYPE {} gauge\n", name, help, name);
  }
  void sample(const Labels& labels, double value) {
    text_ += family_;
    std::string separator = "{";
    for (const auto& [label, text] : labels) {
      text_ += fmt::format("{}{}=\"{}\"", separator, label, escaped(text));
      separator = ",";
    }
    text_ += fmt::format("{} {}\n", labels.empty() ? "" : "}", value);
  }
  [[nodiscard]] std::string text() && { return std::move(text_); }

 private:
  std::string_view family_;
  std::string text_;
};

void add_queues(Exposition& out, const Stats& stats) {
  out.family("spool_jobs", "Jobs by queue and state.");
  for (const QueueCounts& queue : stats.queues)
    for (int i = 0; i < kStateCount; ++i)
      out.sample({{"queue", queue.queue}, {"state", name(static_cast<State>(i))}},
                 static_cast<double>(queue.counts[i]));
  out.family("spool_jobs_limited", "Jobs that wait for a place of a limit.");
  for (const QueueCounts& queue : stats.queues)
    out.sample({{"queue", queue.queue}}, static_cast<double>(queue.limited));
  out.family("spool_queue_paused", "1 while the queue is paused.");
  for (const QueueCounts& queue : stats.queues) out.sample({{"queue", queue.queue}}, queue.paused ? 1 : 0);
  out.family(
      "spool_queue_oldest_ready_seconds",
      "For how many seconds a job has been available, the oldest among the first in line; 0: there is none.");
  for (const QueueCounts& queue : stats.queues) {
    const Duration age = stats.now - queue.oldest_ready.value_or(stats.now);
    out.sample({{"queue", queue.queue}}, std::max(0.0, std::chrono::duration<double>(age).count()));
  }
}

void add_workers(Exposition& out, const Stats& stats) {
  double slots = 0, taken = 0, running = 0, alive = 0;
  for (const SessionInfo& info : stats.workers) {
    if (!lives(info, stats.now)) continue;
    alive += 1;
    slots += info.worker.slots;
    running += static_cast<double>(info.running.size());
    for (const RunningJob& job : info.running) taken += job.slots;
  }
  out.family("spool_workers", "Workers whose lease is valid.");
  out.sample({}, alive);
  out.family("spool_worker_slots", "Slots of these workers.");
  out.sample({}, slots);
  out.family("spool_worker_slots_taken", "Slots of theirs that running jobs take.");
  out.sample({}, taken);
  out.family("spool_jobs_running", "Jobs that they run.");
  out.sample({}, running);
}

void add_limits(Exposition& out, const Stats& stats) {
  const auto add = [&](std::string_view name, std::string_view help, std::int64_t LimitUse::*value) {
    out.family(name, help);
    for (const LimitUse& use : stats.limits)
      out.sample(
          {{"scope", use.limit.scope == LimitScope::kQueue ? "queue" : "key"}, {"name", use.limit.name}},
          static_cast<double>(use.*value));
  };
  add("spool_limit_taken", "Jobs that hold a place of the limit.", &LimitUse::taken);
  add("spool_limit_waiting", "Jobs that wait for a limit, and to which this one applies.",
      &LimitUse::waiting);
}

}  // namespace

std::string prometheus_text(const Stats& stats) {
  Exposition out;
  add_queues(out, stats);
  add_workers(out, stats);
  add_limits(out, stats);
  return std::move(out).text();
}

}  // namespace spool
