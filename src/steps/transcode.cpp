// transcode: the table of its kinds.
#include "steps/transcode.h"

#include <fmt/format.h>

#include "media/ladder.h"
#include "queue/input_references.h"
#include "steps/growing_presentations.h"

namespace spool::steps {
namespace {

Json transcode_schema() {
  Json schema = Json::parse(R"({
    "type": "object", "additionalProperties": false, "required": ["input", "ladder"],
    "properties": {
      "input": {},
      "speed": {"enum": ["fast", "balanced"]},
      "remux": {"enum": ["auto", "never"]},
      "start": {"type": "number", "minimum": 0, "format": "duration"},
      "end": {"type": "number", "exclusiveMinimum": 0, "format": "duration"},
      "surround": {"type": "boolean"},
      "mp4": {"type": "boolean"},
      "loudness": {"type": "number", "minimum": -40, "maximum": -5},
      "subtitles": {"type": "array", "maxItems": 32, "items": {
        "type": "object", "additionalProperties": false, "required": ["input"],
        "properties": {
          "input": {},
          "language": {"type": "string", "pattern": "^[a-z]{2,3}$"},
          "label": {"type": "string", "maxLength": 100},
          "digest": {"type": "string", "maxLength": 64}}}},
      "destination": {"type": "string", "maxLength": 512},
      "digest": {"type": "string", "maxLength": 64}
    }})");
  schema["properties"]["input"] = schema["properties"]["subtitles"]["items"]["properties"]["input"] =
      input_schema();
  schema["properties"]["ladder"] = media::ladder_schema();
  schema["properties"]["ladder"]["format"] = "ladder";  // a pipeline may name one
  schema["properties"]["ladder"]["default"] = "web";
  return schema;
}

}  // namespace

Result<std::optional<FileLock>> PublishContext::lock() const {
  const auto folder = objects->lock_folder();
  if (!folder) return std::nullopt;
  SPOOL_ASSIGN(FileLock lock, FileLock::lock(*folder / "publish.lock"));
  return std::optional(std::move(lock));
}

std::string destination_of(const Json& args, const Uuid& root, const std::string& name) {
  if (args.contains("destination")) return args.at("destination").get<std::string>();
  return name.empty() ? fmt::format("jobs/{}", root.text()) : fmt::format("jobs/{}/{}", root.text(), name);
}

std::vector<Kind> transcode_kinds(const PublishContext& context) {
  Kind transcode;
  transcode.name = "transcode";
  transcode.summary = "An adaptive ladder (HLS and DASH over the same segments)";
  transcode.schema = transcode_schema();
  transcode.inline_phases = {kAssemblePhase, kFinishPhase};
  transcode.fan_out = {
      {"transcode.chunk", "transcode.remux", "transcode.audio", "transcode.subtitles", "transcode.mp4"},
      100'000};
  transcode.run = [context](Attempt& attempt) {
    if (attempt.claim().phase == kAssemblePhase) return assemble_transcode(attempt, context);
    if (attempt.claim().phase == kFinishPhase) return finish_transcode(attempt, context);
    return plan_transcode(attempt);
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
      std::move(transcode),
      part("transcode.chunk", "One interval of a film, all rungs", &transcode_chunk),
      part("transcode.remux", "A stretch of a film, its own frames packaged as they are", &transcode_remux),
      part("transcode.audio", "One audio track of a film, whole", &transcode_audio),
      part("transcode.subtitles", "One text track of a film, whole", &transcode_subtitles),
      part("transcode.mp4", "Progressive files out of a film's finished segments", &transcode_mp4)};
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
