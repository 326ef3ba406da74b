// Following a job to its end; and reading the documents that commands are given.
#pragma once

#include "context.h"
#include "queue/store.h"

namespace spool {

// Shows the live display on stderr until the job has ended, then its result on stdout. The exit code says how
// it ended.
[[nodiscard]] Result<int> watch_job(Store& store, Uuid id, const Context& context);

// A file's text, or stdin's for "-".
[[nodiscard]] Result<std::string> read_document(const std::string& path);

}  // namespace spool
