#include "pipeline/stored_args.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "pipeline/document.h"
#include "pipeline/plan.h"

namespace spool::pipeline {
namespace {

// The error is read by whoever made the job: it has no path of this machine, and no line of the operator's
// file.
Result<Json> ladder_for_strangers(const Ladders& ladders, std::string_view name) {
  const bool from_folder = ladders.file_of(name).has_value();
  auto found = ladders.named(name);
  if (found || !from_folder) return found;
  spdlog::error("{}", found.error().message);
  return fail(found.error().code,
              fmt::format("the ladder \"{}\" of this worker is wrong: its log says how", name));
}

bool is_document(const Json& args) {
  return args.is_object() &&
         (args.contains("version") || (args.contains("steps") && args["steps"].is_object()));
}

Result<std::string> take_source(Json& document) {
  if (!document.contains("source")) return "";
  const Json source = document["source"];
  document.erase("source");
  if (source.is_string())
    if (auto text = source.get<std::string>(); text.starts_with("object:") || text.starts_with("file:/"))
      return text;
  return fail(Code::kInvalidArgument, "source: must be object:KEY, like object:films/talk.mp4");
}

Result<Json> plan_document(Json document, const Environment& environment) {
  SPOOL_ASSIGN(const std::string source, take_source(document));
  // In lines, for the places that complaints name.
  const std::string text = document.dump(2, ' ', false, Json::error_handler_t::replace);
  SPOOL_ASSIGN(const Document parsed, parse_pipeline(text, kPipelineKind, environment));
  SPOOL_ASSIGN(NewJob job, plan_pipeline(parsed, source, {}));
  return std::move(job.args);
}

}  // namespace

ResolveArgs stored_args_resolver(Ladders ladders) {
  return [ladders = std::move(ladders)](const Kinds& kinds, const Kind& kind, Json args) -> Result<Json> {
    Environment environment;
    environment.kinds = &kinds;
    environment.ladder = [&ladders](std::string_view name) { return ladder_for_strangers(ladders, name); };
    if (kind.name == kPipelineKind && is_document(args)) return plan_document(std::move(args), environment);
    environment.plain_values = true;
    return check_parameters(kind, std::move(args), environment);
  };
}

}  // namespace spool::pipeline
