// What a store reads back, made of the columns of its rows; for all stores alike. Pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "queue/limit.h"
#include "queue/schedule.h"

namespace spool {

// A text that to_text() wrote; null when there is none.
[[nodiscard]] Json json_of(std::string_view text);
// A limit has a rate when there is a `period`.
[[nodiscard]] Limit limit_of(int scope, std::string name, std::optional<int> concurrency, int count,
                             std::optional<Duration> period, int burst);
// `job` is the text of to_json(). Errors: kInternal.
[[nodiscard]] Result<Schedule> schedule_of(std::string name, std::string cron, std::string zone, int missed,
                                           std::string_view job, bool paused, Time next);

}  // namespace spool
