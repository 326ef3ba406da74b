#include "pipeline/plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

namespace spool::pipeline {
namespace {

const Json& pipeline_schema() {
  static const Json schema = Json::parse(R"({
    "type": "object",
    "properties": {
      "steps": {
        "type": "array", "minItems": 1, "maxItems": 200,
        "items": {
          "type": "object",
          "properties": {
            "name": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"},
            "kind": {"type": "string"},
            "args": {"type": "object"},
            "optional": {"type": "boolean"},
            "needs": {"type": "array", "items": {"type": "string"}},
            "references": {
              "type": "array",
              "items": {
                "type": "object",
                "properties": {"at": {"type": "string"}, "step": {"type": "string"}, "output": {"type": "string"}},
                "required": ["at", "step", "output"], "additionalProperties": false
              }
            }
          },
          "required": ["name", "kind", "args"], "additionalProperties": false
        }
      }
    },
    "required": ["steps"], "additionalProperties": false
  })");
  return schema;
}

const Json& step_schema() {
  static const Json schema = Json::parse(R"({
    "type": "object",
    "properties": {
      "kind": {"type": "string"},
      "args": {"type": "object"},
      "references": {"type": "array"}
    },
    "required": ["kind", "args", "references"], "additionalProperties": false
  })");
  return schema;
}

// The same pipeline always has the same children.
Uuid child_id(Uuid parent, std::string_view step) {
  return Uuid::from_digest_of(fmt::format("spool pipeline {} {}", parent.text(), step));
}

bool is_whole(std::string_view reference) {
  return reference.starts_with("object:") || reference.starts_with("file:");
}

NewJob step_job(const Claim& claim, const Json& step, const Json& steps) {
  const auto optional_step = [&](const std::string& name) {
    for (const Json& other : steps)
      if (other["name"] == name) return other.value("optional", false);
    return false;
  };
  NewJob job;
  job.id = child_id(claim.job, step["name"].get<std::string>());
  job.name = step["name"];
  job.optional = step.value("optional", false);
  for (const Json& need : step.value("needs", Json::array()))
    job.needs.push_back({child_id(claim.job, need.get<std::string>()), optional_step(need)});
  const Json references = step.value("references", Json::array());
  job.kind = step["kind"];
  job.args = step["args"];
  if (references.empty()) return job;
  Json resolved_later = Json::array();
  for (const Json& reference : references)
    resolved_later.push_back({{"at", reference["at"]},
                              {"step", reference["step"]},
                              {"job", child_id(claim.job, reference["step"].get<std::string>()).text()},
                              {"output", reference["output"]}});
  job.args = {{"kind", job.kind}, {"args", std::move(job.args)}, {"references", std::move(resolved_later)}};
  job.kind = kStepKind;
  return job;
}

// What a step gave, small enough to keep: a pipeline's result holds all of them.
Json summary(const ChildResult& child, const OutputReference& reference, Uuid root) {
  Json out = {{"job", child.id.text()}, {"state", name(child.state)}};
  if (!child.result.is_object() || !child.result.contains("outputs")) return out;
  Json outputs = child.result["outputs"];
  if (outputs.is_object())
    for (auto& [key, value] : outputs.items())
      if (value.is_string() && !is_whole(value.get_ref<const std::string&>()))
        value = reference(root, child.id, child.token, value.get_ref<const std::string&>());
  out["outputs"] = std::move(outputs);
  if (child.result.contains("output")) out["output"] = child.result["output"];
  return out;
}

Ending run_pipeline(Attempt& attempt, const OutputReference& reference) {
  const Claim& claim = attempt.claim();
  if (claim.phase.empty()) {
    const Json& steps = claim.args["steps"];
    FanOut out;
    out.next_phase = "done";
    for (const Json& step : steps) out.children.push_back(step_job(claim, step, steps));
    return out;
  }
  Json steps = Json::object();
  for (const ChildResult& child : claim.children) steps[child.name] = summary(child, reference, claim.root);
  return Succeeded{{{"steps", std::move(steps)}}};
}

// The args of a step whose references are known now.
Result<Json> resolve(const Claim& claim, const ReadJob& read, const OutputReference& make_whole) {
  Json args = claim.args["args"];
  for (const Json& wanted : claim.args["references"]) {
    SPOOL_ASSIGN(const Uuid id, Uuid::parse(wanted["job"].get<std::string>()));
    SPOOL_ASSIGN(const Job earlier, read(id));
    const std::string step = wanted["step"];
    if (earlier.root != claim.root)
      return fail(Code::kInvalidArgument, fmt::format("the step \"{}\" belongs to another pipeline", step));
    SPOOL_ASSIGN(std::string output, output_of(earlier.result, wanted["output"].get<std::string>(), step));
    if (!is_whole(output)) output = make_whole(earlier.root, earlier.id, earlier.token, output);
    const Json::json_pointer at(wanted["at"].get<std::string>());
    if (!args.contains(at))
      return fail(Code::kInternal, fmt::format("no place {} in the args", at.to_string()));
    args[at] = std::move(output);
  }
  return args;
}

Ending run_step(Attempt& attempt, const ReadJob& read, const OutputReference& reference) {
  const Claim& claim = attempt.claim();
  if (claim.phase.empty()) {
    auto args = resolve(claim, read, reference);
    if (!args) {
      if (disposition(args.error().code) == Disposition::kRetry)
        return RetryLater{args.error(), std::nullopt};
      return Failed{args.error()};
    }
    NewJob job;
    job.id = child_id(claim.job, "run");
    job.kind = claim.args["kind"];
    job.args = std::move(*args);
    job.name = claim.name;
    return FanOut{{std::move(job)}, "done", false};
  }
  if (claim.children.size() != 1) return Failed{{Code::kInternal, "a step has one job of its own", 0}};
  return Succeeded{summary(claim.children.front(), reference, claim.root)};
}

// Needs go to earlier children: the document's order, but for steps that stand before what they need.
std::vector<const Step*> in_order(const Document& document) {
  std::vector<const Step*> out;
  std::set<std::string_view> placed;
  while (out.size() < document.steps.size()) {
    const std::size_t before = out.size();
    for (const Step& step : document.steps) {
      const auto is_placed = [&](const std::string& need) { return placed.contains(need); };
      if (placed.contains(step.name) || !std::all_of(step.needs.begin(), step.needs.end(), is_placed))
        continue;
      placed.insert(step.name);
      out.push_back(&step);
    }
    if (out.size() == before) break;  // a circle: no checked document has one
  }
  return out;
}

}  // namespace

bool needs_sandbox(const NewJob& job, const Kinds& kinds) {
  const auto runs_there = [&](const std::string& name) {
    const Kind* kind = kinds.find(name);
    return kind != nullptr && kind->placement == Placement::kProcess;
  };
  if (job.kind != kPipelineKind) return runs_there(job.kind);
  const Json& steps = job.args.at("steps");
  return std::any_of(steps.begin(), steps.end(),
                     [&](const Json& step) { return runs_there(step.at("kind").get<std::string>()); });
}

Result<NewJob> plan_pipeline(const Document& document, std::string_view source, NewJob base) {
  Json steps = Json::array();
  for (const Step* next : in_order(document)) {
    const Step& step = *next;
    Json args = step.args;
    for (const std::string& pointer : step.sources) {
      if (source.empty())
        return fail(Code::kInvalidArgument,
                    fmt::format("the step \"{}\" takes $source, and no source was given", step.name));
      args[Json::json_pointer(pointer)] = source;
    }
    Json references = Json::array();
    for (const Reference& reference : step.references)
      references.push_back(
          {{"at", reference.pointer}, {"step", reference.step}, {"output", reference.output}});
    steps.push_back({{"name", step.name},
                     {"kind", step.kind},
                     {"args", std::move(args)},
                     {"needs", step.needs},
                     {"optional", step.optional},
                     {"references", std::move(references)}});
  }
  base.kind = kPipelineKind;
  base.args = {{"steps", std::move(steps)}};
  if (base.name.empty()) base.name = document.name;
  return base;
}

Result<std::string> output_of(const Json& result, std::string_view output, std::string_view step) {
  const auto wrong = [&](std::string_view why) {
    return fail(Code::kInvalidArgument, fmt::format("the step \"{}\" {}", step, why));
  };
  if (!result.is_object() || !result.contains("outputs") || !result["outputs"].is_object() ||
      result["outputs"].empty())
    return wrong("gave no outputs");
  const Json& outputs = result["outputs"];
  std::vector<std::string> names;
  for (const auto& [key, value] : outputs.items()) names.push_back(key);
  std::string key(output);
  if (key.empty() && result.contains("output") && result["output"].is_string()) key = result["output"];
  if (key.empty() && names.size() == 1) key = names.front();
  if (key.empty()) return wrong(fmt::format("gave several outputs; name one of {}", fmt::join(names, ", ")));
  const auto found = outputs.find(key);
  if (found == outputs.end() || !found->is_string())
    return wrong(fmt::format("gave no output \"{}\"; it gave {}", key, fmt::join(names, ", ")));
  return found->get<std::string>();
}

void add_pipeline_kinds(Kinds& kinds, ReadJob read, OutputReference reference) {
  FanOutRule step_rule{{}, 1, true};
  for (const Kind* kind : kinds.all())
    if (!kind->internal) step_rule.kinds.push_back(kind->name);
  FanOutRule rule{step_rule.kinds, kMostSteps, true};
  rule.kinds.emplace_back(kStepKind);

  Kind step;
  step.name = kStepKind;
  step.summary = "A pipeline's step that takes what an earlier step gives";
  step.schema = step_schema();
  step.placement = Placement::kInline;
  step.fan_out = std::move(step_rule);
  step.internal = true;
  step.run = [read = std::move(read), reference](Attempt& attempt) {
    return run_step(attempt, read, reference);
  };
  kinds.add(std::move(step));

  Kind pipeline;
  pipeline.name = kPipelineKind;
  pipeline.summary = "Several steps that depend on each other";
  pipeline.schema = pipeline_schema();
  pipeline.placement = Placement::kInline;
  pipeline.fan_out = std::move(rule);
  pipeline.run = [reference = std::move(reference)](Attempt& attempt) {
    return run_pipeline(attempt, reference);
  };
  kinds.add(std::move(pipeline));
}

}  // namespace spool::pipeline
