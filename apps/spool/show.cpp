// spool show ID, spool show FOLDER: a job's tree.
#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>

#include "commands.h"
#include "job_view.h"
#include "output_folder.h"
#include "parts.h"
#include "terminal.h"

namespace spool {
namespace {

// The job of the folder that `spool transcode -o` made.
Result<Uuid> folders_job(Store& store, const std::string& folder) {
  JobFilter filter;
  filter.roots_only = true;
  filter.most = 1;
  SPOOL_ASSIGN(const std::vector<Job> jobs, store.list(filter));
  if (jobs.empty()) return fail(Code::kNotFound, fmt::format("{}: there is no job here", folder));
  return jobs.front().id;
}

Result<int> show(const std::string& what, bool all, const Context& context) {
  SPOOL_ASSIGN(Config config, load_config(context));
  const std::filesystem::path database = OutputFolder::database(what);
  std::error_code ignored;
  const bool is_folder = std::filesystem::exists(database, ignored);
  if (is_folder) config.store = "sqlite:" + database.string();
  SPOOL_ASSIGN(const auto store, open_store(config, Open::kExisting));
  SPOOL_ASSIGN(const Uuid id, is_folder ? folders_job(*store, what) : find_job(*store, what));
  SPOOL_ASSIGN(const std::vector<Job> tree, read_tree(*store, id));
  if (context.json) {
    print_json(tree_json(tree, id));
    return kDone;
  }
  SPOOL_ASSIGN(const Time now, store->now());
  const Terminal terminal = Terminal::of(STDOUT_FILENO);
  // A pipe has no width: a program or a pager gets lines of a usual one.
  const int width = terminal.is_terminal ? terminal.width : 120;
  fmt::print("{}",
             render_tree(tree, id, {.width = width, .colour = terminal.colour, .all = all, .now = now}));
  return kDone;
}

}  // namespace

void add_show(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("show", "Draw a job's tree with states, times, attempts and errors");
  const auto id = std::make_shared<std::string>();
  const auto all = std::make_shared<bool>(false);
  command
      ->add_option("id", *id, "The job, or the beginning of its id; or the folder of a `spool transcode -o`")
      ->required()
      ->type_name("ID|FOLDER");
  command->add_flag("--all", *all, "List every child, also the many that went well");
  add_store_options(*command, context);
  add_json_flag(*command, context);
  command->callback(
      [id, all, &context] { context.run = [id, all, &context] { return show(*id, *all, context); }; });
}

}  // namespace spool
