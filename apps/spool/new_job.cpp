#include "new_job.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/file.h"
#include "base/units.h"
#include "pipeline/plan.h"
#include "watch.h"

namespace spool {
namespace {

bool is_document(const std::string& what) {
  return what == "-" || what.ends_with(".yaml") || what.ends_with(".yml") || what.ends_with(".json");
}

Result<std::pair<std::string, std::string>> key_and_value(const std::string& text) {
  const auto equals = text.find('=');
  if (equals == std::string::npos || equals == 0)
    return fail(Code::kInvalidArgument, fmt::format("\"{}\": expected KEY=VALUE", text));
  return std::pair(text.substr(0, equals), text.substr(equals + 1));
}

// What is written as KEY=VALUE is what a document would say: JSON where the schema wants something else than
// a string.
Json read_value(const Json& schema, const std::string& text) {
  const Json type = schema.is_object() ? schema.value("type", Json()) : Json();
  if (type == "string" || schema.contains("format") || schema.contains("enum")) {
    if (text.starts_with('{'))
      if (auto parsed = parse_json(text)) return *parsed;
    return text;
  }
  auto parsed = parse_json(text);
  return parsed ? *parsed : Json(text);
}

Result<Json> read_parameters(const JobOptions& options, const Kind& kind) {
  Json out = Json::object();
  if (!options.args.empty()) {
    SPOOL_ASSIGN(out, parse_json(options.args, "--args"));
    if (!out.is_object()) return fail(Code::kInvalidArgument, "--args: must be a JSON object");
  }
  const Json properties = kind.schema.value("properties", Json::object());
  for (const std::string& parameter : options.parameters) {
    SPOOL_ASSIGN(const auto pair, key_and_value(parameter));
    out[pair.first] = read_value(properties.value(pair.first, Json::object()), pair.second);
  }
  if (!options.input.empty()) {
    SPOOL_ASSIGN(out["input"], input_reference(options.input));
  }
  return out;
}

Result<NewJob> settings_of(const JobOptions& options) {
  NewJob job;
  job.name = options.name;
  job.owner = options.owner;
  job.queue = options.queue;
  job.priority = options.priority;
  job.slots = options.slots;
  job.most_attempts = options.attempts;
  job.tags = options.tags;
  job.unique_key = options.unique_key;
  job.limit_key = options.limit_key;
  SPOOL_ASSIGN(const auto delay, duration_flag("delay", options.delay));
  job.delay = delay.value_or(Duration{0});
  SPOOL_ASSIGN(job.timeout, duration_flag("timeout", options.timeout));
  SPOOL_ASSIGN(job.deadline, duration_flag("deadline", options.deadline));
  for (const std::string& label : options.labels) {
    SPOOL_ASSIGN(const auto pair, key_and_value(label));
    job.labels[pair.first] = pair.second;
  }
  return job;
}

// What a pipeline's steps do not take from it is of no use there.
Result<void> check_for_pipeline(const JobOptions& options) {
  const JobOptions unset;
  if (options.slots != unset.slots)
    return fail(Code::kInvalidArgument, "--slots: a pipeline's steps take one slot each");
  if (options.attempts != unset.attempts)
    return fail(Code::kInvalidArgument,
                fmt::format("--attempts: a pipeline's steps are tried {} times each", unset.attempts));
  if (!options.timeout.empty())
    return fail(Code::kInvalidArgument,
                "--timeout: it is not that of a pipeline's steps; --deadline is for the whole");
  return {};
}

}  // namespace

void add_job_options(CLI::App& command, JobOptions& options) {
  command
      .add_option("what", options.what,
                  "A kind of job, or a pipeline document (FILE.yaml, FILE.json, - for stdin)")
      ->required()
      ->type_name("KIND|FILE");
  command.add_option("parameters", options.parameters, "Parameters of the kind")->type_name("KEY=VALUE");
  command.add_option("-i,--input", options.input, "The source: a file, or object:KEY")->type_name("FILE");
  command.add_option("--args", options.args, "All parameters at once")->type_name("JSON");
  command.add_option("--name", options.name, "What people call it");
  command.add_option("--queue", options.queue, "The queue it waits in")->capture_default_str();
  command.add_option("--priority", options.priority, "One step is worth five minutes of waiting")
      ->capture_default_str();
  command.add_option("--slots", options.slots, "How many slots of its worker it takes")
      ->capture_default_str()
      ->check(CLI::Range(1, 4096));
  command.add_option("--attempts", options.attempts, "How often it is tried")
      ->capture_default_str()
      ->check(CLI::Range(1, 100));
  command.add_option("--tag", options.tags, "What its worker must have (repeatable)");
  command.add_option("--label", options.labels, "KEY=VALUE for finding it again (repeatable)");
  command.add_option("--unique-key", options.unique_key,
                     "No second unfinished job of this kind with this key");
  command.add_option("--limit-key", options.limit_key, "What limits of keys go by (`spool limit`)");
  command.add_option("--delay", options.delay, "Not before this time has passed (10s, 5m)");
  command.add_option("--timeout", options.timeout, "How long one attempt may take");
  command.add_option("--deadline", options.deadline, "How long the whole may take, from its insertion on");
  command.add_option("--owner", options.owner, "Whose it is");
}

Result<std::optional<Duration>> duration_flag(const char* flag, const std::string& text) {
  if (text.empty()) return std::nullopt;
  const auto seconds = parse_duration(text);
  if (!seconds) return fail(Code::kInvalidArgument, fmt::format("--{}: {}", flag, seconds.error().message));
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(*seconds));
}

Result<NewJob> plan_job(const JobOptions& options, const Config& config) {
  const Kinds kinds = make_kinds(config);
  const pipeline::Ladders ladders = ladders_of(config);
  const pipeline::Environment environment = environment_with(kinds, ladders);
  SPOOL_ASSIGN(NewJob job, settings_of(options));
  if (is_document(options.what)) {
    if (!options.parameters.empty() || !options.args.empty())
      return fail(Code::kInvalidArgument, "a pipeline takes no parameters: they stand in its document");
    SPOOL_TRY(check_for_pipeline(options));
    SPOOL_ASSIGN(const std::string text, read_document(options.what));
    SPOOL_ASSIGN(const pipeline::Document document,
                 pipeline::parse_pipeline(text, options.what, environment));
    const auto takes_source = [](const pipeline::Step& step) { return !step.sources.empty(); };
    if (!options.input.empty() && std::ranges::none_of(document.steps, takes_source))
      return fail(Code::kInvalidArgument, "--input: no step of this pipeline takes $source");
    std::string source;
    if (!options.input.empty()) {
      SPOOL_ASSIGN(source, input_reference(options.input));
    }
    SPOOL_ASSIGN(job, pipeline::plan_pipeline(document, source, std::move(job)));
  } else {
    job.kind = options.what;
    if (const Kind* kind = kinds.find(options.what)) {
      SPOOL_ASSIGN(Json parameters, read_parameters(options, *kind));
      SPOOL_ASSIGN(job.args, pipeline::check_parameters(*kind, std::move(parameters), environment));
    }
  }
  SPOOL_TRY(kinds.check(job));
  if (pipeline::needs_sandbox(job, kinds)) job.tags.emplace_back(kSandboxTag);
  return job;
}

}  // namespace spool
