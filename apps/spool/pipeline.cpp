// spool pipeline check FILE: is this pipeline right, and if not, where?
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "commands.h"
#include "parts.h"
#include "terminal.h"
#include "watch.h"

namespace spool {
namespace {

Json steps_json(const pipeline::Document& document) {
  Json out = Json::array();
  for (const pipeline::Step& step : document.steps)
    out.push_back(
        {{"name", step.name}, {"kind", step.kind}, {"needs", step.needs}, {"optional", step.optional}});
  return out;
}

Json complaints_json(const pipeline::Complaints& complaints) {
  Json out = Json::array();
  for (const pipeline::Complaint& complaint : complaints.list())
    out.push_back({{"line", complaint.at.line},
                   {"column", complaint.at.column},
                   {"length", complaint.at.length},
                   {"message", complaint.message}});
  return out;
}

Result<int> check(const std::string& path, const Context& context) {
  SPOOL_ASSIGN(const Config config, load_config(context));
  SPOOL_ASSIGN(const std::string text, read_document(path));
  const pipeline::Ladders ladders = ladders_of(config);
  const Kinds kinds = make_kinds(config);
  const std::string name = path == "-" ? "stdin" : path;
  pipeline::Complaints complaints(text, name);
  const auto document = pipeline::parse_pipeline(text, environment_with(kinds, ladders), complaints);
  if (context.json)
    print_json({{"file", name},
                {"ok", document.has_value()},
                {"steps", document ? steps_json(*document) : Json::array()},
                {"complaints", complaints_json(complaints)}});
  if (!document) {
    fmt::print(stderr, "{}\n", complaints.text());
    return kWrongUsage;
  }
  if (context.json) return kDone;
  fmt::print("{}: {}, nothing wrong\n", name, counted(std::ssize(document->steps), "step"));
  for (const pipeline::Step& step : document->steps)
    fmt::print("  {} ({}){}{}\n", step.name, step.kind,
               step.needs.empty() ? "" : fmt::format(" after {}", fmt::join(step.needs, ", ")),
               step.optional ? ", optional" : "");
  return kDone;
}

}  // namespace

void add_pipeline(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("pipeline", "Pipeline documents");
  command->require_subcommand(1);
  CLI::App* checking =
      command->add_subcommand("check", "Validate a pipeline document, and point at what is wrong");
  const auto path = std::make_shared<std::string>();
  checking->add_option("file", *path, "The document (YAML or JSON), - for stdin")
      ->required()
      ->type_name("FILE");
  checking->add_option("--config", context.config_file, "Configuration file (its ladders are known, too)");
  add_json_flag(*checking, context);
  checking->callback([path, &context] { context.run = [path, &context] { return check(*path, context); }; });
}

}  // namespace spool
