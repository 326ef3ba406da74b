// Rational times: seconds only at the edge. Pure.
#pragma once

#include <cstdint>
#include <optional>

extern "C" {
#include <libavutil/avutil.h>
#include <libavutil/mathematics.h>
#include <libavutil/rational.h>
}

namespace spool::av {

// AV_NOPTS_VALUE, a time base of zero and nonsense give nullopt: what a file claims is never divided by.
[[nodiscard]] inline std::optional<double> seconds(std::int64_t ticks, AVRational time_base) {
  if (ticks == AV_NOPTS_VALUE || time_base.num <= 0 || time_base.den <= 0) return std::nullopt;
  return static_cast<double>(ticks) * time_base.num / time_base.den;
}

// The nearest tick. `time_base` must be positive; saturates where the product would not fit.
[[nodiscard]] inline std::int64_t ticks_of(double at_seconds, AVRational time_base) {
  const double ticks = at_seconds * time_base.den / time_base.num;
  if (!(ticks > -9.0e18)) return INT64_MIN + 1;
  if (!(ticks < 9.0e18)) return INT64_MAX;
  return static_cast<std::int64_t>(ticks + (ticks < 0 ? -0.5 : 0.5));
}

[[nodiscard]] inline bool positive(AVRational value) {
  return value.num > 0 && value.den > 0;
}

}  // namespace spool::av
