#include "context.h"

#include <fmt/format.h>

#include <cstdio>

namespace spool {

void add_json_flag(CLI::App& command, Context& context) {
  command.add_flag("--json", context.json, "Print JSON on stdout, for programs");
}

void add_config_option(CLI::App& command, Context& context) {
  command.add_option("--config", context.config_file,
                     "Configuration file (or SPOOL_CONFIG; ./spool.toml if it exists)");
}

void add_store_options(CLI::App& command, Context& context) {
  command.add_option("--store", context.store,
                     "Where jobs are kept: sqlite:PATH or postgres://USER@HOST/DATABASE (or SPOOL_STORE, or "
                     "spool.toml)");
  command.add_option("--objects", context.objects,
                     "Where files are kept: a folder or s3://BUCKET (or SPOOL_OBJECTS, or spool.toml)");
  add_config_option(command, context);
}

int exit_code(const Error& error) {
  switch (error.code) {
    case Code::kInvalidArgument:
    case Code::kNotFound:
    case Code::kConflict:
    case Code::kUnsupported:
    case Code::kLimitExceeded:
    case Code::kPermissionDenied:
      return kWrongUsage;
    case Code::kCorruptInput:
    case Code::kCancelled:
      return kJobFailed;
    default:
      return kSystemFailed;
  }
}

void print_error(const Error& error, const Context& context) {
  if (context.json) print_json({{"error", {{"code", name(error.code)}, {"message", error.message}}}});
  fmt::print(stderr, "spool: {}\n", error.message);
}

void print_json(const Json& value) {
  fmt::print("{}\n", to_text(value));
  std::fflush(stdout);
}

}  // namespace spool
