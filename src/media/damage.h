// Damage: where the source was damaged, as the result names it. Plain values.
#pragma once

#include <cstdint>
#include <vector>

namespace spool::media {

// A stretch of the film that the source did not have, or had damaged. Ticks; half-open.
struct Damage {
  std::int64_t from = 0;
  std::int64_t to = 0;
  std::int64_t frames = 0;
  bool operator==(const Damage&) const = default;
};

// One frame more, of [from, to): frames that follow each other are one stretch.
inline void add_damaged_frame(std::vector<Damage>& damage, std::int64_t from, std::int64_t to) {
  if (damage.empty() || damage.back().to != from) damage.push_back({from, from, 0});
  damage.back().to = to;
  ++damage.back().frames;
}

}  // namespace spool::media
