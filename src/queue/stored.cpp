#include "queue/stored.h"

#include <fmt/format.h>

#include "queue/new_job_json.h"

namespace spool {

Json json_of(std::string_view text) {
  if (text.empty()) return nullptr;
  if (text == "{}") return Json::object();
  // Ours, and looked at when it came: parse_json() would do that again.
  Json parsed = Json::parse(text.begin(), text.end(), nullptr, false);
  return parsed.is_discarded() ? Json(nullptr) : parsed;
}

Limit limit_of(int scope, std::string name, std::optional<int> concurrency, int count,
               std::optional<Duration> period, int burst) {
  Limit limit{static_cast<LimitScope>(scope), std::move(name), concurrency, {}};
  if (period) limit.rate = Rate{count, *period, burst};
  return limit;
}

Result<Schedule> schedule_of(std::string name, std::string cron, std::string zone, int missed,
                             std::string_view job, bool paused, Time next) {
  auto asked = new_job_from_json(json_of(job));
  if (!asked)
    return fail(Code::kInternal, fmt::format("database: the schedule {}: {}", name, asked.error().message));
  return Schedule{std::move(name),
                  std::move(cron),
                  std::move(zone),
                  static_cast<Missed>(missed),
                  std::move(*asked),
                  paused,
                  next};
}

}  // namespace spool
