#include "queue/cron.h"

#include <date/tz.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <stdexcept>

namespace spool {
namespace {

using std::chrono::minutes;

struct Field {
  std::string_view name;
  int least, most;
  std::string_view words;  // three letters each, the first is `least`
};
constexpr std::array<Field, 5> kFields = {
    Field{"minute", 0, 59, ""},
    Field{"hour", 0, 23, ""},
    Field{"day of the month", 1, 31, ""},
    Field{"month", 1, 12, "janfebmaraprmayjunjulaugsepoctnovdec"},
    Field{"day of the week", 0, 7, "sunmontuewedthufrisat"},
};
constexpr int kWeekday = 4;

constexpr std::array<std::pair<std::string_view, std::string_view>, 7> kNicknames = {{
    {"@yearly", "0 0 1 1 *"},
    {"@annually", "0 0 1 1 *"},
    {"@monthly", "0 0 1 * *"},
    {"@weekly", "0 0 * * 0"},
    {"@daily", "0 0 * * *"},
    {"@midnight", "0 0 * * *"},
    {"@hourly", "0 * * * *"},
}};

tl::unexpected<Error> wrong(const Field& field, std::string_view text, std::string_view what) {
  return fail(Code::kInvalidArgument, fmt::format("cron: {}: \"{}\" {}", field.name, text, what));
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) { return std::tolower(c); });
  return out;
}

std::vector<std::string_view> split(std::string_view text, std::string_view separators) {
  std::vector<std::string_view> parts;
  for (std::size_t at = 0;;) {
    const std::size_t end = std::min(text.find_first_of(separators, at), text.size());
    parts.push_back(text.substr(at, end - at));
    if (end == text.size()) return parts;
    at = end + 1;
  }
}

Result<int> number(const Field& field, std::string_view text) {
  if (text.size() == 3 && !field.words.empty())
    for (std::size_t i = 0; i < field.words.size(); i += 3)
      if (field.words.substr(i, 3) == lower(text)) return field.least + static_cast<int>(i / 3);
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.starts_with('-'))
    return wrong(field, text, field.words.empty() ? "is no number" : "is no number and no name");
  if (value < field.least || value > field.most)
    return wrong(field, text, fmt::format("is not within {} and {}", field.least, field.most));
  return value;
}

struct Range {
  int from = 0, to = 0, step = 1;
};

// "*", "N", "A-B", each with "/S".
Result<Range> range_of(const Field& field, std::string_view text) {
  const auto slash = text.find('/');
  const std::string_view values = text.substr(0, slash);
  Range range{field.least, field.most, 1};
  if (slash != std::string_view::npos) {
    const Field step{field.name, 1, field.most, ""};
    SPOOL_ASSIGN(range.step, number(step, text.substr(slash + 1)));
  }
  if (values == "*") return range;
  const auto dash = values.find('-');
  SPOOL_ASSIGN(range.from, number(field, values.substr(0, dash)));
  if (dash != std::string_view::npos) {
    SPOOL_ASSIGN(range.to, number(field, values.substr(dash + 1)));
    if (range.to == 0 && range.from > 0 && field.most == 7) range.to = 7;  // fri-sun
    if (range.to < range.from) return wrong(field, text, "goes backwards");
  } else if (slash == std::string_view::npos) {
    range.to = range.from;
  }
  return range;
}

// The values of a field, as bits.
Result<std::bitset<64>> values_of(const Field& field, std::string_view text) {
  std::bitset<64> values;
  for (const std::string_view part : split(text, ",")) {
    SPOOL_ASSIGN(const Range range, range_of(field, part));
    for (int value = range.from; value <= range.to; value += range.step)
      values.set(static_cast<std::size_t>(value));
  }
  return values;
}

template <std::size_t N>
std::bitset<N> first_bits(const std::bitset<64>& values) {
  return std::bitset<N>(values.to_ullong() & ((1ULL << N) - 1));
}

bool comes_ever(const Cron& cron) {
  constexpr std::array<std::size_t, 13> kDays = {0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  if (cron.either_day) return true;
  for (std::size_t month = 1; month <= 12; ++month)
    for (std::size_t day = 1; day <= kDays.at(month); ++day)
      if (cron.months[month] && cron.days[day]) return true;
  return false;
}

bool fits(const Cron& cron, const date::year_month_day& day) {
  if (!cron.months[static_cast<unsigned>(day.month())]) return false;
  const bool of_month = cron.days[static_cast<unsigned>(day.day())];
  const bool of_week = cron.weekdays[date::weekday(date::local_days(day)).c_encoding()];
  return cron.either_day ? of_month || of_week : of_month && of_week;
}

using LocalMinute = date::local_time<minutes>;

// The first local time from `from` on that is meant; without a zone every local time exists.
std::optional<LocalMinute> first_local(const Cron& cron, LocalMinute from) {
  constexpr int kYears = 9;  // 29 February comes again after 8 years at the latest
  date::local_days day = date::floor<date::days>(from);
  for (int i = 0; i < kYears * 366; ++i, day += date::days(1)) {
    if (!fits(cron, date::year_month_day(day))) continue;
    for (LocalMinute at = std::max<LocalMinute>(from, day); at < day + date::days(1);) {
      const auto minute_of_day = (at - day).count();
      const auto hour = static_cast<std::size_t>(minute_of_day / 60);
      if (!cron.hours[hour])
        at = day + std::chrono::hours(hour + 1);
      else if (!cron.minutes[static_cast<std::size_t>(minute_of_day % 60)])
        at += minutes(1);
      else
        return at;
    }
  }
  return std::nullopt;
}

Result<const date::time_zone*> zone_of(const std::string& name) {
  try {
    // The library makes its database when it is first asked. That each thread sees it whole is said here, in
    // code that a sanitizer can read.
    [[maybe_unused]] static const date::tzdb& made = date::get_tzdb();
    return date::locate_zone(name);
  } catch (const std::runtime_error&) {
    return fail(
        Code::kInvalidArgument,
        fmt::format("there is no time zone \"{}\" here: they are called as Europe/Berlin is, and come "
                    "with the package tzdata",
                    name));
  }
}

Time moment_of(const date::time_zone& zone, LocalMinute local) {
  const date::local_info info = zone.get_info(local);
  if (info.result == date::local_info::nonexistent) return info.first.end;
  return Time(local.time_since_epoch()) - info.first.offset;
}

// The next tick in the second pass of what exists twice, when the first has begun at `after`.
std::optional<Time> in_second_pass(const Cron& cron, const date::time_zone& zone, Time after) {
  const date::local_info info = zone.get_info(zone.to_local(after));
  if (info.result != date::local_info::ambiguous) return std::nullopt;
  const auto moment_in_it = std::max<Time>(after + minutes(1), info.second.begin);
  const LocalMinute from(date::floor<minutes>(moment_in_it.time_since_epoch() + info.second.offset));
  const auto local = first_local(cron, from);
  if (!local ||
      *local >= LocalMinute(date::floor<minutes>(info.first.end.time_since_epoch() + info.first.offset)))
    return std::nullopt;
  return Time(local->time_since_epoch() - info.second.offset);
}

}  // namespace

Result<Cron> parse_cron(std::string_view text) {
  std::string_view expression = text;
  for (const auto& [nickname, meaning] : kNicknames)
    if (lower(text) == nickname) expression = meaning;
  std::vector<std::string_view> fields = split(expression, " \t");
  std::erase(fields, "");
  if (expression.starts_with('@'))
    return fail(Code::kInvalidArgument,
                fmt::format("cron: \"{}\" is none of @yearly, @monthly, @weekly, @daily, @hourly", text));
  if (fields.size() != kFields.size())
    return fail(Code::kInvalidArgument,
                fmt::format("cron: \"{}\" has {} fields: minute, hour, day of the month, month, day of the "
                            "week are five",
                            text, fields.size()));
  std::array<std::bitset<64>, kFields.size()> values;
  for (std::size_t i = 0; i < fields.size(); ++i) {
    SPOOL_ASSIGN(values.at(i), values_of(kFields.at(i), fields[i]));
  }
  if (values[kWeekday][7]) values[kWeekday].set(0);
  Cron cron{first_bits<60>(values[0]), first_bits<24>(values[1]),
            first_bits<32>(values[2]), first_bits<13>(values[3]),
            first_bits<7>(values[4]),  !fields[2].starts_with('*') && !fields[4].starts_with('*')};
  if (!comes_ever(cron))
    return fail(Code::kInvalidArgument, fmt::format("cron: \"{}\" is a date that never comes", text));
  return cron;
}

Result<void> check_zone(const std::string& zone) {
  SPOOL_TRY(zone_of(zone));
  return {};
}

Result<Time> next_tick(const Cron& cron, const std::string& zone, Time after) {
  SPOOL_ASSIGN(const date::time_zone* where, zone_of(zone));
  std::optional<Time> again;
  if (cron.hours.all()) again = in_second_pass(cron, *where, after);
  // Of local times that go up, the moments never go down: the first one that is later is the next.
  LocalMinute from = date::floor<minutes>(where->to_local(after)) + minutes(1);
  for (;;) {
    const auto local = first_local(cron, from);
    if (!local) return fail(Code::kInvalidArgument, "cron: there is no such date in the next years");
    const Time moment = moment_of(*where, *local);
    if (moment > after) return again ? std::min(*again, moment) : moment;
    from = *local + minutes(1);
  }
}

Result<DueTicks> due_ticks(const Schedule& schedule, Time now) {
  SPOOL_ASSIGN(const Cron cron, parse_cron(schedule.cron));
  const auto after = [&](Time time) { return next_tick(cron, schedule.zone, time); };
  DueTicks due;
  if (schedule.paused || schedule.missed == Missed::kRunOnce) {
    if (!schedule.paused) due.run.push_back(schedule.next);
    SPOOL_ASSIGN(due.next, after(now));
    return due;
  }
  due.next = schedule.next;
  const Time missed_until = now - kMissedAfter;
  if (schedule.missed == Missed::kSkip && due.next < missed_until) {
    SPOOL_ASSIGN(due.next, after(missed_until));
  }
  while (due.next <= now && due.run.size() < kMostTicksAtOnce) {
    due.run.push_back(due.next);
    SPOOL_ASSIGN(due.next, after(due.next));
  }
  return due;
}

}  // namespace spool
