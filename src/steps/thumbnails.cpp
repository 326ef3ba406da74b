#include "media/stills.h"
#include "queue/input_references.h"
#include "steps/publish_files.h"
#include "steps/stills_kinds.h"

namespace spool::steps {
namespace {

Result<Json> run_thumbnails(Attempt& attempt) {
  const Json& args = attempt.claim().args;
  SPOOL_ASSIGN(const ByteSource source, attempt.open_input(args.at("input").get<std::string>()));
  if (args.contains("every") && args.contains("every_frames"))
    return fail(Code::kInvalidArgument,
                "thumbnails are made every so many seconds (every) or frames (every_frames), not both");
  media::ThumbnailOptions options;
  options.sprite = args.value("sprite", false);
  options.width = args.value("width", options.sprite ? 160 : 320);
  options.height = args.value("height", 0);
  options.every_seconds = args.value("every", 10.0);
  options.every_frames = args.value("every_frames", std::int64_t{0});
  options.exact = args.value("exact", false);
  options.quality = args.value("quality", 85);
  if (args.value("format", "jpeg") == "png") options.format = media::ImageFormat::kPng;
  options.progress = [&](double fraction) { attempt.progress(fraction); };
  return media::make_thumbnails(
      source, options,
      [&](std::string_view name, std::span<const std::byte> bytes) {
        return attempt.put_output(name, bytes);
      },
      attempt.stop_token());
}

}  // namespace

Kind thumbnails_kind(const PublishContext& context) {
  Kind kind;
  kind.name = "thumbnails";
  kind.summary = "Thumbnails every so often, or sprite sheets with a WebVTT storyboard";
  kind.schema = Json::parse(R"({
    "type": "object", "additionalProperties": false, "required": ["input"],
    "properties": {
      "input": {},
      "every": {"type": "number", "minimum": 0.01, "maximum": 86400, "format": "duration"},
      "every_frames": {"type": "integer", "minimum": 1, "maximum": 1000000},
      "width": {"type": "integer", "minimum": 16, "maximum": 3840},
      "height": {"type": "integer", "minimum": 16, "maximum": 3840},
      "sprite": {"type": "boolean"},
      "exact": {"type": "boolean"},
      "format": {"enum": ["jpeg", "png"]},
      "quality": {"type": "integer", "minimum": 1, "maximum": 100},
      "destination": {"type": "string", "maxLength": 512}
    }})");
  kind.schema["properties"]["input"] = input_schema();
  publish_made_files(kind, context, &run_thumbnails);
  return kind;
}

}  // namespace spool::steps
