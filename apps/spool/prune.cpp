// spool prune: forgets jobs that ended long ago, or of which there are enough newer ones.
#include <fmt/format.h>

#include "commands.h"
#include "new_job.h"
#include "queue/prune_all.h"
#include "terminal.h"

namespace spool {
namespace {

struct Options {
  std::string queue, older_than;
  std::int64_t keep = -1;
  bool with_outputs = false;
};

Result<int> prune(const Options& options, const Context& context) {
  PruneRules rules;
  rules.queue = options.queue;
  rules.with_outputs = options.with_outputs;
  SPOOL_ASSIGN(rules.age, duration_flag("older-than", options.older_than));
  if (options.keep >= 0) rules.keep = options.keep;
  if (!rules.age && !rules.keep)
    return fail(Code::kInvalidArgument, "what goes? Say --older-than 30d, --keep 1000, or both");
  SPOOL_ASSIGN(const Config config, load_config(context));
  SPOOL_ASSIGN(const auto store, open_store(config, Open::kExisting));
  SPOOL_ASSIGN(const std::int64_t gone, prune_all(*store, rules));
  if (context.json)
    print_json({{"pruned", gone}});
  else
    fmt::print("pruned {}\n", counted(gone, "job"));
  return kDone;
}

}  // namespace

void add_prune(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("prune", "Forget jobs that ended, by age, by number, or both");
  const auto options = std::make_shared<Options>();
  command->add_option("--queue", options->queue, "Only of this queue; else of each, for itself");
  command->add_option("--older-than", options->older_than, "Those that ended longer ago (30d)");
  command->add_option("--keep", options->keep, "All but so many that ended last")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 40));
  command->add_flag("--with-outputs", options->with_outputs,
                    "Also what they published, but for a destination of your choice");
  add_store_options(*command, context);
  add_json_flag(*command, context);
  command->callback(
      [options, &context] { context.run = [options, &context] { return prune(*options, context); }; });
}

}  // namespace spool
