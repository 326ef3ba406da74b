// The subcommands; each is defined in the file of its name.
#pragma once

#include "context.h"

namespace spool {

void add_version(CLI::App& app, Context& context);

}  // namespace spool
