// The worker's threads beside its loop: keeper, watch, listener and sweeper.
#include <spdlog/spdlog.h>

#include <algorithm>

#include "queue/scheduler.h"
#include "queue/worker_state.h"

namespace spool {

using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {
constexpr Duration kSweepAgain = seconds(30);  // after what could not be removed
constexpr Duration kListen = seconds(60);      // the loop polls by itself
constexpr Duration kQuiet = seconds(60);       // each renewal looks whether there is anything to look for
// After an outage. The others' waits between their tries are shorter.
constexpr Duration kMostReturn = seconds(10);
}  // namespace

Fate fate_of(const Error& error) {
  switch (error.code) {
    case Code::kUnavailable:
    case Code::kStorageFull:
    case Code::kTimeout:
      return Fate::kPassing;
    case Code::kInDoubt:
      return Fate::kInDoubt;
    case Code::kLeaseLost:
      return Fate::kLeaseLost;
    default:
      return Fate::kFinal;
  }
}

Duration StoreTrouble::failed(const Error& error) {
  if (wait_ == Duration(0) && waiting_++ == 0)
    spdlog::warn("the store does not answer, waiting for it: {}", error.message);
  wait_ = wait_ == Duration(0) ? Duration(milliseconds(20)) : std::min<Duration>(wait_ * 2, seconds(2));
  return wait_;
}

void StoreTrouble::over() {
  if (wait_ != Duration(0) && --waiting_ == 0) spdlog::info("the store answers again");
  wait_ = Duration(0);
}

void StoreTrouble::forget() {
  if (wait_ != Duration(0)) --waiting_;
  wait_ = Duration(0);
}

void Worker::State::lose_lease(std::string_view why) {
  {
    const std::lock_guard lock(lease_mutex);
    if (!open) return;
    open = false;
  }
  spdlog::warn("the worker's lease is lost ({}): what runs is stopped and will be done again", why);
  away = BootClock::now();  // the store, or we: the others may have lost theirs, too
  std::vector<Token> over;  // what has ended counts until it is rescued
  {
    const std::lock_guard lock(wake_mutex);
    for (const Settlement& settlement : ended) over.push_back(settlement.token);
  }
  running.lose_all(over);
  notify_loop(&State::lease_lost);
}

// Renews, reports, rescues, ticks. Every call to the store that is not an exchange comes from here.
void Worker::State::keep() {
  StoreTrouble renewing(waiting), reporting(waiting), rescuing(waiting), ticking(waiting);
  Scheduler scheduler(store);
  auto next_renewal = BootClock::now() + options.lease / 3;
  // At once: a worker that was killed may have been us. In a fleet this may be the end of an outage.
  auto next_rescue = BootClock::now() + (options.housekeeping ? time_to_return() : Duration(0));
  auto next_tick = BootClock::now();
  for (;;) {
    const auto due = std::min({next_renewal, next_rescue, next_tick, reports.due()});
    {
      std::unique_lock lock(lease_mutex);
      if (!threads_end && !reports_due)
        wake_keeper.wait_for(lock, std::max<BootClock::duration>(due - BootClock::now(), seconds(0)));
      reports_due = false;
      if (threads_end) return;
    }
    const auto now = BootClock::now();
    if (next_renewal <= now) {
      const bool was_quiet = quiet;
      renew(renewing, next_renewal);
      if (was_quiet && !quiet) {
        next_rescue = next_tick = now;
        const std::lock_guard lock(lease_mutex);
        sweep_due = true;
        wake_sweeper.notify_one();
      }
    }
    if (reports.due() <= now) send_reports(reporting);
    if (reports.is_idle()) reporting.over();  // the loop may have sent them
    if (next_tick <= now) next_tick = BootClock::now() + tick(scheduler, ticking);
    if (next_rescue <= now) rescue(rescuing, next_rescue);
  }
}

// An outage that outlasts the leases outlasts everybody's: whoever comes back first does not take from the
// others what they have finished meanwhile.
Duration Worker::State::time_to_return() const {
  return std::min(kMostReturn, options.lease / 3);
}

Duration Worker::State::housekeeping() const {
  return quiet ? kQuiet : options.housekeeping.value_or(options.poll);
}

// How long it takes until it has to be called again.
Duration Worker::State::tick(Scheduler& scheduler, StoreTrouble& ticking) {
  const auto rest = scheduler.turn();
  if (!rest) return ticking.failed(rest.error());
  ticking.over();
  return quiet ? kQuiet : *rest;
}

void Worker::State::rescue(StoreTrouble& rescuing, BootClock::time_point& next) {
  const auto from = away.load() + time_to_return();
  if (BootClock::now() < from) {
    rescuing.over();
    next = from;
    return;
  }
  const auto rescued = store.rescue(kMostRescued);
  next = BootClock::now();
  if (!rescued) {
    next += rescuing.failed(rescued.error());
    return;
  }
  rescuing.over();
  if (*rescued < kMostRescued) next += housekeeping();
  if (*rescued > 0) notify_loop(&State::hint);
}

void Worker::State::renew(StoreTrouble& renewing, BootClock::time_point& next) {
  const auto began = BootClock::now();
  Session mine;
  {
    const std::lock_guard lock(lease_mutex);
    next = began + options.lease / 3;
    if (!open) return;
    mine = session;
  }
  const auto renewed = store.renew(mine);
  quiet = renewed && renewed->quiet;
  if (renewed) {
    renewing.over();
    {
      const std::lock_guard lock(lease_mutex);
      // Measured from before the call: our idea of the lease ends before the store's.
      if (open && session.id == mine.id) lease_until = began + options.lease;
    }
    running.stop(renewed->cancel, StopReason::kCancelled);
    running.stop(renewed->past_deadline, StopReason::kTimedOut);
    if (renewed->drain) drain_as_asked();
  } else if (renewed.error().code == Code::kLeaseLost) {
    bool same = false;
    {
      const std::lock_guard lock(lease_mutex);
      same = session.id == mine.id && !handing_over;
    }
    if (same) lose_lease(renewed.error().message);
  } else {
    away = BootClock::now();
    next = BootClock::now() + std::min<Duration>(renewing.failed(renewed.error()), options.lease / 10);
  }
}

void Worker::State::drain_as_asked() {
  {
    const std::lock_guard lock(wake_mutex);
    if (drain) return;
  }
  spdlog::info("asked to drain: what runs comes to its end, nothing more is claimed");
  notify_loop(&State::drain);
}

void Worker::State::send_reports(StoreTrouble& reporting) {
  const auto answers = reports.send_due(store, BootClock::now());
  if (!answers) {
    reporting.failed(answers.error());
    return;
  }
  reporting.over();
  act_on(*answers);
}

void Worker::State::act_on(const ReportBox::Sent& answers) {
  running.stop(answers.cancel, StopReason::kCancelled);
  running.stop(answers.lost, StopReason::kLeaseLost);
  for (const Uuid& job : answers.checkpointed)
    if (const auto attempt = running.find(job); attempt && attempt->kind->follow_up)
      follow_ups.add(*attempt->kind, attempt->claim);
}

// Never touches the store, so that nothing the store does can keep it from stopping what must not go on.
void Worker::State::watch() {
  const auto tick = std::min<BootClock::duration>(seconds(1), options.lease / 10);
  for (;;) {
    const auto now = BootClock::now();
    const auto next_timeout = running.stop_timed_out(now);
    bool lost = false;
    {
      std::unique_lock lock(lease_mutex);
      if (threads_end) return;
      lost = open && lease_until <= now;
      // A suspended machine's sleep is not counted by this wait; the tick keeps that short.
      if (!lost) {
        const auto most = std::clamp<BootClock::duration>(next_timeout - now, milliseconds(1), tick);
        watch_until = now + most;
        wake_watch.wait_for(lock, most);
      }
    }
    if (lost) lose_lease("it could not be renewed in time");
  }
}

// Removing objects may take long: it holds up nothing but itself. What is left the store still knows.
void Worker::State::sweep() {
  if (!options.sweep) return;
  const auto ends = [this] {
    const std::lock_guard lock(lease_mutex);
    return threads_end;
  };
  StoreTrouble sweeping(waiting);
  Error last;
  for (;;) {
    Duration rest = housekeeping();
    const auto swept = options.sweep(store, ends);
    if (swept) {
      sweeping.over();
      last = {};
    } else if (const auto answer = store.now(); !answer) {  // it was the store
      rest = sweeping.failed(answer.error());
    } else {
      sweeping.over();
      rest = kSweepAgain;
      if (swept.error() != last)
        spdlog::warn("what removed jobs have left is swept later: {}", swept.error().message);
      last = swept.error();
    }
    std::unique_lock lock(lease_mutex);
    wake_sweeper.wait_for(lock, rest, [&] { return threads_end || sweep_due; });
    sweep_due = false;
    if (threads_end) return;
  }
}

// Store::wait may miss what comes before it is entered: the poll is the truth, and endings never come this
// way.
void Worker::State::listen() {
  for (;;) {
    {
      std::unique_lock lock(wake_mutex);
      wake_listener.wait(lock, [&] { return armed || threads_end; });
      if (threads_end) {
        listener_ended = true;
        wake_loop.notify_one();
        return;
      }
      armed = false;
    }
    store.wait(kListen);
    notify_loop(&State::hint);
  }
}

}  // namespace spool
