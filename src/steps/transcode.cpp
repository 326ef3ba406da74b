// transcode: the table of its kinds, and its last phase: everything is put in its place. Runs in the manager.
#include "steps/transcode.h"

#include <fmt/format.h>

#include "media/ladder.h"
#include "steps/attempt_files.h"
#include "steps/growing_presentations.h"

namespace spool::steps {
namespace {

Json transcode_schema() {
  Json schema = Json::parse(R"({
    "type": "object", "additionalProperties": false, "required": ["input", "ladder"],
    "properties": {
      "input": {"type": "string", "minLength": 1, "maxLength": 4096},
      "speed": {"enum": ["fast", "balanced"]},

      "start": {"type": "number", "minimum": 0, "format": "duration"},
      "end": {"type": "number", "exclusiveMinimum": 0, "format": "duration"},
      "surround": {"type": "boolean"},
      "subtitles": {"type": "array", "maxItems": 32, "items": {
        "type": "object", "additionalProperties": false, "required": ["input"],
        "properties": {
          "input": {"type": "string", "minLength": 1, "maxLength": 4096},
          "language": {"type": "string", "pattern": "^[a-z]{2,3}$"},
          "label": {"type": "string", "maxLength": 100},
          "digest": {"type": "string", "maxLength": 64}}}},
      "destination": {"type": "string", "maxLength": 512},
      "digest": {"type": "string", "maxLength": 64}
    }})");
  schema["properties"]["ladder"] = media::ladder_schema();
  schema["properties"]["ladder"]["format"] = "ladder";  // a pipeline may name one
  return schema;
}

// Where the source was damaged, over all chunks; a rung's chunk of its own reports what its twin does too.
Json damage_of(const std::vector<ChildResult>& children) {
  Json all = Json::array();
  for (const ChildResult& child : children) {
    if (!child.result.contains("damage")) continue;
    for (const Json& stretch : child.result.at("damage"))
      if (all.size() < 1000 && std::find(all.begin(), all.end(), stretch) == all.end())
        all.push_back(stretch);
  }
  return all;
}

// What a child made becomes part of the presentation; a text track that could not be made stands there empty.
Result<void> add(Presentation& presentation, const ChildResult& child, Json& notes) {
  if (child.kind == "transcode.subtitles" && child.state != State::kSucceeded) {
    notes.push_back(
        fmt::format("{} is empty: it could not be made, see job {}", child.name, child.id.text()));
    SPOOL_ASSIGN(const auto borders, borders_from_json(child.args));
    return presentation.add_empty_subtitles(child.name, borders);
  }
  if (!child.token) return fail(Code::kInternal, fmt::format("{} succeeded without an attempt", child.name));
  SPOOL_ASSIGN(const auto made, all_made_from_json(child.result));
  for (std::string& note : notes_from_json(child.result)) notes.push_back(std::move(note));
  return presentation.add(attempt_prefix(child.id, *child.token), made);
}

Result<Json> assemble(const Claim& claim, const PublishContext& context) {
  SPOOL_ASSIGN(TranscodePlan plan, plan_from_json(claim.checkpoint));
  const std::string destination = destination_of(claim.args, claim.root, claim.name);
  Presentation presentation(*context.objects, destination, std::move(plan));
  Json notes = Json::array();
  for (const ChildResult& child : claim.children) SPOOL_TRY(add(presentation, child, notes));
  {
    SPOOL_ASSIGN(const FileLock lock, FileLock::lock(context.lock_file));
    SPOOL_TRY(presentation.write_final());
  }
  // The winners' outputs are in their places now; what the losers left goes with the rest.
  for (const ChildResult& child : claim.children)
    SPOOL_TRY(context.objects->remove_all(attempts_prefix(child.id)));
  Json result = presentation.summary();
  for (Json& note : notes) result["notes"].push_back(std::move(note));
  result["damage"] = damage_of(claim.children);
  result["outputs"] = {{"master", "object:" + result["master"].get<std::string>()}};
  result["output"] = "master";
  return result;
}

}  // namespace

std::string destination_of(const Json& args, const Uuid& root, const std::string& name) {
  if (args.contains("destination")) return args.at("destination").get<std::string>();
  return name.empty() ? fmt::format("jobs/{}", root.text()) : fmt::format("jobs/{}/{}", root.text(), name);
}

Ending assemble_transcode(Attempt& attempt, const PublishContext& context) {
  if (context.objects == nullptr)
    return Failed{Error{Code::kInternal, "assembling runs in the manager alone"}};
  auto result = assemble(attempt.claim(), context);
  if (result) return Succeeded{std::move(*result)};
  if (disposition(result.error().code) == Disposition::kGiveUp) return Failed{std::move(result).error()};
  return RetryLater{std::move(result).error(), {}};
}

std::vector<Kind> transcode_kinds(const PublishContext& context) {
  Kind transcode;
  transcode.name = "transcode";
  transcode.summary = "An adaptive ladder (HLS and DASH over the same segments)";
  transcode.schema = transcode_schema();
  transcode.inline_phases = {"assemble"};
  transcode.fan_out = {{"transcode.chunk", "transcode.audio", "transcode.subtitles"}, 100'000};
  transcode.run = [context](Attempt& attempt) {
    return attempt.claim().phase == "assemble" ? assemble_transcode(attempt, context)
                                               : plan_transcode(attempt);
  };

  const auto part = [](const char* name, const char* summary, Ending (*run)(Attempt&)) {
    Kind kind;
    kind.name = name;
    kind.summary = summary;
    kind.schema = {{"type", "object"}};
    kind.run = run;
    kind.internal = true;
    return kind;
  };
  std::vector<Kind> kinds{
      std::move(transcode), part("transcode.chunk", "One interval of a film, all rungs", &transcode_chunk),
      part("transcode.audio", "One audio track of a film, whole", &transcode_audio),
      part("transcode.subtitles", "One text track of a film, whole", &transcode_subtitles)};
  if (context.objects != nullptr) {
    const auto growing = std::make_shared<GrowingPresentations>(context);
    for (Kind& kind : kinds)
      if (kind.internal)
        kind.follow_up = [growing](Store& store, const Claim& claim) {
          if (claim.parent) growing->refresh(store, *claim.parent);
        };
  }
  return kinds;
}

}  // namespace spool::steps
