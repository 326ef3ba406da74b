// spool jobs: a table of jobs.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "commands.h"
#include "job_view.h"
#include "parts.h"
#include "terminal.h"

namespace spool {
namespace {

struct Options {
  std::string state, kind, queue, owner;
  bool children = false;
  int most = 50;
};

Result<int> jobs(const Options& options, const Context& context) {
  JobFilter filter;
  filter.kind = options.kind;
  filter.queue = options.queue;
  filter.owner = options.owner;
  filter.roots_only = !options.children;
  const bool limited = options.state == "limited";  // as the table calls some of the waiting ones
  if (!options.state.empty()) filter.state = limited ? State::kWaiting : state_from_name(options.state);
  SPOOL_ASSIGN(const Config config, load_config(context));
  SPOOL_ASSIGN(const auto store, open_store(config, Open::kExisting));
  filter.newest_first = true;
  std::vector<Job> rows;
  bool older = false;
  SPOOL_TRY(for_each_job(*store, filter, [&](Job& job) {
    if (limited && !job.limited) return true;
    older = rows.size() == static_cast<std::size_t>(options.most);
    if (!older) rows.push_back(std::move(job));
    return !older;
  }));
  std::ranges::reverse(rows);
  if (context.json) {
    Json list = Json::array();
    for (const Job& job : rows) list.push_back(job_json(job));
    print_json({{"jobs", std::move(list)}, {"older", older}});
    return kDone;
  }
  SPOOL_ASSIGN(const Time now, store->now());
  const Terminal terminal = Terminal::of(STDOUT_FILENO);
  fmt::print("{}", render_table(rows, {.width = terminal.is_terminal ? terminal.width : 120,
                                       .colour = terminal.colour,
                                       .now = now}));
  if (older) fmt::print(stderr, "spool: there are older ones (--most)\n");
  if (rows.empty()) fmt::print(stderr, "spool: no jobs\n");
  return kDone;
}

}  // namespace

void add_jobs(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("jobs", "List jobs, the newest last");
  const auto options = std::make_shared<Options>();
  command->add_option("--state", options->state, "Only those in this state")
      ->check(CLI::IsMember({"created", "waiting", "limited", "scheduled", "available", "running",
                             "succeeded", "failed", "cancelled"}));
  command->add_option("--kind", options->kind, "Only those of this kind");
  command->add_option("--queue", options->queue, "Only those of this queue");
  command->add_option("--owner", options->owner, "Only those of this owner");
  command->add_flag("--children", options->children, "Also the jobs that jobs are made of");
  command->add_option("--most", options->most, "How many")
      ->capture_default_str()
      ->check(CLI::Range(1, 100000));
  add_store_options(*command, context);
  add_json_flag(*command, context);
  command->callback(
      [options, &context] { context.run = [options, &context] { return jobs(*options, context); }; });
}

}  // namespace spool
