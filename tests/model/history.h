// One random history: operations through several handles on the same data, each held against the reference
// model.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "queue/store.h"

namespace spool::model {

struct HistoryOptions {
  unsigned seed = 1;
  int steps = 2000;
  int handles = 3;
  std::function<std::unique_ptr<Store>()> open;
};

// Empty when store and model agreed to the end; else what differed, and where.
[[nodiscard]] std::string run_history(const HistoryOptions& options);

}  // namespace spool::model
