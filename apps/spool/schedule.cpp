// spool schedule add, list, remove, pause, resume: jobs that come again and again.
#include <fmt/format.h>

#include "commands.h"
#include "fleet_view.h"
#include "new_job.h"
#include "queue/cron.h"
#include "terminal.h"

namespace spool {
namespace {

struct Options : JobOptions {
  std::string schedule, cron, zone = "UTC", missed = "run-once";
};

Missed missed_of(const std::string& text) {
  for (const Missed missed : {Missed::kSkip, Missed::kRunAll})
    if (text == name(missed)) return missed;
  return Missed::kRunOnce;
}

Result<int> add(const Options& options, const Context& context) {
  Schedule schedule;
  schedule.name = options.schedule;
  schedule.cron = options.cron;
  schedule.zone = options.zone;
  schedule.missed = missed_of(options.missed);
  SPOOL_ASSIGN(const Cron cron, parse_cron(options.cron));
  SPOOL_TRY(check_zone(options.zone));
  SPOOL_ASSIGN(const Config config, load_config(context));
  SPOOL_ASSIGN(schedule.job, plan_job(options, config));
  SPOOL_ASSIGN(const auto store, open_store(config, Open::kMake));
  SPOOL_ASSIGN(const Time now, store->now());
  SPOOL_ASSIGN(schedule.next, next_tick(cron, options.zone, now));
  SPOOL_TRY(store->put_schedule(schedule));
  if (context.json)
    print_json(schedule_json(schedule));
  else
    fmt::print("{}: next {}\n", schedule.name, rfc3339(schedule.next));
  return kDone;
}

Result<int> list(const Context& context) {
  SPOOL_ASSIGN(const Config config, load_config(context));
  SPOOL_ASSIGN(const auto store, open_store(config, Open::kExisting));
  SPOOL_ASSIGN(const std::vector<Schedule> schedules, store->schedules());
  SPOOL_ASSIGN(const Time now, store->now());
  if (context.json) {
    Json all = Json::array();
    for (const Schedule& schedule : schedules) all.push_back(schedule_json(schedule));
    print_json({{"schedules", std::move(all)}});
    return kDone;
  }
  fmt::print("{}", render_schedules(schedules, now));
  if (schedules.empty()) fmt::print(stderr, "spool: no schedules\n");
  return kDone;
}

struct Change {
  const char* name;
  const char* summary;
  const char* done;
  Result<void> (*call)(Store&, const std::string&);
};
constexpr Change kChanges[] = {
    {"remove", "Remove a schedule; its jobs stay", "removed",
     [](Store& store, const std::string& name) { return store.remove_schedule(name); }},
    {"pause", "Let its ticks pass", "paused",
     [](Store& store, const std::string& name) { return store.pause_schedule(name, true); }},
    {"resume", "From its next tick on", "resumed",
     [](Store& store, const std::string& name) { return store.pause_schedule(name, false); }},
};

Result<int> change(const Change& what, const std::string& schedule, const Context& context) {
  SPOOL_ASSIGN(const Config config, load_config(context));
  SPOOL_ASSIGN(const auto store, open_store(config, Open::kExisting));
  SPOOL_TRY(what.call(*store, schedule));
  if (context.json)
    print_json({{"schedule", schedule}, {"done", what.done}});
  else
    fmt::print("{} {}\n", what.done, schedule);
  return kDone;
}

void add_adding(CLI::App& schedules, Context& context) {
  CLI::App* command = schedules.add_subcommand("add", "Add a schedule, or replace the one of that name");
  const auto options = std::make_shared<Options>();
  command->add_option("schedule", options->schedule, "Its name")->required()->type_name("SCHEDULE");
  add_job_options(*command, *options);
  command
      ->add_option("--cron", options->cron,
                   "When: minute, hour, day of the month, month, day of the week; or @daily and the like")
      ->required();
  command->add_option("--tz", options->zone, "The time zone, as Europe/Berlin")->capture_default_str();
  command->add_option("--missed", options->missed, "What becomes of ticks at which no worker was there")
      ->capture_default_str()
      ->check(CLI::IsMember({"run-once", "skip", "run-all"}));
  add_store_options(*command, context);
  add_json_flag(*command, context);
  command->callback(
      [options, &context] { context.run = [options, &context] { return add(*options, context); }; });
}

}  // namespace

void add_schedule(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("schedule", "Jobs that come again and again, by cron expressions");
  command->require_subcommand(1);
  add_adding(*command, context);
  CLI::App* listing = command->add_subcommand("list", "Show schedules and their next ticks");
  listing->callback([&context] { context.run = [&context] { return list(context); }; });
  add_store_options(*listing, context);
  add_json_flag(*listing, context);
  for (const Change& what : kChanges) {
    CLI::App* changing = command->add_subcommand(what.name, what.summary);
    const auto schedule = std::make_shared<std::string>();
    changing->add_option("schedule", *schedule, "Its name")->required()->type_name("SCHEDULE");
    add_store_options(*changing, context);
    add_json_flag(*changing, context);
    changing->callback([&what, schedule, &context] {
      context.run = [&what, schedule, &context] { return change(what, *schedule, context); };
    });
  }
}

}  // namespace spool
