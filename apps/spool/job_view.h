// Jobs as people and programs see them: the JSON of --json, the tree of `spool show`, the table of `spool
// jobs`. Pure functions.
#pragma once

#include <span>
#include <string>

#include "base/json.h"
#include "queue/job.h"

namespace spool {

// The shape that docs/cli.md describes; times RFC 3339, durations in seconds.
[[nodiscard]] Json job_json(const Job& job);
// The job with its "children" below it, in order of insertion. `jobs` holds `top` and all below it.
[[nodiscard]] Json tree_json(std::span<const Job> jobs, Uuid top);

struct TreeView {
  int width = 80;
  bool colour = false;
  bool all = false;  // also the many of a kind that went well, which are otherwise counted
  Time now{};        // by the store's clock: for what still runs
};
// Box-drawn, aligned, no line wider than `width`; line breaks at every end.
[[nodiscard]] std::string render_tree(std::span<const Job> jobs, Uuid top, const TreeView& view);

struct TableView {
  int width = 80;
  bool colour = false;
  Time now{};
};
[[nodiscard]] std::string render_table(std::span<const Job> jobs, const TableView& view);

}  // namespace spool
