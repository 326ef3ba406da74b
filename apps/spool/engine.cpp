#include "engine.h"

#include <fmt/format.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <mutex>
#include <thread>

#include "queue/prune_all.h"
#include "steps/purged_objects.h"

namespace spool {
namespace {

constexpr auto kSweepAgain = std::chrono::hours(1);  // what ended long ago, and uploads that nobody needs
constexpr auto kAbandoned = std::chrono::hours(24);  // an upload that began so long ago has nobody any more

WorkerOptions with_objects(WorkerOptions options, std::vector<PruneRules> retention, ObjectStore& objects) {
  options.sweep = [&objects, retention = std::move(retention), next = BootClock::time_point{}](
                      Store& store, const std::function<bool()>& stop) mutable -> Result<void> {
    const bool due = BootClock::now() >= next;
    if (due)
      for (const PruneRules& rules : retention) SPOOL_TRY(prune_all(store, rules, stop));
    SPOOL_TRY(steps::sweep_purged(store, objects, stop));
    if (!due) return {};
    SPOOL_TRY(objects.sweep_uploads(kAbandoned));
    SPOOL_TRY(steps::sweep_late_uploads(store, objects, stop));
    next = BootClock::now() + kSweepAgain;
    return {};
  };
  options.interrupt = [&objects] { objects.interrupt(); };
  return options;
}

}  // namespace

Engine::Engine(Store& store, ObjectStore& objects, Kinds kinds, EngineOptions options)
    : kinds_(std::move(kinds)),
      files_(objects, std::move(options.inputs)),
      worker_(store, kinds_, with_objects(std::move(options.worker), std::move(options.retention), objects)),
      inline_(worker_.events(), &files_),
      process_(std::move(options.process), files_, worker_.events()) {
  worker_.use(Placement::kInline, inline_);
  if (options.runs_media) worker_.use(Placement::kProcess, process_);
}

void Engine::leave_if_deaf(int exit_code) const {
  if (inline_.running() == 0) return;
  fmt::print(stderr, "spool: a job does not listen and is left behind\n");
  std::fflush(nullptr);
  ::_exit(exit_code);
}

struct DrainOnSignals::State {
  UniqueFd signals, ended;
  std::mutex mutex;
  Worker* worker = nullptr;
  std::function<void()> drains, stops;
  int count = 0;
  std::thread thread;

  void deliver() {  // under the mutex
    if (stops && count > 1) return stops();
    if (worker == nullptr || count == 0) return;
    if (count > 1) return worker->stop();
    worker->drain();
    if (drains) drains();
  }

  void run() {
    pollfd both[] = {{signals.get(), POLLIN, 0}, {ended.get(), POLLIN, 0}};
    while (poll(both, 2, -1) >= 0 || errno == EINTR) {
      if (both[1].revents != 0) return;
      const std::lock_guard guard(mutex);
      signalfd_siginfo info{};
      if (both[0].revents == 0 || read(signals.get(), &info, sizeof info) != sizeof info) continue;
      ++count;
      deliver();
    }
  }
};

DrainOnSignals::DrainOnSignals() : state_(std::make_unique<State>()) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  state_->signals = UniqueFd(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  state_->ended = UniqueFd(eventfd(0, EFD_CLOEXEC));
  state_->thread = std::thread([state = state_.get()] { state->run(); });
}

DrainOnSignals::~DrainOnSignals() {
  eventfd_write(state_->ended.get(), 1);
  state_->thread.join();
}

void DrainOnSignals::watch(Worker& worker, std::function<void()> drains) {
  const std::lock_guard guard(state_->mutex);
  state_->worker = &worker;
  state_->drains = std::move(drains);
  state_->deliver();
}

void DrainOnSignals::watch_end(std::function<void()> stops) {
  const std::lock_guard guard(state_->mutex);
  state_->worker = nullptr;
  state_->stops = std::move(stops);
  state_->deliver();
}

bool DrainOnSignals::came() const {
  const std::lock_guard guard(state_->mutex);
  pollfd waiting{state_->signals.get(), POLLIN, 0};
  return state_->count > 0 || poll(&waiting, 1, 0) > 0;
}

bool DrainOnSignals::came_twice() const {
  const std::lock_guard guard(state_->mutex);
  return state_->count > 1;
}

}  // namespace spool
