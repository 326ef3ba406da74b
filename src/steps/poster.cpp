#include "media/stills.h"
#include "queue/input_references.h"
#include "steps/publish_files.h"
#include "steps/stills_kinds.h"

namespace spool::steps {
namespace {

Result<Json> run_poster(Attempt& attempt) {
  const Json& args = attempt.claim().args;
  SPOOL_ASSIGN(const ByteSource source, attempt.open_input(args.at("input").get<std::string>()));
  media::PosterOptions options;
  options.width = args.value("width", options.width);
  options.height = args.value("height", 0);
  options.quality = args.value("quality", options.quality);
  if (args.contains("at")) options.at = args.at("at").get<double>();
  if (args.value("format", "jpeg") == "png") options.format = media::ImageFormat::kPng;
  SPOOL_ASSIGN(Json made, media::make_poster(
                              source, options,
                              [&](std::string_view name, std::span<const std::byte> bytes) {
                                return attempt.put_output(name, bytes);
                              },
                              attempt.stop_token()));
  made["files"] = Json::array({made.at("file")});
  return made;
}

}  // namespace

Kind poster_kind(const PublishContext& context) {
  Kind kind;
  kind.name = "poster";
  kind.summary = "One picture that stands for the film";
  kind.schema = Json::parse(R"({
    "type": "object", "additionalProperties": false, "required": ["input"],
    "properties": {
      "input": {},
      "at": {"type": "number", "minimum": 0, "format": "duration"},
      "width": {"type": "integer", "minimum": 16, "maximum": 7680},
      "height": {"type": "integer", "minimum": 16, "maximum": 7680},
      "format": {"enum": ["jpeg", "png"]},
      "quality": {"type": "integer", "minimum": 1, "maximum": 100},
      "destination": {"type": "string", "maxLength": 512}
    }})");
  kind.schema["properties"]["input"] = input_schema();
  publish_made_files(kind, context, &run_poster);
  return kind;
}

}  // namespace spool::steps
