// spool doctor: what this machine has and lacks, in words.
#include <fmt/format.h>
#include <unistd.h>

#include "checkup.h"
#include "commands.h"
#include "parts.h"
#include "terminal.h"

namespace spool {
namespace {

std::string_view health_name(Health health) {
  switch (health) {
    case Health::kGood:
      return "good";
    case Health::kNote:
      return "note";
    case Health::kProblem:
      break;
  }
  return "problem";
}

void print_finding(const Finding& finding, bool colour) {
  const bool good = finding.health == Health::kGood;
  const bool problem = finding.health == Health::kProblem;
  const Style style = good ? Style::kGreen : problem ? Style::kRed : Style::kYellow;
  fmt::print("{} {} {}\n",
             paint(good      ? "✔"
                   : problem ? "✖"
                             : "!",
                   style, colour),
             padded(finding.area, 8), finding.found);
  if (!finding.remedy.empty()) fmt::print("           {} {}\n", paint("→", style, colour), finding.remedy);
}

Result<int> doctor(const Context& context) {
  SPOOL_ASSIGN(const Config config, load_config(context));
  const std::vector<Finding> findings = examine(config);
  bool well = true;
  Json list = Json::array();
  const bool colour = Terminal::of(STDOUT_FILENO).colour;
  for (const Finding& finding : findings) {
    if (finding.health == Health::kProblem) well = false;
    list.push_back({{"area", finding.area},
                    {"health", health_name(finding.health)},
                    {"found", finding.found},
                    {"remedy", finding.remedy}});
    if (!context.json) print_finding(finding, colour);
  }
  if (context.json)
    print_json({{"ok", well}, {"findings", std::move(list)}});
  else
    fmt::print("{}\n", well ? "Ready." : "Not ready: see what is marked ✖.");
  return well ? kDone : kJobFailed;
}

}  // namespace

void add_doctor(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("doctor", "Say what this machine has and lacks, and how to get it");
  add_store_options(*command, context);
  add_json_flag(*command, context);
  command->callback([&context] { context.run = [&context] { return doctor(context); }; });
}

}  // namespace spool
