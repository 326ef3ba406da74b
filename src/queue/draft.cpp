#include "queue/draft.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "base/utf8.h"

namespace spool {
namespace {

constexpr std::size_t kMostDetailBytes = 16 << 10;
constexpr std::size_t kMostTextBytes = 8192;  // of what is free text: a name, an owner, a unique key
constexpr std::size_t kMostTags = 10;         // they are the key of an index, which takes 2.7 kB
constexpr Duration kLongest = std::chrono::hours(24 * 365 * 100);

// What is wrong with a job, in words; empty: nothing. Jobs by SQL: check_new_job() of
// store_postgres/migrations.
std::string complaint(const NewJob& job) {
  if (!is_word(job.kind, 200))
    return "a job needs a kind (at most 200 bytes of UTF-8, no control characters)";
  if (!is_word(job.queue, 200))
    return "a job needs a queue (at most 200 bytes of UTF-8, no control characters)";
  if (job.tags.size() > kMostTags) return fmt::format("tags: more than {}", kMostTags);
  for (const std::string& tag : job.tags)
    if (!is_word(tag, 200))
      return "a tag is empty, longer than 200 bytes, not UTF-8 or holds control characters";
  for (const auto& [what, text] : {std::pair("name", &job.name), std::pair("owner", &job.owner),
                                   std::pair("unique_key", &job.unique_key)})
    if (text->size() > kMostTextBytes || !is_utf8_text(*text))
      return fmt::format("{}: longer than {} bytes, not UTF-8, or a NUL is in it", what, kMostTextBytes);
  if (!job.limit_key.empty() && !is_word(job.limit_key, 200))
    return "limit_key: longer than 200 bytes, not UTF-8 or with control characters";
  if (job.slots < 1) return fmt::format("slots: {} is less than 1", job.slots);
  if (std::abs(job.priority) > 1000)
    return fmt::format("priority: {} is not within -1000 and 1000", job.priority);
  if (job.most_attempts < 1) return fmt::format("most_attempts: {} is less than 1", job.most_attempts);
  const auto within = [](std::optional<Duration> d, Duration least) {
    return !d || (*d >= least && *d <= kLongest);
  };
  if (!within(job.delay, Duration(0))) return "delay: not within 0 and 100 years";
  if (!within(job.timeout, Duration(1))) return "timeout: not within 1 us and 100 years";
  if (!within(job.deadline, Duration(1))) return "deadline: not within 1 us and 100 years";
  if (!std::isfinite(job.weight) || job.weight < 0) return "weight: not a number of at least 0";
  return "";
}

}  // namespace

bool is_word(std::string_view text, std::size_t most) {
  if (text.empty() || text.size() > most || !is_utf8_text(text)) return false;
  for (; !text.empty(); text.remove_prefix(utf8_length(text)))
    if (is_control(text)) return false;
  return true;
}

Draft draft(const NewJob& job) {
  Draft made{&job, to_text(job.args), job.labels.empty() ? std::string() : to_text(job.labels), {}};
  if (std::string wrong = complaint(job); !wrong.empty())
    made.error = Error{Code::kInvalidArgument, std::move(wrong), 0};
  else if (made.args.size() > kMostArgsBytes || made.labels.size() > kMostArgsBytes)
    made.error = Error{Code::kLimitExceeded,
                       fmt::format("args or labels of {} bytes: the most is {}",
                                   std::max(made.args.size(), made.labels.size()), kMostArgsBytes),
                       0};
  return made;
}

ReportDraft draft(const ProgressReport& report) {
  ReportDraft made;
  if (const double fraction = report.fraction.value_or(0); std::isfinite(fraction))
    made.fraction = std::clamp(fraction, 0.0, 1.0);
  if (!report.detail.is_null()) made.detail = to_text(report.detail);
  if (report.checkpoint) made.checkpoint = to_text(*report.checkpoint);
  if (made.checkpoint && made.checkpoint->size() > kMostCheckpointBytes)
    made.error = Error{Code::kLimitExceeded, fmt::format("a checkpoint of {} bytes: the most is {}",
                                                         made.checkpoint->size(), kMostCheckpointBytes)};
  else if (made.detail && made.detail->size() > kMostDetailBytes)
    made.error = Error{Code::kLimitExceeded, fmt::format("a progress detail of {} bytes: the most is {}",
                                                         made.detail->size(), kMostDetailBytes)};
  return made;
}

std::string join_tags(std::vector<std::string> tags) {
  std::sort(tags.begin(), tags.end());
  tags.erase(std::unique(tags.begin(), tags.end()), tags.end());
  return fmt::format("{}", fmt::join(tags, "\n"));
}

std::vector<std::string> split_tags(std::string_view text) {
  std::vector<std::string> tags;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    tags.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return tags;
}

// The end of a text, cut where a UTF-8 character begins.
std::string_view tail(std::string_view text, std::size_t most) {
  if (text.size() <= most) return text;
  text.remove_prefix(text.size() - most);
  while (!text.empty() && (static_cast<unsigned char>(text.front()) & 0xc0) == 0x80) text.remove_prefix(1);
  return text;
}

}  // namespace spool
