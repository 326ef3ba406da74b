#include "media/frame_rate.h"

#include <algorithm>
#include <cmath>
#include <numeric>

extern "C" {
#include <libavutil/rational.h>
}

namespace spool::media {
namespace {

constexpr double kJitterSeconds = 0.0011;  // a millisecond clock rounds, or cuts off, both ends
constexpr double kWholeSteps = 0.75;  // of all steps must be one frame; else the grid only happens to fit
constexpr double kSlowest = 0.2;
constexpr double kFastest = 300;

constexpr Ratio kStandardRates[] = {{24000, 1001}, {24, 1},       {25, 1},        {30000, 1001}, {30, 1},
                                    {50, 1},       {60000, 1001}, {60, 1},        {48, 1},       {15, 1},
                                    {10, 1},       {12, 1},       {25, 2},        {15, 2},       {20, 1},
                                    {5, 1},        {100, 1},      {120000, 1001}, {120, 1},      {1, 1},
                                    {48000, 1001}, {12000, 1001}, {15000, 1001}};

bool sensible(Ratio rate) {
  return rate.num > 0 && rate.den > 0 && rate.value() >= kSlowest && rate.value() <= kFastest;
}

// The position of each frame, when every one lies on the grid of this rate.
std::optional<FrameGrid> fit(std::span<const std::int64_t> pts, Ratio time_base, Ratio rate) {
  const long double period = static_cast<long double>(rate.den) * time_base.den /
                             (static_cast<long double>(rate.num) * time_base.num);  // in ticks
  const long double jitter = kJitterSeconds * time_base.den / time_base.num;
  const long double tolerance = std::min(std::max<long double>(1.01L, jitter), period / 4);
  FrameGrid grid{rate, {}};
  grid.position.reserve(pts.size());
  std::size_t whole_steps = 0;
  for (const std::int64_t t : pts) {
    const auto offset = static_cast<long double>(t - pts.front());
    const auto k = static_cast<std::int64_t>(std::llroundl(offset / period));
    if (std::abs(offset - static_cast<long double>(k) * period) > tolerance) return std::nullopt;
    if (!grid.position.empty()) {
      if (k <= grid.position.back()) return std::nullopt;
      if (k == grid.position.back() + 1) ++whole_steps;
    }
    grid.position.push_back(k);
  }
  if (static_cast<double>(whole_steps) < kWholeSteps * static_cast<double>(pts.size() - 1))
    return std::nullopt;
  return grid;
}

// All steps alike, to the tick: then the clock is finer than the rate, and the rate is what it says.
std::optional<Ratio> uniform_rate(std::span<const std::int64_t> pts, Ratio time_base) {
  const std::int64_t step = pts[1] - pts[0];
  for (std::size_t i = 2; i < pts.size(); ++i)
    if (pts[i] - pts[i - 1] != step) return std::nullopt;
  // A short clip in milliseconds may be uniform by chance (33, 33): leave it to the hints.
  if (pts.size() < 5 && step < 100) return std::nullopt;
  const std::int64_t num = time_base.den;
  const std::int64_t den = time_base.num * step;
  const std::int64_t divisor = std::gcd(num, den);
  return Ratio{num / divisor, den / divisor};
}

std::optional<Ratio> measured_rate(std::span<const std::int64_t> pts, Ratio time_base) {
  std::vector<std::int64_t> steps;
  for (std::size_t i = 1; i < pts.size(); ++i) steps.push_back(pts[i] - pts[i - 1]);
  std::nth_element(steps.begin(), steps.begin() + static_cast<std::ptrdiff_t>(steps.size() / 2), steps.end());
  const auto median = static_cast<double>(steps[steps.size() / 2]);
  const auto span = static_cast<double>(pts.back() - pts.front());
  const double frames = std::round(span / median);
  if (frames < 1) return std::nullopt;
  const double rate =
      frames * static_cast<double>(time_base.den) / (span * static_cast<double>(time_base.num));
  const AVRational near = av_d2q(rate, 100000);
  return Ratio{near.num, near.den};
}

}  // namespace

std::optional<FrameGrid> frame_grid(std::span<const std::int64_t> pts, Ratio time_base,
                                    std::span<const Ratio> hints) {
  if (pts.size() < 2 || time_base.num <= 0 || time_base.den <= 0) return std::nullopt;
  std::vector<Ratio> candidates;
  if (const auto uniform = uniform_rate(pts, time_base)) candidates.push_back(*uniform);
  candidates.insert(candidates.end(), hints.begin(), hints.end());
  candidates.insert(candidates.end(), std::begin(kStandardRates), std::end(kStandardRates));
  if (const auto measured = measured_rate(pts, time_base)) candidates.push_back(*measured);
  for (const Ratio rate : candidates) {
    if (!sensible(rate) || exact_timescale(rate) > 100'000'000) continue;
    if (auto grid = fit(pts, time_base, rate)) return grid;
  }
  return std::nullopt;
}

std::int64_t exact_timescale(Ratio rate) {
  constexpr std::int64_t kFinest = 90000;
  const std::int64_t divisor = std::gcd(rate.num, rate.den);
  const std::int64_t num = rate.num / divisor;
  if (kFinest * (rate.den / divisor) % num == 0) return kFinest;
  return num * ((kFinest + num - 1) / num);
}

}  // namespace spool::media
