// spool start, cancel, retry, rm: one change to jobs that exist. The four differ only in what they call.
#include <fmt/format.h>

#include "commands.h"
#include "parts.h"

namespace spool {
namespace {

struct Change {
  const char* name;
  const char* summary;
  const char* done;
  Result<void> (Store::*call)(Uuid);
};
constexpr Change kStart{"start", "Let held jobs run", "started", &Store::start};
constexpr Change kCancel{"cancel", "Cancel jobs and all below them", "cancelled", &Store::cancel};
constexpr Change kRetry{"retry", "Open failed or cancelled jobs again; finished work is kept", "opened again",
                        &Store::retry};
constexpr Change kRemove{
    "rm",
    "Remove jobs and what they made, but for a destination of your choice; what runs is cancelled first",
    "removed", &Store::remove};

// Each job stands alone: one that cannot be changed does not keep the others from it.
Result<int> change(const Change& what, const std::vector<std::string>& ids, const Context& context) {
  SPOOL_ASSIGN(const Config config, load_config(context));
  SPOOL_ASSIGN(const auto store, open_store(config, Open::kExisting));
  Json report = Json::array();
  int code = kDone;
  for (const std::string& text : ids) {
    const Result<Uuid> id = find_job(*store, text);
    const Result<void> result = id ? ((*store).*what.call)(*id) : Result<void>(fail(id.error()));
    Json entry = {{"id", id ? id->text() : text}, {"ok", result.has_value()}};
    if (result) {
      if (!context.json) fmt::print("{} {}\n", what.done, id->text());
    } else {
      entry["error"] = {{"code", name(result.error().code)}, {"message", result.error().message}};
      fmt::print(stderr, "spool: {}: {}\n", text, result.error().message);
      code = std::max(code, exit_code(result.error()));
    }
    report.push_back(std::move(entry));
  }
  if (context.json) print_json({{"jobs", std::move(report)}});
  return code;
}

void add_change(const Change& what, CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand(what.name, what.summary);
  const auto ids = std::make_shared<std::vector<std::string>>();
  command->add_option("id", *ids, "Jobs, or the beginnings of their ids")->required()->type_name("ID");
  add_store_options(*command, context);
  add_json_flag(*command, context);
  command->callback([&what, ids, &context] {
    context.run = [&what, ids, &context] { return change(what, *ids, context); };
  });
}

}  // namespace

void add_start(CLI::App& app, Context& context) {
  add_change(kStart, app, context);
}
void add_cancel(CLI::App& app, Context& context) {
  add_change(kCancel, app, context);
}
void add_retry(CLI::App& app, Context& context) {
  add_change(kRetry, app, context);
}
void add_rm(CLI::App& app, Context& context) {
  add_change(kRemove, app, context);
}

}  // namespace spool
