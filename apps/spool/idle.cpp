#include "idle.h"

#include <fmt/format.h>

#include <algorithm>

#include "parts.h"
#include "terminal.h"

namespace spool {
namespace {

std::int64_t in_state(const QueueCounts& queue, State state) {
  return queue.counts[static_cast<int>(state)];
}

class Left {
 public:
  Left(Store& store, const Worker& worker, const std::vector<std::string>& queues)
      : store_(store), worker_(worker), queues_(queues) {}

  std::optional<LeftJobs> count() {
    const auto counts = store_.counts();
    if (!counts || runs_any(*counts) || !read_limits()) return std::nullopt;
    // In the order in which jobs move on: none slips from one look to the next.
    for (const State state : {State::kWaiting, State::kScheduled, State::kAvailable})
      for (const QueueCounts& queue : *counts)
        if (!queue.paused && !look_at(queue, state)) return std::nullopt;
    // What moved on behind the last look runs by now.
    const auto again = store_.counts();
    if (!again || runs_any(*again)) return std::nullopt;
    return left_;
  }

 private:
  [[nodiscard]] bool is_mine(const std::string& queue) const {
    return queues_.empty() || std::ranges::find(queues_, queue) != queues_.end();
  }
  [[nodiscard]] bool runs_any(const std::vector<QueueCounts>& counts) const {
    return std::ranges::any_of(counts, [this](const QueueCounts& queue) {
      return is_mine(queue.queue) && in_state(queue, State::kRunning) > 0;
    });
  }

  [[nodiscard]] bool read_limits() {
    const auto uses = store_.limits();
    if (!uses) return false;
    std::vector<Limit> limits;
    for (const LimitUse& use : *uses) limits.push_back(use.limit);
    limits_ = LimitBook(std::move(limits));
    return true;
  }
  // A limit of no places is for its operator to lift, as a pause is.
  [[nodiscard]] bool is_shut(const Job& job) const {
    const auto shuts = [](const Limit* limit) { return limit != nullptr && limit->concurrency == 0; };
    return shuts(limits_.find(LimitScope::kQueue, job.queue)) ||
           (!job.limit_key.empty() && shuts(limits_.find(LimitScope::kKey, job.limit_key)));
  }

  // False: there is a job for this worker, or no answer.
  [[nodiscard]] bool look_at(const QueueCounts& queue, State state) {
    const std::int64_t open = state == State::kWaiting ? queue.limited : in_state(queue, state);
    if (!is_mine(queue.queue)) {
      left_.for_others += open;
      return true;
    }
    if (state == State::kWaiting && open == 0) return true;
    JobFilter filter;
    filter.queue = queue.queue;
    filter.state = state;
    bool none = true;
    const auto listed = for_each_job(store_, filter, [&](const Job& job) {
      if (state == State::kWaiting && !job.limited) return true;
      if (!is_for_us(job)) {
        ++left_.for_others;
        return true;
      }
      if (job.delayed) {
        ++left_.for_later;
        return true;
      }
      none = state == State::kWaiting && is_shut(job);
      return none;
    });
    return none && listed;
  }

  // What is available it claims, also to put it off or to refuse it.
  [[nodiscard]] bool is_for_us(const Job& job) const {
    return worker_.may_claim(job) && (job.state == State::kAvailable || worker_.can_run(job));
  }

  Store& store_;
  const Worker& worker_;
  const std::vector<std::string>& queues_;
  LimitBook limits_;
  LeftJobs left_;
};

}  // namespace

std::optional<LeftJobs> left_when_idle(Store& store, const Worker& worker,
                                       const std::vector<std::string>& queues) {
  return Left(store, worker, queues).count();
}

std::string in_words(const LeftJobs& left) {
  const std::int64_t all = left.for_others + left.for_later;
  if (all == 0) return {};
  const std::string_view why = left.for_later == 0    ? "for other workers"
                               : left.for_others == 0 ? "for later"
                                                      : "for other workers or for later";
  return fmt::format("{} {} left {}", counted(all, "job"), all == 1 ? "is" : "are", why);
}

}  // namespace spool
