#include "media/probe.h"

#include "queue/handler_call.h"
#include "queue/input_references.h"
#include "steps/stills_kinds.h"

namespace spool::steps {
namespace {

Result<Json> run_probe(Attempt& attempt) {
  const Json& args = attempt.claim().args;
  SPOOL_ASSIGN(const ByteSource source, attempt.open_input(args.at("input").get<std::string>()));
  media::ProbeOptions options;
  options.loudness = args.value("loudness", false);
  options.personal_tags = args.value("personal_tags", false);
  return media::probe(source, options, attempt.stop_token());
}

}  // namespace

Kind probe_kind() {
  Kind kind;
  kind.name = "probe";
  kind.summary = "What a video or audio file holds";
  kind.schema = Json::parse(R"({
    "type": "object", "additionalProperties": false, "required": ["input"],
    "properties": {
      "input": {},
      "loudness": {"type": "boolean"},
      "personal_tags": {"type": "boolean"}
    }})");
  kind.schema["properties"]["input"] = input_schema();
  kind.run = [](Attempt& attempt) -> Ending {
    auto found = run_probe(attempt);
    if (!found) return ending_of(std::move(found).error());
    return Succeeded{std::move(*found)};
  };
  return kind;
}

}  // namespace spool::steps
