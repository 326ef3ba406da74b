#include "executors/process/child_pool.h"

#include <algorithm>

namespace spool::process {

Slot& ChildPool::add(std::unique_ptr<Child> child, Clock::time_point now) {
  const Child* key = child.get();
  Slot& slot = slots_[key];
  slot.child = std::move(child);
  slot.since = slot.look_at = now;
  return slot;
}

void ChildPool::remove(const Child& child) {
  slots_.erase(&child);
}

Slot* ChildPool::find(const Child& child) {
  const auto it = slots_.find(&child);
  return it == slots_.end() ? nullptr : &it->second;
}

Slot* ChildPool::find_attempt(std::uint64_t serial) {
  for (auto& [child, slot] : slots_)
    if (slot.run && slot.serial == serial) return &slot;
  return nullptr;
}

Slot* ChildPool::choose(const Tree& tree) {
  Slot* found = nullptr;
  for (auto& [child, slot] : slots_) {
    if (slot.closed_at || slot.retired) continue;
    if (slot.idle() && slot.tree == tree) return &slot;
    if (slot.spare() && (found == nullptr || (slot.ready && !found->ready))) found = &slot;
  }
  return found;
}

int ChildPool::missing_spares() const {
  const auto spares =
      std::count_if(slots_.begin(), slots_.end(), [](const auto& each) { return each.second.spare(); });
  // One starts at a time: two would share a core that the first job waits for.
  const bool starting = std::any_of(slots_.begin(), slots_.end(), [](const auto& each) {
    return !each.second.ready && !each.second.retired;
  });
  if (starting) return 0;
  return std::min(options_.spare_children - static_cast<int>(spares),
                  options_.most_with_spares - static_cast<int>(slots_.size()));
}

std::vector<Slot*> ChildPool::spent(Clock::time_point now) {
  std::vector<Slot*> idle;
  for (auto& [child, slot] : slots_)
    if (slot.idle()) idle.push_back(&slot);
  // The oldest go first when there are too many.
  std::sort(idle.begin(), idle.end(), [](const Slot* a, const Slot* b) { return a->since > b->since; });
  const auto keeps = [&, kept = 0](const Slot* slot) mutable {
    return now - slot->since < options_.idle_timeout && ++kept <= options_.most_idle;
  };
  std::erase_if(idle, keeps);
  return idle;
}

std::optional<Clock::time_point> ChildPool::next_spent() const {
  std::optional<Clock::time_point> next;
  for (const auto& [child, slot] : slots_)
    if (slot.idle()) {
      const auto at = slot.since + std::chrono::duration_cast<Clock::duration>(options_.idle_timeout);
      next = next ? std::min(*next, at) : at;
    }
  return next;
}

bool ChildPool::worn(const Slot& slot, const std::optional<ProcessStats>& stats) const {
  return slot.attempts >= options_.jobs_per_child ||
         (stats && stats->resident_bytes > options_.recycle_above_bytes);
}

}  // namespace spool::process
