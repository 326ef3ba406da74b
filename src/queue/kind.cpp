#include "queue/kind.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <stdexcept>

namespace spool {
namespace {

// What would keep a tree waiting, or busy, for as long as a child process likes; empty: nothing.
std::string unfit_wish(const NewJob& child, const Kind& kind, int slots) {
  if (child.held) return "that is held";
  if (!child.unique_key.empty()) return "with a unique key";
  if (child.delay > kMostFannedOutDelay) return "that begins in more than an hour";
  if (child.slots > slots) return fmt::format("with {} slots: it has {} itself", child.slots, slots);
  if (child.most_attempts > kMostFannedOutAttempts)
    return fmt::format("with {} attempts: at most {} are allowed", child.most_attempts,
                       kMostFannedOutAttempts);
  if (child.timeout && *child.timeout > kind.timeout) return "with a longer timeout than its kind's";
  return "";
}

}  // namespace

void Kinds::add(Kind kind) {
  const std::string name = kind.name;
  if (name.empty() || !kind.run)
    throw std::invalid_argument(fmt::format("kind '{}' has no name or no handler", name));
  auto schema = JsonSchema::compile(kind.schema);
  if (!schema) throw std::invalid_argument(fmt::format("kind '{}': {}", name, schema.error().message));
  if (!kinds_.emplace(name, Entry{std::move(kind), std::move(*schema)}).second)
    throw std::invalid_argument(fmt::format("kind '{}' is in the table twice", name));
}

const Kind* Kinds::find(std::string_view name) const {
  const auto it = kinds_.find(name);
  return it == kinds_.end() ? nullptr : &it->second.kind;
}

Result<const Kinds::Entry*> Kinds::entry(std::string_view name) const {
  if (const auto it = kinds_.find(name); it != kinds_.end()) return &it->second;
  std::vector<std::string> known;
  for (const auto& [key, value] : kinds_)
    if (!value.kind.internal) known.push_back(key);
  const std::string near = nearest_word(name, known);
  return fail(
      Code::kInvalidArgument,
      fmt::format("unknown kind '{}'{}; there are: {}", name,
                  near.empty() ? "" : fmt::format(" (did you mean '{}'?)", near), fmt::join(known, ", ")));
}

Result<void> Kinds::check_job(const Entry& found, const NewJob& job) const {
  const std::string& kind = found.kind.name;
  if (const std::size_t size = to_text(job.args).size(); size > kMostArgsBytes)
    return fail(Code::kLimitExceeded,
                fmt::format("args of '{}': {} bytes, at most {} are allowed", kind, size, kMostArgsBytes));
  if (job.slots < 1)
    return fail(Code::kInvalidArgument, fmt::format("job of kind '{}': slots must be at least 1", kind));
  if (job.most_attempts < 1)
    return fail(Code::kInvalidArgument, fmt::format("job of kind '{}': it needs at least one attempt", kind));
  if (!std::isfinite(job.weight) || job.weight < 0)
    return fail(Code::kInvalidArgument,
                fmt::format("job of kind '{}': weight must be a number from 0 on", kind));
  return check_schema(found.schema, job.args,
                      fmt::format("args of '{}'", job.name.empty() ? kind : job.name));
}

Result<const Kinds::Entry*> Kinds::entry_for_people(std::string_view name) const {
  SPOOL_ASSIGN(const Entry* found, entry(name));
  if (found->kind.internal)
    return fail(Code::kInvalidArgument,
                fmt::format("kind '{}' is made by other jobs only, not by people or pipelines", name));
  return found;
}

Result<void> Kinds::check(const NewJob& job) const {
  SPOOL_ASSIGN(const Entry* found, entry_for_people(job.kind));
  return check_job(*found, job);
}

Result<Json> Kinds::resolve_and_check(std::string_view kind, Json args) const {
  SPOOL_ASSIGN(const Entry* found, entry_for_people(kind));
  NewJob job;
  job.kind = kind;
  job.args = std::move(args);
  if (resolve_) {
    SPOOL_ASSIGN(job.args, resolve_(*this, found->kind, std::move(job.args)));
  }
  SPOOL_TRY(check_job(*found, job));
  return std::move(job.args);
}

Result<void> Kinds::check(const Kind& parent, int slots, const FanOut& fan_out) const {
  const FanOutRule& rule = parent.fan_out;
  if (fan_out.children.size() > rule.most_children)
    return fail(Code::kLimitExceeded, fmt::format("'{}' may fan out to at most {} jobs, wanted {}",
                                                  parent.name, rule.most_children, fan_out.children.size()));
  const bool by_people = rule.asked_by_people && parent.placement == Placement::kInline;
  std::size_t bytes = 0;
  for (const NewJob& child : fan_out.children) {
    SPOOL_ASSIGN(const Entry* found, entry(child.kind));
    const bool allowed = std::find(rule.kinds.begin(), rule.kinds.end(), child.kind) != rule.kinds.end();
    if (!allowed || (found->kind.never_fanned_out && !by_people))
      return fail(Code::kPermissionDenied,
                  fmt::format("'{}' may not fan out to '{}'", parent.name, child.kind));
    SPOOL_TRY(check_job(*found, child));
    if (const std::string wish = by_people ? "" : unfit_wish(child, found->kind, slots); !wish.empty())
      return fail(Code::kPermissionDenied,
                  fmt::format("'{}' may not fan out to '{}' {}", parent.name, child.kind, wish));
    bytes += to_text(child.args).size() + to_text(child.labels).size();
    if (bytes > rule.most_args_bytes)
      return fail(Code::kLimitExceeded, fmt::format("'{}' may fan out to at most {} bytes of args and labels",
                                                    parent.name, rule.most_args_bytes));
  }
  return {};
}

std::vector<SchemaViolation> Kinds::violations(std::string_view kind, const Json& args) const {
  const auto it = kinds_.find(kind);
  return it == kinds_.end() ? std::vector<SchemaViolation>{} : it->second.schema.violations(args);
}

std::vector<const Kind*> Kinds::all() const {
  std::vector<const Kind*> kinds;
  for (const auto& [name, value] : kinds_) kinds.push_back(&value.kind);
  return kinds;
}

}  // namespace spool
