// spool watch ID: follows a job to its end.
#include "watch.h"

#include <fmt/format.h>

#include <iostream>
#include <thread>

#include "base/file.h"
#include "commands.h"
#include "job_view.h"
#include "live_display.h"
#include "parts.h"
#include "patience.h"
#include "pipeline/located_json.h"
#include "terminal.h"

namespace spool {
namespace {

constexpr auto kBetweenLooks = std::chrono::milliseconds(250);

Result<int> report(const std::vector<Job>& tree, Uuid id, Time now, const Context& context) {
  const Job* job = nullptr;
  for (const Job& one : tree)
    if (one.id == id) job = &one;
  if (job == nullptr) return fail(Code::kNotFound, fmt::format("the job {} was removed", id.text()));
  if (context.json)
    print_json(tree_json(tree, id));
  else if (job->state == State::kSucceeded)
    fmt::print("{}\n", job->result.dump(2, ' ', false, Json::error_handler_t::replace));
  if (job->state == State::kSucceeded) return kDone;
  const Terminal terminal = Terminal::of(2);
  fmt::print(stderr, "{}",
             render_tree(tree, id, {.width = terminal.width, .colour = terminal.colour, .now = now}));
  return kJobFailed;
}

}  // namespace

Result<int> watch_job(Store& store, Uuid id, const Context& context) {
  const auto began = BootClock::now();
  LiveDisplay display;
  TreeWatch watch;
  const auto say = [&](const std::string& line) { display.say(line); };
  for (;;) {
    SPOOL_ASSIGN(const std::vector<Job> tree, patiently([&] { return read_tree(store, id); }, say));
    const auto elapsed = std::chrono::duration_cast<Duration>(BootClock::now() - began);
    display.show(watch.look(tree, id, elapsed));
    for (const Job& job : tree) {
      if (job.id != id || !ended(job.state)) continue;
      display.clear();
      SPOOL_ASSIGN(const Time now, patiently([&] { return store.now(); }, say));
      return report(tree, id, now, context);
    }
    // Not Store::wait(): it is for workers, and a look more costs little.
    std::this_thread::sleep_for(kBetweenLooks);
  }
}

Result<std::string> read_document(const std::string& path) {
  if (path != "-") return read_file(path, pipeline::kMostDocumentBytes);
  std::string text;
  char buffer[4096];
  while (text.size() <= pipeline::kMostDocumentBytes && std::cin.read(buffer, sizeof buffer).gcount() > 0)
    text.append(buffer, static_cast<std::size_t>(std::cin.gcount()));
  return text;
}

void add_watch(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("watch", "Follow a job to its end");
  const auto id = std::make_shared<std::string>();
  command->add_option("id", *id, "The job, or the beginning of its id")->required()->type_name("ID");
  add_store_options(*command, context);
  add_json_flag(*command, context);
  command->callback([id, &context] {
    context.run = [id, &context]() -> Result<int> {
      SPOOL_ASSIGN(const Config config, load_config(context));
      SPOOL_ASSIGN(const auto store, open_store(config, Open::kExisting));
      SPOOL_ASSIGN(const Uuid job, find_job(*store, *id));
      return watch_job(*store, job, context);
    };
  });
}

}  // namespace spool
