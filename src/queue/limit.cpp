#include "queue/limit.h"

#include <fmt/format.h>

#include <algorithm>

#include "queue/draft.h"

namespace spool {
namespace {

constexpr int kMostStarts = 1'000'000;
constexpr Duration kLongestPeriod = std::chrono::hours(24 * 366);
constexpr std::int64_t kLongestBurst = Duration(std::chrono::hours(24 * 366 * 100)).count();

bool is_beginning(std::string_view name) {
  return name.ends_with('*');
}

std::string_view beginning(const Limit& limit) {
  return std::string_view(limit.name).substr(0, limit.name.size() - 1);
}

}  // namespace

std::string complaint(const Limit& limit) {
  if (!is_word(limit.name, 200))
    return "a limit is for a queue or a key (at most 200 bytes, no control characters)";
  if (limit.name.find('*') < limit.name.size() - 1)
    return fmt::format("a limit for \"{}\": a * stands only at its end, for all that begins so", limit.name);
  if (!limit.concurrency && !limit.rate) return "a limit limits how many run at once, or how many start";
  if (limit.concurrency && *limit.concurrency < 0)
    return fmt::format("concurrency: {} is less than 0", *limit.concurrency);
  if (!limit.rate) return "";
  const Rate& rate = *limit.rate;
  if (rate.count < 1 || rate.count > kMostStarts)
    return fmt::format("rate: {} starts are not within 1 and {}", rate.count, kMostStarts);
  if (rate.period < Duration(1) || rate.period > kLongestPeriod)
    return "rate: its period is not within 1 us and a year";
  if (rate.burst < 1 || rate.burst > kMostStarts || spacing(rate).count() > kLongestBurst / rate.burst)
    return fmt::format("rate: a burst of {} is not within 1 and {}, and 100 years", rate.burst, kMostStarts);
  return "";
}

Duration spacing(const Rate& rate) {
  return (rate.period + Duration(rate.count - 1)) / rate.count;
}

Time after_start(const Rate& rate, Time next, Time now) {
  return std::max(next, now) + spacing(rate);
}

Time opens(const Rate& rate, Time next, std::int64_t available) {
  if (available >= rate.burst) return Time::max();
  return next - spacing(rate) * (rate.burst - 1 - available);
}

LimitBook::LimitBook(std::vector<Limit> limits) : empty_(limits.empty()) {
  for (Limit& limit : limits) {
    if (is_beginning(limit.name))
      beginnings_.push_back(std::move(limit));
    else
      exact_.at(static_cast<std::size_t>(limit.scope)).insert_or_assign(limit.name, limit);
  }
  std::ranges::sort(beginnings_, std::ranges::greater(), [](const Limit& l) { return l.name.size(); });
}

const Limit* LimitBook::find(LimitScope scope, std::string_view name) const {
  const auto& names = exact_.at(static_cast<std::size_t>(scope));
  if (const auto exact = names.find(name); exact != names.end()) return &exact->second;
  const auto fits = [&](const Limit& limit) {
    return limit.scope == scope && name.starts_with(beginning(limit));
  };
  const auto found = std::ranges::find_if(beginnings_, fits);
  return found == beginnings_.end() ? nullptr : &*found;
}

}  // namespace spool
