#include "queue/new_job_json.h"

#include <fmt/format.h>

namespace spool {
namespace {

Json maybe_count(const std::optional<Duration>& duration) {
  return duration ? Json(duration->count()) : Json(nullptr);
}

void read_to(const Json& json, const char* key, auto& value) {
  if (const auto found = json.find(key); found != json.end()) found->get_to(value);
}

void read_to(const Json& json, const char* key, Duration& value) {
  if (const auto found = json.find(key); found != json.end()) value = Duration(found->get<std::int64_t>());
}

void read_to(const Json& json, const char* key, std::optional<Duration>& value) {
  if (const auto found = json.find(key); found != json.end() && !found->is_null())
    value = Duration(found->get<std::int64_t>());
}

}  // namespace

Json to_json(const NewJob& job) {
  return {{"kind", job.kind},
          {"args", job.args},
          {"name", job.name},
          {"owner", job.owner},
          {"queue", job.queue},
          {"priority", job.priority},
          {"slots", job.slots},
          {"tags", job.tags},
          {"delay", job.delay.count()},
          {"held", job.held},
          {"most_attempts", job.most_attempts},
          {"timeout", maybe_count(job.timeout)},
          {"deadline", maybe_count(job.deadline)},
          {"unique_key", job.unique_key},
          {"limit_key", job.limit_key},
          {"weight", job.weight},
          {"optional", job.optional},
          {"labels", job.labels}};
}

Result<NewJob> new_job_from_json(const Json& json) {
  NewJob job;
  if (!json.is_object()) return fail(Code::kInvalidArgument, "a job is an object");
  try {
    read_to(json, "kind", job.kind);
    read_to(json, "args", job.args);
    read_to(json, "name", job.name);
    read_to(json, "owner", job.owner);
    read_to(json, "queue", job.queue);
    read_to(json, "priority", job.priority);
    read_to(json, "slots", job.slots);
    read_to(json, "tags", job.tags);
    read_to(json, "delay", job.delay);
    read_to(json, "held", job.held);
    read_to(json, "most_attempts", job.most_attempts);
    read_to(json, "timeout", job.timeout);
    read_to(json, "deadline", job.deadline);
    read_to(json, "unique_key", job.unique_key);
    read_to(json, "limit_key", job.limit_key);
    read_to(json, "weight", job.weight);
    read_to(json, "optional", job.optional);
    read_to(json, "labels", job.labels);
  } catch (const Json::exception& e) {
    return fail(Code::kInvalidArgument, fmt::format("a job: {}", e.what()));
  }
  return job;
}

}  // namespace spool
