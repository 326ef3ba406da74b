// When the next attempt begins after one that failed. Pure: the caller brings the random number.
#pragma once

#include "base/clock.h"

namespace spool {

struct RetryPolicy {
  Duration first = std::chrono::seconds(2);
  Duration most = std::chrono::minutes(10);
  double jitter = 0.25;  // a quarter up or down, so that what failed together does not come back together
};

// `attempt` is the number of the attempt that failed, from 1; `random` is in [0, 1). Doubles from attempt to
// attempt. Never negative, never above most * (1 + jitter).
[[nodiscard]] Duration back_off(int attempt, double random, const RetryPolicy& policy = {});

}  // namespace spool
