// What a job is asked for by on the command line: the kind or document, its parameters, and the settings of
// the job. Shared by spool submit and spool schedule add.
#pragma once

#include "parts.h"

namespace spool {

struct JobOptions {
  std::string what, input, name, queue = "default", unique_key, limit_key, args, delay, timeout, deadline,
                                 owner;
  std::vector<std::string> parameters, labels, tags;
  int priority = 0, slots = 1, attempts = 3;
};

void add_job_options(CLI::App& command, JobOptions& options);

// Checked against its kind, or planned from its document; nothing is stored. Errors: kInvalidArgument.
[[nodiscard]] Result<NewJob> plan_job(const JobOptions& options, const Config& config);

// "10s", "5m" of a flag; nullopt when it was not given. Errors: kInvalidArgument, naming the flag.
[[nodiscard]] Result<std::optional<Duration>> duration_flag(const char* flag, const std::string& text);

}  // namespace spool
