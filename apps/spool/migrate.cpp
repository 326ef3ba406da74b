// spool migrate: brings the schema of a PostgreSQL store up to date, beside workers that run.
#include <fmt/format.h>

#include "commands.h"
#include "parts.h"
#include "store_postgres/postgres_store.h"

namespace spool {
namespace {

Result<int> migrate(const Context& context) {
  SPOOL_ASSIGN(const Config config, load_config(context));
  if (!is_postgres(config.store))
    return fail(Code::kUnsupported,
                fmt::format("{}: only a PostgreSQL store is migrated by hand, a file by whoever opens it",
                            without_secret(config.store)));
  SPOOL_ASSIGN(const int version, migrate_postgres(config.store));
  if (context.json)
    print_json({{"schema", version}});
  else
    fmt::print("{}: the schema is version {}\n", without_secret(config.store), version);
  return kDone;
}

}  // namespace

void add_migrate(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("migrate", "Bring the schema of a PostgreSQL store up to date");
  add_json_flag(*command, context);
  add_store_options(*command, context);
  command->callback([&context] { context.run = [&context] { return migrate(context); }; });
}

}  // namespace spool
