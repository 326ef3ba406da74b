// Context: what the subcommands share: the flags that all know, and how a run ends.
//
// A subcommand is a file with one `void add_NAME(CLI::App&, Context&)`, listed in main.cpp. It declares its
// options and, in the subcommand's callback, sets Context::run; main calls that once everything has been
// parsed. Plain value, one thread.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

#include "base/error.h"
#include "base/json.h"

namespace spool {

// The exit codes of the program (docs/cli.md).
inline constexpr int kDone = 0;
inline constexpr int kJobFailed = 1;
inline constexpr int kWrongUsage = 2;
inline constexpr int kSystemFailed = 3;

struct Context {
  bool json = false;                 // --json: exactly one JSON document (or one a line) on stdout
  std::string store;                 // --store; empty: not given
  std::string objects;               // --objects
  std::string config_file;           // --config
  std::function<Result<int>()> run;  // an exit code, or an error that main prints
};

// What the flag means is the same everywhere, so it is declared here.
void add_json_flag(CLI::App& command, Context& context);
void add_config_option(CLI::App& command, Context& context);
// --store, --objects and --config.
void add_store_options(CLI::App& command, Context& context);

// What a command that ends with this error exits with.
[[nodiscard]] int exit_code(const Error& error);
// "spool: what, where, what to do" on stderr; with --json also {"error": {"code", "message"}} on stdout.
void print_error(const Error& error, const Context& context);
// One JSON document and a line break on stdout.
void print_json(const Json& value);

}  // namespace spool
