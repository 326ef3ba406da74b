#include "queue/retry.h"

#include <algorithm>
#include <cmath>

namespace spool {

Duration back_off(int attempt, double random, const RetryPolicy& policy) {
  const int doublings = std::clamp(attempt - 1, 0, 40);
  const double plain = std::min(std::ldexp(static_cast<double>(policy.first.count()), doublings),
                                static_cast<double>(policy.most.count()));
  const double factor = 1 + policy.jitter * (2 * std::clamp(random, 0.0, 1.0) - 1);
  return Duration(static_cast<Duration::rep>(plain * factor));
}

}  // namespace spool
