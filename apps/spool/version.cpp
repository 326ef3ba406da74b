// spool version: which build this is.
#include <fmt/format.h>

#include "commands.h"

namespace spool {

void add_version(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("version", "Print the version");
  add_json_flag(*command, context);
  command->callback([&context] {
    context.run = [&context]() -> Result<int> {
      if (context.json)
        print_json({{"version", SPOOL_VERSION}});
      else
        fmt::print("spool {}\n", SPOOL_VERSION);
      return kDone;
    };
  });
}

}  // namespace spool
