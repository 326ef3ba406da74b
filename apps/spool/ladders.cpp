// spool ladders: what may be named as a ladder, built in and in the operator's folder.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "commands.h"
#include "fleet_view.h"
#include "parts.h"

namespace spool {
namespace {

Result<int> list(const Context& context) {
  SPOOL_ASSIGN(const Config config, load_config(context));
  const pipeline::Ladders ladders = ladders_of(config);
  Json all = Json::array();
  std::vector<std::vector<std::string>> rows = {{"NAME", "RUNGS", "FROM"}};
  for (const std::string& name : ladders.names()) {
    SPOOL_ASSIGN(const Json ladder, ladders.named(name));
    std::vector<std::string> rungs;
    for (const Json& rung : ladder["rungs"]) rungs.push_back(rung["name"]);
    const auto file = ladders.file_of(name);
    rows.push_back({name, fmt::format("{}", fmt::join(rungs, ", ")), file ? file->string() : "built in"});
    all.push_back(
        {{"name", name}, {"rungs", std::move(rungs)}, {"file", file ? Json(file->string()) : Json(nullptr)}});
  }
  if (context.json)
    print_json({{"ladders", std::move(all)}});
  else
    fmt::print("{}", render_rows(rows));
  return kDone;
}

}  // namespace

void add_ladders(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("ladders", "List the ladders that may be named, and their rungs");
  command->add_option("--config", context.config_file, "Configuration file (its ladders are listed, too)");
  add_json_flag(*command, context);
  command->callback([&context] { context.run = [&context] { return list(context); }; });
}

}  // namespace spool
