// spool workers: who lives, and what they run.
#include <fmt/format.h>

#include "commands.h"
#include "fleet_view.h"
#include "parts.h"

namespace spool {
namespace {

Result<int> workers(const Context& context) {
  SPOOL_ASSIGN(const Config config, load_config(context));
  SPOOL_ASSIGN(const auto store, open_store(config, Open::kExisting));
  SPOOL_ASSIGN(const std::vector<SessionInfo> sessions, store->sessions());
  SPOOL_ASSIGN(const Time now, store->now());
  if (context.json) {
    Json all = Json::array();
    for (const SessionInfo& session : sessions) all.push_back(worker_json(session));
    print_json({{"workers", std::move(all)}});
    return kDone;
  }
  fmt::print("{}", render_workers(sessions, now));
  if (sessions.empty()) fmt::print(stderr, "spool: no workers\n");
  return kDone;
}

}  // namespace

void add_workers(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("workers", "Show who works on the store, and what they run");
  add_store_options(*command, context);
  add_json_flag(*command, context);
  command->callback([&context] { context.run = [&context] { return workers(context); }; });
}

}  // namespace spool
