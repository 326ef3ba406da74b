// Config: what an operator sets, from flags, the environment and a file, in this order of precedence.
//
// The file is spool.toml: the one named by --config or SPOOL_CONFIG (it must exist), else ./spool.toml if
// there is one. docs/cli.md lists the keys. Unknown keys, wrong types and wrong units are errors with line
// and column. Relative paths in the file mean relative to its folder; elsewhere, to the working folder. A
// plain value; load_config is thread-safe.
//
// Secrets (the password of a store's URL) are never part of a message: print a URL through without_secret().
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"

namespace spool {

// A command of the operator's that jobs of kind `exec` may run.
struct CommandConfig {
  std::vector<std::string> command;  // program and arguments; no shell
  std::map<std::string, std::string> environment;
  std::optional<Duration> timeout;
};

// What a worker forgets by itself of a queue's ended jobs: as `spool prune`. At least one of age and number
// is set.
struct RetentionConfig {
  std::optional<Duration> older_than;
  std::optional<std::int64_t> keep;
  bool with_outputs = false;
};

struct Config {
  std::string store = "sqlite:spool-data/spool.db";
  std::string objects = "spool-data/objects";
  std::filesystem::path ladders;    // folder of the operator's ladders; empty: none
  int slots = 0;                    // of a worker; 0: one a core
  std::vector<std::string> queues;  // empty: all
  std::vector<std::string> tags;
  bool unsafe_no_sandbox = false;
  std::optional<bool> local_files;  // a worker's: jobs may read "file:/..."; unset: where the store is SQLite
  std::map<std::string, CommandConfig> commands;
  std::map<std::string, RetentionConfig> retention;  // by queue; "*": each that is not named, for itself

  std::filesystem::path file;  // the file that was read; empty: none
  std::map<std::string, std::string>
      origins;  // of each key that was set: "--store", "SPOOL_STORE", "spool.toml:3"
};

struct ConfigSources {
  std::map<std::string, std::string> flags;  // by key: "store", "worker.slots"; lists are separated by commas
  std::optional<std::filesystem::path> file;  // --config
  std::filesystem::path folder = ".";         // where spool.toml is looked for
  // A variable of the environment; by default the process's own.
  std::function<std::optional<std::string>(const std::string& name)> environment;
};

// Errors: kInvalidArgument naming the place (file:line:column, variable or flag); kNotFound for a file that
// was asked for.
[[nodiscard]] Result<Config> load_config(const ConfigSources& sources);

// "postgres://user:secret@host/db" -> "postgres://user:***@host/db"; also of a text that ends with a URL, or
// is none for a mistake. Where it is not clear what is secret, more is left out.
[[nodiscard]] std::string without_secret(std::string_view url);

}  // namespace spool
