#include "queue/checks.h"

#include "queue/draft.h"

namespace spool {

Result<void> check_worker(const WorkerInfo& worker) {
  if (worker.lease > Duration(0)) return {};
  return fail(Code::kInvalidArgument, "a lease is longer than nothing");
}

Result<void> check_queue(std::string_view name) {
  if (is_word(name, 200)) return {};
  return fail(Code::kInvalidArgument, "a queue has a name (at most 200 bytes, no control characters)");
}

Result<void> check_limit(const Limit& limit) {
  std::string wrong = complaint(limit);
  if (wrong.empty()) return {};
  return fail(Code::kInvalidArgument, std::move(wrong));
}

Result<void> check_schedule(const Schedule& schedule) {
  if (!is_word(schedule.name, 200))
    return fail(Code::kInvalidArgument, "a schedule needs a name (at most 200 bytes, no control characters)");
  const NewJob& job = schedule.job;
  if (!job.id.is_nil() || job.parent || !job.needs.empty())
    return fail(Code::kInvalidArgument, "a schedule's job has no id, no parent and no needs of its own");
  if (const Draft made = draft(job); made.error) return fail(*made.error);
  return {};
}

Result<void> check_rules(const PruneRules& rules) {
  if (!rules.age && !rules.keep) return fail(Code::kInvalidArgument, "prune: by age, by number, or by both");
  if (rules.age.value_or(Duration(0)) < Duration(0) || rules.keep.value_or(0) < 0)
    return fail(Code::kInvalidArgument, "prune: an age and a number are not less than nothing");
  return {};
}

}  // namespace spool
