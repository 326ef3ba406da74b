#include <map>

#include "job_view.h"
#include "terminal.h"

namespace spool {
namespace {

double seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

template <class T, class Convert>
Json or_null(const std::optional<T>& value, const Convert& convert) {
  return value ? Json(convert(*value)) : Json();
}

Json usage_json(const Usage& usage) {
  return {{"cpu_seconds", usage.cpu_seconds},
          {"peak_memory_bytes", usage.peak_memory_bytes},
          {"bytes_read", usage.bytes_read},
          {"bytes_written", usage.bytes_written}};
}

Json errors_json(const Job& job) {
  Json out = Json::array();
  for (const AttemptError& error : job.errors)
    out.push_back({{"attempt", error.attempt},
                   {"code", name(error.error.code)},
                   {"message", error.error.message},
                   {"worker", error.worker},
                   {"began", rfc3339(error.began)},
                   {"ended", rfc3339(error.ended)},
                   {"log_tail", error.log_tail},
                   {"usage", usage_json(error.usage)}});
  return out;
}

Json needs_json(const Job& job) {
  Json out = Json::array();
  for (const Need& need : job.needs)
    out.push_back({{"job", need.job.text()}, {"ignore_failure", need.ignore_failure}});
  return out;
}

}  // namespace

Json job_json(const Job& job) {
  const auto text = [](const Uuid& id) { return id.text(); };
  return {{"id", job.id.text()},
          {"parent", or_null(job.parent, text)},
          {"root", job.root.text()},
          {"kind", job.kind},
          {"name", job.name},
          {"owner", job.owner},
          {"queue", job.queue},
          {"unique_key", job.unique_key},
          {"limit_key", job.limit_key},
          {"labels", job.labels},
          {"args", job.args},
          {"needs", needs_json(job)},
          {"optional", job.optional},
          {"priority", job.priority},
          {"slots", job.slots},
          {"tags", job.tags},
          {"state", name(job.state)},
          {"limited", job.limited},
          {"phase", job.phase},
          {"attempts", job.attempts},
          {"most_attempts", job.most_attempts},
          {"rescues", job.rescues},
          {"cancel_requested", job.cancel_requested},
          {"timeout", or_null(job.timeout, seconds)},
          {"deadline", or_null(job.deadline, rfc3339)},
          {"progress", job.progress},
          {"progress_detail", job.progress_detail},
          {"result", job.result},
          {"errors", errors_json(job)},
          {"worker", job.worker},
          {"usage", usage_json(job.usage)},
          {"created", rfc3339(job.created)},
          {"ready", rfc3339(job.ready)},
          {"claimed", or_null(job.claimed, rfc3339)},
          {"ended", or_null(job.ended, rfc3339)}};
}

Json tree_json(std::span<const Job> jobs, Uuid top) {
  std::map<Uuid, std::vector<const Job*>> children;
  const Job* root = nullptr;
  for (const Job& job : jobs) {
    if (job.id == top) root = &job;
    if (job.parent) children[*job.parent].push_back(&job);
  }
  if (root == nullptr) return nullptr;
  const auto build = [&children](const Job& job, const auto& self) -> Json {
    Json out = job_json(job);
    out["children"] = Json::array();
    for (const Job* child : children[job.id]) out["children"].push_back(self(*child, self));
    return out;
  };
  return build(*root, build);
}

}  // namespace spool
