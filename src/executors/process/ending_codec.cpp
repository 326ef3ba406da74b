#include "executors/process/ending_codec.h"

#include <algorithm>

#include "executors/process/fields.h"
#include "executors/process/limits.h"

namespace spool::process {
namespace {

constexpr std::int64_t kMostMicroseconds = std::int64_t{366} * 24 * 3600 * 1000000;  // a year

std::optional<Duration> optional_duration(Fields& fields, const char* key) {
  if (fields.find(key) == nullptr) return std::nullopt;
  return Duration(fields.integer(key, 0, kMostMicroseconds, 0));
}

Uuid uuid(Fields& fields, const char* key, bool required) {
  const Json* value = fields.find(key, required);
  if (value == nullptr) return {};
  return fields.take(Uuid::parse(fields.text(key, 64)));
}

std::optional<Uuid> optional_uuid(Fields& fields, const char* key) {
  if (fields.find(key) == nullptr) return std::nullopt;
  return uuid(fields, key, true);
}

std::optional<Token> optional_token(Fields& fields, const char* key) {
  if (fields.find(key) == nullptr) return std::nullopt;
  return fields.take(Token::parse(fields.text(key, 64)));
}

// --- needs and new jobs

Json to_json(const Need& need) {
  return {{"job", need.job.text()}, {"ignore_failure", need.ignore_failure}};
}

Result<Need> need_from_json(const Json& value) {
  Fields fields(value, "a need");
  Need need;
  need.job = uuid(fields, "job", true);
  need.ignore_failure = fields.flag("ignore_failure", false);
  SPOOL_TRY(fields.done());
  return need;
}

Json to_json(const NewJob& job) {
  Json value{{"kind", job.kind},          {"args", job.args},
             {"name", job.name},          {"queue", job.queue},
             {"priority", job.priority},  {"slots", job.slots},
             {"tags", job.tags},          {"most_attempts", job.most_attempts},
             {"weight", job.weight},      {"labels", job.labels},
             {"delay", job.delay.count()}};
  if (!job.id.is_nil()) value["id"] = job.id.text();
  if (job.held) value["held"] = true;
  if (job.optional) value["optional"] = true;
  if (job.timeout) value["timeout"] = job.timeout->count();
  if (job.deadline) value["deadline"] = job.deadline->count();
  if (!job.unique_key.empty()) value["unique_key"] = job.unique_key;
  for (const Need& need : job.needs) value["needs"].push_back(to_json(need));
  return value;
}

void read_needs(Fields& fields, std::vector<Need>& into) {
  const Json* list = fields.find("needs");
  if (list == nullptr) return;
  if (!list->is_array() || list->size() > kMostNeeds)
    return fields.wrong(Code::kLimitExceeded, fmt::format("needs is not a list of at most {}", kMostNeeds));
  for (const Json& item : *list) into.push_back(fields.take(need_from_json(item)));
}

void read_tags(Fields& fields, std::vector<std::string>& into) {
  const Json* list = fields.find("tags");
  if (list == nullptr) return;
  if (!list->is_array() || list->size() > kMostTags)
    return fields.wrong(Code::kLimitExceeded, fmt::format("tags is not a list of at most {}", kMostTags));
  for (const Json& item : *list) {
    if (!item.is_string() || item.get_ref<const std::string&>().size() > kMostNameBytes)
      return fields.wrong(Code::kInvalidArgument, "tags holds something else than short texts");
    into.push_back(item.get<std::string>());
  }
}

Result<NewJob> new_job_from_json(const Json& value) {
  Fields fields(value, "a child of the fan-out");
  NewJob job;
  job.id = uuid(fields, "id", false);
  job.kind = fields.text("kind", kMostNameBytes, true);
  job.args = fields.any("args", kMostArgsBytes, true);
  job.name = fields.text("name", kMostNameBytes);
  job.queue = fields.text("queue", kMostNameBytes, false, job.queue);
  job.priority = static_cast<int>(fields.integer("priority", -1000, 1000, 0));
  job.slots = static_cast<int>(fields.integer("slots", 1, 4096, 1));
  job.most_attempts = static_cast<int>(fields.integer("most_attempts", 1, 1000, job.most_attempts));
  job.weight = fields.number("weight", 0, 1e12, 1);
  job.unique_key = fields.text("unique_key", kMostNameBytes);
  job.held = fields.flag("held", false);
  job.optional = fields.flag("optional", false);
  job.delay = Duration(fields.integer("delay", 0, kMostMicroseconds, 0));
  job.timeout = optional_duration(fields, "timeout");
  job.deadline = optional_duration(fields, "deadline");
  if (fields.find("labels") != nullptr) job.labels = fields.any("labels", kMostCheckpointBytes);
  if (!job.args.is_object()) fields.wrong(Code::kInvalidArgument, "has args that are not an object");
  if (!job.labels.is_object()) fields.wrong(Code::kInvalidArgument, "has labels that are not an object");
  read_tags(fields, job.tags);
  read_needs(fields, job.needs);
  SPOOL_TRY(fields.done());
  return job;
}

// --- children's results, inside a claim

Json to_json(const ChildResult& child) {
  Json value{{"id", child.id.text()},      {"kind", child.kind}, {"name", child.name},
             {"state", name(child.state)}, {"args", child.args}, {"result", child.result}};
  if (child.token) value["token"] = child.token->text();
  return value;
}

Result<ChildResult> child_from_json(const Json& value) {
  Fields fields(value, "a child's result");
  ChildResult child;
  child.id = uuid(fields, "id", true);
  child.kind = fields.text("kind", kMostMessageToChildBytes, true);
  child.name = fields.text("name", kMostMessageToChildBytes);
  const std::string state = fields.text("state", kMostNameBytes, true);
  if (const auto known = state_from_name(state))
    child.state = *known;
  else
    fields.wrong(Code::kInvalidArgument, "has an unknown state");
  child.args = fields.any("args", kMostMessageToChildBytes);
  child.result = fields.any("result", kMostMessageToChildBytes);
  child.token = optional_token(fields, "token");
  SPOOL_TRY(fields.done());
  return child;
}

// --- endings

Result<Ending> fan_out_from_json(Fields& fields) {
  FanOut fan_out;
  fan_out.next_phase = fields.text("next_phase", kMostNameBytes, true);
  fan_out.fail_fast = fields.flag("fail_fast", false);
  const Json* children = fields.find("children", true);
  if (children != nullptr && !children->is_array())
    fields.wrong(Code::kInvalidArgument, "has no list of children");
  else if (children != nullptr && children->size() > kMostChildren)
    fields.wrong(Code::kLimitExceeded,
                 fmt::format("has {} children; {} are the most", children->size(), kMostChildren));
  SPOOL_TRY(fields.done());
  fan_out.children.reserve(children->size());
  for (const Json& child : *children) {
    SPOOL_ASSIGN(NewJob job, new_job_from_json(child));
    fan_out.children.push_back(std::move(job));
  }
  return fan_out;
}

struct EndingToJson {
  Json operator()(const Succeeded& e) const { return {{"is", "succeeded"}, {"result", e.result}}; }
  Json operator()(const FanOut& e) const {
    Json children = Json::array();
    for (const NewJob& child : e.children) children.push_back(to_json(child));
    return {{"is", "fan_out"},
            {"children", std::move(children)},
            {"next_phase", e.next_phase},
            {"fail_fast", e.fail_fast}};
  }
  Json operator()(const RetryLater& e) const {
    Json value{{"is", "retry_later"}, {"error", process::to_json(e.error)}};
    if (e.after) value["after"] = e.after->count();
    return value;
  }
  Json operator()(const Snooze& e) const { return {{"is", "snooze"}, {"duration", e.duration.count()}}; }
  Json operator()(const Failed& e) const { return {{"is", "failed"}, {"error", process::to_json(e.error)}}; }
  Json operator()(const Released&) const { return {{"is", "released"}}; }
};

}  // namespace

Json to_json(const Error& error) {
  return {{"code", name(error.code)},
          {"message", error.message.substr(0, kMostTextBytes)},
          {"native", error.native}};
}

Json to_json(const Usage& usage) {
  return {{"cpu_seconds", usage.cpu_seconds},
          {"peak_memory_bytes", usage.peak_memory_bytes},
          {"bytes_read", usage.bytes_read},
          {"bytes_written", usage.bytes_written}};
}

Json to_json(const Ending& ending) {
  return std::visit(EndingToJson{}, ending);
}

Json to_json(const Claim& claim) {
  Json value{{"job", claim.job.text()},
             {"root", claim.root.text()},
             {"token", claim.token.text()},
             {"kind", claim.kind},
             {"name", claim.name},
             {"owner", claim.owner},
             {"phase", claim.phase},
             {"args", claim.args},
             {"checkpoint", claim.checkpoint},
             {"attempt", claim.attempt},
             {"most_attempts", claim.most_attempts},
             {"slots", claim.slots}};
  if (claim.parent) value["parent"] = claim.parent->text();
  if (claim.timeout) value["timeout"] = claim.timeout->count();
  if (claim.until_deadline)
    value["until_deadline"] = std::min(claim.until_deadline->count(), kMostMicroseconds);
  Json children = Json::array();
  for (const ChildResult& child : claim.children) children.push_back(to_json(child));
  value["children"] = std::move(children);
  return value;
}

Result<Error> error_from_json(const Json& value) {
  Fields fields(value, "an error");
  Error error;
  error.code = code_from_name(fields.text("code", kMostNameBytes, true));
  error.message = fields.text("message", kMostTextBytes, true);
  error.native = static_cast<int>(fields.integer("native", INT32_MIN, INT32_MAX, 0));
  SPOOL_TRY(fields.done());
  return error;
}

Result<Usage> usage_from_json(const Json& value) {
  Fields fields(value, "usage");
  Usage usage;
  usage.cpu_seconds = fields.number("cpu_seconds", 0, 1e12, 0);
  usage.peak_memory_bytes = fields.integer("peak_memory_bytes", 0, std::int64_t{1} << 50, 0);
  usage.bytes_read = fields.integer("bytes_read", 0, std::int64_t{1} << 60, 0);
  usage.bytes_written = fields.integer("bytes_written", 0, std::int64_t{1} << 60, 0);
  SPOOL_TRY(fields.done());
  return usage;
}

Result<Ending> ending_from_json(const Json& value) {
  Fields fields(value, "an ending");
  const std::string is = fields.text("is", 32, true);
  if (is == "fan_out") return fan_out_from_json(fields);
  Ending ending;
  if (is == "succeeded") {
    ending = Succeeded{fields.any("result", kMostResultBytes)};
  } else if (is == "retry_later" || is == "failed") {
    const Json* found = fields.find("error", true);
    Error error = found != nullptr ? fields.take(error_from_json(*found)) : Error{};
    if (is == "failed")
      ending = Failed{std::move(error)};
    else
      ending = RetryLater{std::move(error), optional_duration(fields, "after")};
  } else if (is == "snooze") {
    ending = Snooze{Duration(fields.integer("duration", 0, kMostMicroseconds, 0))};
  } else if (is == "released") {
    ending = Released{};
  } else {
    fields.wrong(Code::kInvalidArgument, "is of no known sort");
  }
  SPOOL_TRY(fields.done());
  return ending;
}

Result<Claim> claim_from_json(const Json& value) {
  Fields fields(value, "a claim");
  Claim claim;
  claim.job = uuid(fields, "job", true);
  claim.root = uuid(fields, "root", true);
  claim.parent = optional_uuid(fields, "parent");
  claim.token = fields.take(Token::parse(fields.text("token", 64, true)));
  claim.kind = fields.text("kind", kMostMessageToChildBytes, true);
  claim.name = fields.text("name", kMostMessageToChildBytes);
  claim.owner = fields.text("owner", kMostMessageToChildBytes);
  claim.phase = fields.text("phase", kMostMessageToChildBytes);
  claim.args = fields.any("args", kMostMessageToChildBytes);
  claim.checkpoint = fields.any("checkpoint", kMostMessageToChildBytes);
  claim.attempt = static_cast<int>(fields.integer("attempt", INT32_MIN, INT32_MAX, 1));
  claim.most_attempts = static_cast<int>(fields.integer("most_attempts", INT32_MIN, INT32_MAX, 3));
  claim.slots = static_cast<int>(fields.integer("slots", INT32_MIN, INT32_MAX, 1));
  claim.timeout = optional_duration(fields, "timeout");
  claim.until_deadline = optional_duration(fields, "until_deadline");
  const Json* children = fields.find("children");
  SPOOL_TRY(fields.done());
  if (children == nullptr) return claim;
  if (!children->is_array()) return fail(Code::kInvalidArgument, "a claim has no list of children");
  for (const Json& child : *children) {
    SPOOL_ASSIGN(ChildResult result, child_from_json(child));
    claim.children.push_back(std::move(result));
  }
  return claim;
}

}  // namespace spool::process
