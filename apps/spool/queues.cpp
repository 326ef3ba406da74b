// spool queues: what waits and runs in each; pause, resume, clear.
#include <fmt/format.h>

#include "commands.h"
#include "fleet_view.h"
#include "parts.h"

namespace spool {
namespace {

constexpr int kPiece = 500;  // so that leases are renewed beside it

Result<int> list(const Context& context) {
  SPOOL_ASSIGN(const Config config, load_config(context));
  SPOOL_ASSIGN(const auto store, open_store(config, Open::kExisting));
  SPOOL_ASSIGN(const std::vector<QueueCounts> queues, store->counts());
  if (context.json) {
    Json all = Json::array();
    for (const QueueCounts& queue : queues) all.push_back(queue_json(queue));
    print_json({{"queues", std::move(all)}});
    return kDone;
  }
  SPOOL_ASSIGN(const std::vector<LimitUse> uses, store->limits());
  SPOOL_ASSIGN(const Time now, store->now());
  std::vector<Limit> limits;
  for (const LimitUse& use : uses) limits.push_back(use.limit);
  fmt::print("{}", render_queues(queues, LimitBook(std::move(limits)), now));
  if (queues.empty()) fmt::print(stderr, "spool: no queues\n");
  return kDone;
}

Result<int> clear(Store& store, const std::string& queue) {
  int cancelled = 0;
  for (int piece = kPiece; piece >= kPiece; cancelled += piece) {
    SPOOL_ASSIGN(piece, store.clear_queue(queue, kPiece));
  }
  return cancelled;
}

enum class Change { kPause, kResume, kClear };

Result<int> change(Change what, const std::string& queue, const Context& context) {
  SPOOL_ASSIGN(const Config config, load_config(context));
  SPOOL_ASSIGN(const auto store, open_store(config, Open::kMake));
  Json report = {{"queue", queue}};
  std::string done;
  if (what == Change::kClear) {
    SPOOL_ASSIGN(const int cancelled, clear(*store, queue));
    report["cancelled"] = cancelled;
    done = fmt::format("cancelled {} of {}", cancelled, queue);
  } else {
    const bool pause = what == Change::kPause;
    SPOOL_TRY(pause ? store->pause_queue(queue) : store->resume_queue(queue));
    report["paused"] = pause;
    done = fmt::format("{} {}", pause ? "paused" : "resumed", queue);
  }
  if (context.json)
    print_json(report);
  else
    fmt::print("{}\n", done);
  return kDone;
}

void add_queue_change(CLI::App& queues, Context& context, const char* name, const char* summary,
                      Change what) {
  CLI::App* command = queues.add_subcommand(name, summary);
  const auto queue = std::make_shared<std::string>();
  command->add_option("queue", *queue, "The queue")->required()->type_name("NAME");
  add_store_options(*command, context);
  add_json_flag(*command, context);
  command->callback([what, queue, &context] {
    context.run = [what, queue, &context] { return change(what, *queue, context); };
  });
}

}  // namespace

void add_queues(CLI::App& app, Context& context) {
  CLI::App* command =
      app.add_subcommand("queues", "Show what waits and runs in each queue; pause, resume, clear");
  command->require_subcommand(0, 1);
  add_store_options(*command, context);
  add_json_flag(*command, context);
  command->callback([command, &context] {
    if (command->get_subcommands().empty()) context.run = [&context] { return list(context); };
  });
  add_queue_change(*command, context, "pause", "Claim nothing of it; what runs goes on", Change::kPause);
  add_queue_change(*command, context, "resume", "Claim its jobs again", Change::kResume);
  add_queue_change(*command, context, "clear", "Cancel what has not begun; what has goes on", Change::kClear);
}

}  // namespace spool
