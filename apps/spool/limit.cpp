// spool limit set, list, rm: how many jobs of a queue or key run at once, and how many start in a time.
#include <fmt/format.h>

#include "commands.h"
#include "fleet_view.h"
#include "parts.h"

namespace spool {
namespace {

struct Options {
  std::string queue, key, rate;
  int concurrency = -1, burst = 1;
};

// Which one is meant: CLI11 has seen to it that one of them was given.
Limit named(const Options& options) {
  Limit limit;
  limit.scope = options.queue.empty() ? LimitScope::kKey : LimitScope::kQueue;
  limit.name = options.queue.empty() ? options.key : options.queue;
  return limit;
}

Result<int> set(const Options& options, const Context& context) {
  Limit limit = named(options);
  if (options.concurrency >= 0) limit.concurrency = options.concurrency;
  if (!options.rate.empty()) {
    SPOOL_ASSIGN(limit.rate, parse_rate(options.rate));
    limit.rate->burst = options.burst;
  }
  SPOOL_ASSIGN(const Config config, load_config(context));
  SPOOL_ASSIGN(const auto store, open_store(config, Open::kMake));
  SPOOL_TRY(store->set_limit(limit));
  if (context.json)
    print_json(limit_json({limit, 0, 0}));
  else
    fmt::print("{}: {}\n", limit.name, rule_text(limit));
  return kDone;
}

Result<int> remove(const Options& options, const Context& context) {
  SPOOL_ASSIGN(const Config config, load_config(context));
  SPOOL_ASSIGN(const auto store, open_store(config, Open::kExisting));
  const Limit limit = named(options);
  SPOOL_TRY(store->remove_limit(limit.scope, limit.name));
  if (context.json)
    print_json({{"removed", limit.name}});
  else
    fmt::print("removed the limit for {}\n", limit.name);
  return kDone;
}

Result<int> list(const Context& context) {
  SPOOL_ASSIGN(const Config config, load_config(context));
  SPOOL_ASSIGN(const auto store, open_store(config, Open::kExisting));
  SPOOL_ASSIGN(const std::vector<LimitUse> limits, store->limits());
  if (context.json) {
    Json all = Json::array();
    for (const LimitUse& limit : limits) all.push_back(limit_json(limit));
    print_json({{"limits", std::move(all)}});
    return kDone;
  }
  fmt::print("{}", render_limits(limits));
  if (limits.empty()) fmt::print(stderr, "spool: no limits\n");
  return kDone;
}

void add_name(CLI::App& command, Options& options) {
  CLI::Option_group* one = command.add_option_group("for", "Of what");
  one->add_option("--queue", options.queue, "A queue; with * at its end each that begins so");
  one->add_option("--key", options.key, "A limit key; with * at its end each that begins so");
  one->require_option(1);
}

}  // namespace

void add_limit(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("limit", "Limit how many jobs of a queue or key run, or start");
  command->require_subcommand(1);
  const auto options = std::make_shared<Options>();
  const auto run_with = [options, &context](auto call) {
    return [options, &context, call] {
      context.run = [options, &context, call] { return call(*options, context); };
    };
  };

  CLI::App* setting = command->add_subcommand("set", "Set a limit, or change it");
  add_name(*setting, *options);
  setting->add_option("--concurrency", options->concurrency, "How many run at once")
      ->check(CLI::Range(0, 1'000'000));
  CLI::Option* rate = setting->add_option("--rate", options->rate, "How many start in a time: 10/1m");
  setting->add_option("--burst", options->burst, "How many of them at once after a pause")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000'000))
      ->needs(rate);
  setting->callback(run_with(set));

  CLI::App* listing = command->add_subcommand("list", "Show limits, and what holds their places");
  listing->callback(run_with([](const Options&, const Context& c) { return list(c); }));

  CLI::App* removing = command->add_subcommand("rm", "Remove a limit");
  add_name(*removing, *options);
  removing->callback(run_with(remove));

  for (CLI::App* one : {setting, listing, removing}) {
    add_store_options(*one, context);
    add_json_flag(*one, context);
  }
}

}  // namespace spool
