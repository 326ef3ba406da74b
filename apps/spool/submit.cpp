// spool submit KIND|FILE [KEY=VALUE ...]: stores a job, or a pipeline, for a worker.
#include <fmt/format.h>

#include "commands.h"
#include "new_job.h"
#include "watch.h"

namespace spool {
namespace {

struct Options : JobOptions {
  std::string id;
  bool held = false, wait = false;
};

Result<int> submit(const Options& options, Context& context) {
  SPOOL_ASSIGN(const Config config, load_config(context));
  SPOOL_ASSIGN(NewJob job, plan_job(options, config));
  job.held = options.held;
  if (!options.id.empty()) {
    SPOOL_ASSIGN(job.id, Uuid::parse(options.id));
    if (job.id.is_nil())
      return fail(Code::kInvalidArgument, fmt::format("--id: {} is no id of a job", options.id));
  }
  SPOOL_ASSIGN(const auto store, open_store(config, Open::kMake));
  SPOOL_ASSIGN(auto inserted, store->insert({&job, 1}));
  if (!inserted.at(0)) return fail(std::move(inserted.at(0)).error());
  const Inserted& done = *inserted.at(0);
  if (options.wait) return watch_job(*store, done.id, context);
  if (context.json)
    print_json({{"id", done.id.text()}, {"existed", done.existed}});
  else
    fmt::print("{}\n", done.id.text());
  if (done.existed) fmt::print(stderr, "spool: this job was there already\n");
  return kDone;
}

}  // namespace

void add_submit(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("submit", "Store a job or a pipeline for a worker");
  const auto options = std::make_shared<Options>();
  add_job_options(*command, *options);
  command->add_option("--id", options->id, "An id of your own (UUID): the same id and job twice is one job");
  command->add_flag("--held", options->held, "Accepted, but only run after `spool start`");
  command->add_flag("--wait", options->wait, "Follow it to its end, as `spool watch` does");
  add_store_options(*command, context);
  add_json_flag(*command, context);
  command->callback(
      [options, &context] { context.run = [options, &context] { return submit(*options, context); }; });
}

}  // namespace spool
