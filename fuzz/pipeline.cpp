// Pipeline documents: whatever the bytes, the parser ends, and what it accepts can be planned.
#include <cstdlib>

#include "pipeline/document.h"
#include "pipeline/plan.h"

namespace {

spool::Kinds make_kinds() {
  spool::Kinds kinds;
  spool::Kind kind;
  kind.name = "any";
  kind.schema = spool::Json::parse(R"({"type": "object", "properties": {
      "input": {"type": "string"}, "every": {"type": "number", "format": "duration"},
      "size": {"type": "integer", "format": "size"}, "ladder": {"type": "object", "format": "ladder"},
      "list": {"type": "array", "items": {"type": "string"}}}, "additionalProperties": false})");
  kind.run = [](spool::Attempt&) -> spool::Ending { return spool::Succeeded{}; };
  kinds.add(std::move(kind));
  return kinds;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const spool::Kinds kinds = make_kinds();
  spool::pipeline::Environment environment;
  environment.kinds = &kinds;
  const auto document =
      spool::pipeline::parse_pipeline({reinterpret_cast<const char*>(data), size}, "fuzz.yaml", environment);
  if (!document) {
    if (document.error().message.empty()) std::abort();
    return 0;
  }
  const auto job = spool::pipeline::plan_pipeline(*document, "file:/source", {});
  if (!job || job->args["steps"].size() != document->steps.size()) std::abort();
  return 0;
}
