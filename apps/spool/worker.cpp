// spool worker: runs jobs of a store until it is told to stop; with --drain it tells others to.
#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "commands.h"
#include "drain.h"
#include "engine.h"
#include "executors/process/sandbox.h"
#include "idle.h"
#include "parts.h"
#include "terminal.h"

namespace spool {
namespace {

struct Options {
  std::string slots;
  std::vector<std::string> queues, tags, drain;
  bool unsafe_no_sandbox = false, until_idle = false;
};

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : ",") + word;
  return out;
}

Result<Config> configuration(const Options& options, const Context& context) {
  std::map<std::string, std::string> flags;
  if (!options.slots.empty()) flags["worker.slots"] = options.slots;
  if (!options.queues.empty()) flags["worker.queues"] = joined(options.queues);
  if (!options.tags.empty()) flags["worker.tags"] = joined(options.tags);
  if (options.unsafe_no_sandbox) flags["worker.unsafe_no_sandbox"] = "1";
  return load_config(context, std::move(flags));
}

// A queue's own rules are all that counts for it: those of "*" are for each other one.
std::vector<PruneRules> retention_of(const Config& config) {
  std::vector<PruneRules> all;
  for (const auto& [queue, own] : config.retention) {
    PruneRules rules;
    if (queue != "*")
      rules.queue = queue;
    else
      for (const auto& [other, _] : config.retention) rules.except.push_back(other);
    rules.age = own.older_than;
    rules.keep = own.keep;
    rules.with_outputs = own.with_outputs;
    all.push_back(std::move(rules));
  }
  return all;
}

EngineOptions engine_options(const Config& config) {
  EngineOptions out;
  out.worker.slots =
      config.slots > 0 ? config.slots : static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  out.worker.queues = config.queues;
  out.worker.tags = config.tags;
  out.worker.version = SPOOL_VERSION;
  // There the store tells of new jobs, and polling is for what was not heard.
  if (is_postgres(config.store)) {
    out.worker.poll = std::chrono::seconds(5);
    out.worker.housekeeping = std::chrono::seconds(15);  // each worker; a claim looks at what is due, too
  }
  out.process.unsafe_no_sandbox = config.unsafe_no_sandbox;
  out.process.spare_children = out.worker.slots;
  out.retention = retention_of(config);
  // Who may write a SQLite store may read this machine's files anyway; a fleet's jobs come from elsewhere.
  out.inputs.local_files = config.local_files.value_or(config.store.starts_with("sqlite:"));
  return out;
}

// Without a sandbox what needs one is left to other workers.
void announce_sandbox(EngineOptions& options) {
  process::SandboxOptions wanted;
  wanted.unsafe_no_sandbox = options.process.unsafe_no_sandbox;
  const auto sandbox = process::Sandbox::find(wanted);
  options.runs_media = sandbox || sandbox.error().code != Code::kUnsupported;
  if (options.runs_media)
    options.worker.tags.emplace_back(kSandboxTag);
  else
    fmt::print(stderr,
               "spool: jobs that read media are left to other workers: {}; or --unsafe-no-sandbox, for files "
               "that you trust\n",
               sandbox.error().message);
}

Result<int> work(const Options& options, const Context& context) {
  SPOOL_ASSIGN(const Config config, configuration(options, context));
  DrainOnSignals signals;
  SPOOL_ASSIGN(const auto store, open_store(config, Open::kMake));
  SPOOL_ASSIGN(const std::shared_ptr<ObjectStore> objects, open_objects(config));
  EngineOptions engine_config = engine_options(config);
  announce_sandbox(engine_config);
  engine_config.worker.ask_objects = [objects] { return objects->answers(); };
  const int slots = engine_config.worker.slots;
  Engine engine(*store, *objects,
                make_kinds(config, {objects.get(), store.get(), [&] { return signals.came(); }}),
                std::move(engine_config));
  signals.watch(engine.worker(), [] {
    fmt::print(
        stderr,
        "spool: draining: what runs comes to its end, nothing more is claimed; the next signal stops it\n");
  });
  fmt::print(stderr, "spool: working on {} with {}; Ctrl-C lets running jobs end, a second one stops them\n",
             without_secret(config.store), counted(slots, "slot"));
  std::function<bool()> until;
  std::optional<LeftJobs> left;
  if (options.until_idle)
    until = [&] { return (left = left_when_idle(*store, engine.worker(), config.queues)).has_value(); };
  const auto ran = engine.worker().run(until);
  signals.watch_end([objects] { objects->interrupt(); });
  SPOOL_TRY(ran);
  if (const std::string words = in_words(left.value_or(LeftJobs{})); !words.empty())
    fmt::print(stderr, "spool: idle: {}\n", words);
  if (signals.came_twice()) engine.leave_if_deaf(kDone);
  return kDone;
}

Result<int> drain(const Options& options, const Context& context) {
  SPOOL_ASSIGN(const Config config, load_config(context));
  SPOOL_ASSIGN(const auto store, open_store(config, Open::kExisting));
  SPOOL_TRY(drain_workers(*store, options.drain));
  return kDone;
}

}  // namespace

void add_worker(CLI::App& app, Context& context) {
  CLI::App* command =
      app.add_subcommand("worker", "Run jobs of a store until told to stop (SIGTERM drains, twice stops)");
  const auto options = std::make_shared<Options>();
  command->add_option("--slots", options->slots, "How many jobs run at once; one a core unless given");
  command->add_option("--queue", options->queues, "Only jobs of this queue (repeatable)");
  command->add_option("--tag", options->tags, "What this worker has, for jobs that ask for it (repeatable)");
  command->add_flag("--until-idle", options->until_idle, "End when nothing is left that it could run now");
  command->add_flag("--unsafe-no-sandbox", options->unsafe_no_sandbox,
                    "Run media without a sandbox: only for files that you trust");
  CLI::Option* draining = command->add_option(
      "--drain", options->drain,
      "Instead: let this worker of the store end what it runs, and wait for that (HOST:PID, HOST or an id, "
      "as `spool workers` shows them; repeatable)");
  for (CLI::Option* option : command->get_options())
    if (option != draining && option != command->get_help_ptr()) draining->excludes(option);
  add_store_options(*command, context);
  command->callback([options, &context] {
    context.run = [options, &context] {
      return options->drain.empty() ? work(*options, context) : drain(*options, context);
    };
  });
}

}  // namespace spool
