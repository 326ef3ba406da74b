#include "executors/inline_executor.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "executors/inline_attempt.h"

namespace spool {
namespace {

// How long the head of the queue waits for a thread before another one is made.
constexpr auto kPatience = std::chrono::milliseconds(2);

}  // namespace

struct InlineExecutor::State {
  AttemptEvents events;
  AttemptFiles* files;
  std::size_t most_threads;

  std::mutex mutex;
  std::condition_variable work, grow;
  std::deque<std::shared_ptr<InlineAttempt>> queue;
  std::unordered_map<Uuid, std::shared_ptr<InlineAttempt>> attempts;  // queued and running
  std::vector<std::thread> threads;
  std::thread grower;
  std::size_t idle = 0;
  std::uint64_t taken = 0;
  bool grower_waits = false;
  bool ending = false;

  void add_thread() {
    threads.emplace_back([this] { run(); });
  }

  void run() {
    std::unique_lock lock(mutex);
    for (;;) {
      while (queue.empty() && !ending) {
        ++idle;
        work.wait(lock);
        --idle;
      }
      if (queue.empty()) return;
      const auto attempt = std::move(queue.front());
      queue.pop_front();
      ++taken;
      lock.unlock();
      events.ended(attempt->claim(), attempt->run());
      lock.lock();
      // The worker may have started the job's next attempt already.
      const auto known = attempts.find(attempt->claim().job);
      if (known != attempts.end() && known->second == attempt) attempts.erase(known);
    }
  }

  // Makes a thread when what waits is not taken for a while: all the others block.
  void grow_when_stuck() {
    std::unique_lock lock(mutex);
    while (!ending) {
      grower_waits = true;
      grow.wait(lock, [&] { return ending || (!queue.empty() && threads.size() < most_threads); });
      grower_waits = false;
      const std::uint64_t before = taken;
      grow.wait_for(lock, kPatience, [&] { return ending; });
      if (!ending && taken == before && !queue.empty() && threads.size() < most_threads) add_thread();
    }
  }
};

InlineExecutor::InlineExecutor(AttemptEvents events, AttemptFiles* files, int most_threads)
    : state_(std::make_unique<State>()) {
  State& s = *state_;
  s.events = std::move(events);
  s.files = files;
  s.most_threads = static_cast<std::size_t>(std::max(1, most_threads));
  const std::lock_guard lock(s.mutex);
  const std::size_t first = std::max(1u, std::thread::hardware_concurrency() / 2);
  while (s.threads.size() < std::min(s.most_threads, first)) s.add_thread();
  s.grower = std::thread([&s] { s.grow_when_stuck(); });
}

InlineExecutor::~InlineExecutor() {
  State& s = *state_;
  {
    const std::lock_guard lock(s.mutex);
    s.ending = true;
    for (auto& [job, attempt] : s.attempts) attempt->stop(StopReason::kDraining);
    s.work.notify_all();
    s.grow.notify_all();
  }
  s.grower.join();
  for (std::thread& thread : s.threads) thread.join();
}

void InlineExecutor::start(std::shared_ptr<const Claim> claim, const Kind& kind) {
  State& s = *state_;
  const Uuid job = claim->job;
  auto attempt = std::make_shared<InlineAttempt>(std::move(claim), kind, s.events, s.files);
  const std::lock_guard lock(s.mutex);
  s.attempts[job] = attempt;
  s.queue.push_back(std::move(attempt));
}

void InlineExecutor::flush() {
  State& s = *state_;
  const std::lock_guard lock(s.mutex);
  for (std::size_t i = 0; i < std::min(s.queue.size(), s.idle); ++i) s.work.notify_one();
  if (s.queue.size() > s.idle && s.grower_waits && s.threads.size() < s.most_threads) s.grow.notify_one();
}

void InlineExecutor::stop(Uuid job, StopReason reason, Duration) {
  std::shared_ptr<InlineAttempt> attempt;
  {
    const std::lock_guard lock(state_->mutex);
    const auto it = state_->attempts.find(job);
    if (it == state_->attempts.end()) return;
    attempt = it->second;
  }
  attempt->stop(reason);
}

std::size_t InlineExecutor::running() const {
  const std::lock_guard lock(state_->mutex);
  return state_->attempts.size();
}

void InlineExecutor::discard(std::shared_ptr<const Claim> claim) {
  if (state_->files != nullptr) state_->files->discard(*claim);
}

}  // namespace spool
