// spool: the one program. Parts are wired here and in a file per subcommand, nowhere else.
#include <fmt/format.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdio>
#include <exception>

#include "base/config.h"
#include "base/json_schema.h"
#include "commands.h"
#include "executors/process/run_job.h"
#include "steps/steps.h"

namespace {

constexpr auto kCommands = {
    spool::add_transcode, spool::add_worker,   spool::add_submit,   spool::add_jobs,    spool::add_show,
    spool::add_watch,     spool::add_start,    spool::add_cancel,   spool::add_retry,   spool::add_rm,
    spool::add_queues,    spool::add_limit,    spool::add_schedule, spool::add_workers, spool::add_stats,
    spool::add_prune,     spool::add_pipeline, spool::add_ladders,  spool::add_migrate, spool::add_doctor,
    spool::add_version,
};

// Words for the first word that should be a command and is none; CLI11 says only that one is missing.
std::string unknown_command(const CLI::App& app, int argc, char** argv) {
  const CLI::App* at = &app;
  for (int i = 1; i < argc && argv[i][0] != '-'; ++i) {
    const CLI::App* below = nullptr;
    std::vector<std::string> known;
    for (const CLI::App* command : at->get_subcommands([](const CLI::App*) { return true; })) {
      if (command->get_name() == argv[i]) below = command;
      if (!command->get_name().empty()) known.push_back(command->get_name());
    }
    if (known.empty()) return {};
    if (below == nullptr) {
      const std::string near = spool::nearest_word(argv[i], known);
      return fmt::format("there is no command '{}'{}", argv[i],
                         near.empty() ? "" : fmt::format(", did you mean '{}'?", near));
    }
    at = below;
  }
  return {};
}

int run(int argc, char** argv) {
  spdlog::set_default_logger(spdlog::stderr_color_mt("spool"));  // stdout is for results
  spool::Context context;
  CLI::App app{"Turns video into finished outputs, and never loses a job on the way", "spool"};
  app.set_version_flag("--version", SPOOL_VERSION);
  app.require_subcommand(1);
  for (const auto add : kCommands) add(app, context);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    context.json = std::find(argv, argv + argc, std::string_view("--json")) != argv + argc;
    const std::string unknown = unknown_command(app, argc, argv);
    spool::print_error(
        {spool::Code::kInvalidArgument,
         fmt::format("{} (see --help)", spool::without_secret(unknown.empty() ? error.what() : unknown))},
        context);
    return spool::kWrongUsage;
  }
  const spool::Result<int> code = context.run();
  if (code) return *code;
  spool::print_error(code.error(), context);
  return spool::exit_code(code.error());
}

}  // namespace

int main(int argc, char** argv) {
  try {
    // A child of a worker: nothing of the command line is set up for it.
    if (argc > 1 && std::string_view(argv[1]) == "run-job")
      return spool::run_job_main(spool::steps::make_kinds({}), argc, argv);
    return run(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "spool: a bug in spool: {}\n", error.what());
    return spool::kSystemFailed;
  }
}
