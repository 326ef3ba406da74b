// The subcommands; each is defined in the file of its name.
#pragma once

#include "context.h"

namespace spool {

void add_transcode(CLI::App& app, Context& context);
void add_worker(CLI::App& app, Context& context);
void add_submit(CLI::App& app, Context& context);
void add_jobs(CLI::App& app, Context& context);
void add_show(CLI::App& app, Context& context);
void add_watch(CLI::App& app, Context& context);
void add_start(CLI::App& app, Context& context);
void add_cancel(CLI::App& app, Context& context);
void add_retry(CLI::App& app, Context& context);
void add_rm(CLI::App& app, Context& context);
void add_queues(CLI::App& app, Context& context);
void add_workers(CLI::App& app, Context& context);
void add_limit(CLI::App& app, Context& context);
void add_schedule(CLI::App& app, Context& context);
void add_stats(CLI::App& app, Context& context);
void add_prune(CLI::App& app, Context& context);
void add_pipeline(CLI::App& app, Context& context);
void add_ladders(CLI::App& app, Context& context);
void add_migrate(CLI::App& app, Context& context);
void add_doctor(CLI::App& app, Context& context);
void add_version(CLI::App& app, Context& context);

}  // namespace spool
