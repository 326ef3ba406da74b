#include "queue/progress.h"

#include <algorithm>
#include <unordered_map>
#include <vector>

namespace spool {
namespace {

struct Tree {
  std::unordered_map<Uuid, const Job*> jobs;
  std::unordered_map<Uuid, std::vector<const Job*>> children;
};

double own(const Job& job) {
  return std::clamp(job.progress, 0.0, 1.0);
}

double fraction_of(const Job& job, const Tree& tree, const WeighKind& weigh) {
  if (job.state == State::kSucceeded) return 1;
  const auto found = tree.children.find(job.id);
  std::optional<PhaseWeights> weights = weigh ? weigh(job) : std::nullopt;
  if (found == tree.children.end()) {
    if (!weights) return own(job);
    const double all = weights->before + weights->children + weights->after;
    return all > 0 ? own(job) * weights->before / all : 0;
  }
  if (!weights) weights = PhaseWeights{};

  double sum = 0;
  double done = 0;
  bool open = false;
  for (const Job* child : found->second) {
    const double weight = std::max(child->weight, 0.0);
    sum += weight;
    done += weight * fraction_of(*child, tree, weigh);
    open |= !ended(child->state);
  }
  const double all = weights->before + weights->children + weights->after;
  if (all <= 0) return 0;
  const double children = sum > 0 ? done / sum : (open ? 0 : 1);
  // While children are open the parent itself does nothing: what it reported belongs to the phase before
  // them.
  const double after = open ? 0 : own(job);
  return (weights->before + weights->children * children + weights->after * after) / all;
}

}  // namespace

double tree_progress(std::span<const Job> jobs, Uuid top, double previous, const WeighKind& weigh) {
  Tree tree;
  for (const Job& job : jobs) {
    tree.jobs[job.id] = &job;
    if (job.parent) tree.children[*job.parent].push_back(&job);
  }
  const auto found = tree.jobs.find(top);
  if (found == tree.jobs.end()) return previous;
  if (found->second->state == State::kSucceeded) return 1;
  constexpr double kNotYet = 0.999;  // 1 is a promise that it can be played
  return std::max(previous, std::min(fraction_of(*found->second, tree, weigh), kNotYet));
}

std::optional<Duration> TimeLeft::add(Duration elapsed, double progress) {
  using Seconds = std::chrono::duration<double>;
  constexpr Duration kWindow = std::chrono::seconds(30);
  constexpr Duration kLeast = std::chrono::seconds(5);
  constexpr double kLeastProgress = 0.01;
  constexpr std::size_t kEstimates = 3;
  constexpr double kSpread = 0.25;

  samples_.push_back({elapsed, progress});
  while (samples_.size() > 2 && elapsed - samples_[1].elapsed >= kWindow) samples_.pop_front();
  const Sample& first = samples_.front();
  const double gained = progress - first.progress;
  const Duration taken = elapsed - first.elapsed;
  if (taken < kLeast || gained < kLeastProgress) return std::nullopt;

  const double left = Seconds(taken).count() * (1 - progress) / gained;
  estimates_.push_back(Seconds(elapsed).count() + left);
  if (estimates_.size() > kEstimates) estimates_.pop_front();
  if (estimates_.size() < kEstimates) return std::nullopt;
  const auto [low, high] = std::minmax_element(estimates_.begin(), estimates_.end());
  const double now = Seconds(elapsed).count();
  if (*high - *low > kSpread * std::max(*high - now, 1.0)) return std::nullopt;
  return std::chrono::duration_cast<Duration>(Seconds(std::max(left, 0.0)));
}

}  // namespace spool
