// spool stats: queues, workers and limits at once, for people, programs and Prometheus.
#include <fmt/format.h>

#include "commands.h"
#include "fleet_view.h"
#include "parts.h"

namespace spool {
namespace {

Result<Stats> read_stats(Store& store) {
  Stats stats;
  SPOOL_ASSIGN(stats.queues, store.counts());
  SPOOL_ASSIGN(stats.workers, store.sessions());
  SPOOL_ASSIGN(stats.limits, store.limits());
  SPOOL_ASSIGN(stats.now, store.now());
  return stats;
}

Result<int> print_stats(bool prometheus, const Context& context) {
  SPOOL_ASSIGN(const Config config, load_config(context));
  SPOOL_ASSIGN(const auto store, open_store(config, Open::kExisting));
  SPOOL_ASSIGN(const Stats stats, read_stats(*store));
  if (prometheus) {
    fmt::print("{}", prometheus_text(stats));
    return kDone;
  }
  if (context.json) {
    print_json(stats_json(stats));
    return kDone;
  }
  std::vector<Limit> limits;
  for (const LimitUse& use : stats.limits) limits.push_back(use.limit);
  for (const std::string& table : {render_queues(stats.queues, LimitBook(limits), stats.now),
                                   render_workers(stats.workers, stats.now), render_limits(stats.limits)})
    if (!table.empty()) fmt::print("{}\n", table);
  return kDone;
}

}  // namespace

void add_stats(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("stats", "Show queues, workers and limits at once");
  const auto prometheus = std::make_shared<bool>(false);
  add_store_options(*command, context);
  CLI::Option* flag = command->add_flag("--prometheus", *prometheus, "In Prometheus's text format");
  add_json_flag(*command, context);
  command->get_option("--json")->excludes(flag);
  command->callback([prometheus, &context] {
    context.run = [prometheus, &context] { return print_stats(*prometheus, context); };
  });
}

}  // namespace spool
