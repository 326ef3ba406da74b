#include "queue/worker.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <climits>

#include "queue/handler_call.h"
#include "queue/worker_state.h"

namespace spool {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Of a handler that does not listen when it is asked to stop, beyond its grace.
constexpr Duration kLastPatience = seconds(5);
constexpr Duration kKilledIsGone = seconds(2);
// Before what the store cannot settle now, because somebody else holds it, is brought to it again.
constexpr Duration kHeldAgain = seconds(1);
// Before a job that cannot begin here is offered again.
constexpr Duration kNotYet = seconds(1);
constexpr Duration kNotHere = seconds(30);

std::string host_name() {
  std::array<char, HOST_NAME_MAX + 1> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "?";
}

// What was given back before it began has no executor, and nothing to discard. In doubt: it may have
// succeeded, and its outputs must stay.
void discard(const RunningAttempt& attempt) {
  if (attempt.executor != nullptr && !attempt.in_doubt) attempt.executor->discard(attempt.claim);
}

}  // namespace

Worker::Worker(Store& store, const Kinds& kinds, WorkerOptions options)
    : state_(std::make_shared<State>(store, kinds, std::move(options))) {}
Worker::~Worker() = default;

void Worker::use(Placement placement, Executor& executor) {
  state_->executors[static_cast<std::size_t>(placement)] = &executor;
}

AttemptEvents Worker::events() {
  return {
      [state = state_](const Claim&, ProgressReport report) { state->add_report(std::move(report)); },
      [state = state_](const Claim&, Settlement settlement) { state->objects.put(std::move(settlement)); }};
}

bool Worker::may_claim(const Job& job) const {
  const WorkerOptions& options = state_->options;
  const auto is_in = [](const std::vector<std::string>& list) {
    return [&list](const std::string& word) { return std::ranges::find(list, word) != list.end(); };
  };
  return job.slots <= options.slots && (options.queues.empty() || is_in(options.queues)(job.queue)) &&
         std::ranges::all_of(job.tags, is_in(options.tags));
}

bool Worker::can_run(const Job& job) const {
  return state_->executor_of(state_->kinds.find(job.kind), job.phase) != nullptr;
}

void Worker::drain() {
  state_->notify_loop(&State::drain);
}
void Worker::stop() {
  state_->notify_loop(&State::stop);
  state_->running.close();
  if (state_->options.interrupt) state_->options.interrupt();
}

void Worker::State::Batch::add(Settlement settlement, RunningAttempt attempt) {
  settlements.push_back(std::move(settlement));
  attempts.push_back(std::move(attempt));
}
void Worker::State::Batch::clear() {
  settlements.clear();
  attempts.clear();
}

void Worker::State::add_ended(Settlement settlement) {
  const std::lock_guard lock(wake_mutex);
  ended.push_back(std::move(settlement));
  if (ended.size() >= enough_ended && std::exchange(loop_waits, false)) wake_loop.notify_one();
}

void Worker::State::add_report(ProgressReport report) {
  if (!reports.put(std::move(report), BootClock::now())) return;
  const std::lock_guard lock(lease_mutex);
  reports_due = true;
  wake_keeper.notify_one();
}

void Worker::State::notify_loop(bool State::*flag) {
  const std::lock_guard lock(wake_mutex);
  this->*flag = true;
  loop_waits = false;
  wake_loop.notify_one();
}

Result<void> Worker::run(const std::function<bool()>& until) {
  State& s = *state_;
  {
    const std::scoped_lock lock(s.wake_mutex, s.lease_mutex);
    s.threads_end = s.listener_ended = s.armed = s.lease_lost = false;
  }
  s.trouble.forget();
  std::thread watch([&s] { s.watch(); });
  std::thread keeper([&s] { s.keep(); });
  std::thread listener([&s] { s.listen(); });
  std::thread sweeper([&s] { s.sweep(); });
  s.objects.start();
  auto result = s.loop(until);
  s.objects.end(s.options.interrupt);
  {
    const std::scoped_lock lock(s.wake_mutex, s.lease_mutex);
    s.threads_end = true;
    s.wake_listener.notify_all();
    s.wake_keeper.notify_all();
    s.wake_watch.notify_all();
    s.wake_sweeper.notify_all();
  }
  {
    std::unique_lock lock(s.wake_mutex);
    while (!s.listener_ended) {
      s.store.wake();  // again and again: it may come before the listener's wait
      s.wake_loop.wait_for(lock, milliseconds(1));
    }
  }
  listener.join();
  keeper.join();
  watch.join();
  sweeper.join();
  return result;
}

Result<void> Worker::State::loop(const std::function<bool()>& until) {
  finishing = false;
  SPOOL_TRY(open_session());
  for (;;) {
    bool draining = false, stopping = false, lost = false;
    {
      const std::lock_guard lock(wake_mutex);
      draining = drain;
      stopping = stop;
      lost = std::exchange(lease_lost, false);
      if (under_way.empty()) hint = false;  // what is on its way may have been there before
    }
    if (stopping) return finish(false);
    if (lost) {
      SPOOL_ASSIGN(const bool opened, begin_anew());
      if (!opened) continue;
    }
    auto did = turn(!draining);
    if (!did) {
      if (auto ended_badly = finish(false); !ended_badly) spdlog::error("{}", ended_badly.error().message);
      return fail(std::move(did).error());
    }
    if (until && until()) return finish(true);
    if (draining && running.size() == 0 && all_settled()) {
      const std::lock_guard lock(wake_mutex);
      if (ended.empty()) break;
    }
    polls = false;
    if (*did == Turn::kIdle || *did == Turn::kWaiting)
      polls = !sleep(options.poll, *did) && *did == Turn::kIdle;
  }
  return finish(true);
}

// After a lost lease. What ran counts for nothing; what had ended before is brought by the new session: as
// long as nobody has rescued it, its tokens count. false: asked to end before there was a new session.
Result<bool> Worker::State::begin_anew() {
  while (!under_way.empty()) SPOOL_TRY(receive());
  in_doubt = false;
  close_heir();
  std::set<Uuid> ended_before;
  for (const Batch* batch : {&to_settle, &held_back})
    for (const Settlement& settlement : batch->settlements) ended_before.insert(settlement.job);
  reports.keep_only(ended_before);  // what they said last goes before them
  // The session is not closed: the store ends it by its own clock, and charges the loss. A job that starves
  // its worker past the lease would come back uncharged for ever.
  // What was killed is gone in a moment; a job that comes back to us should find its place empty.
  const auto patience = BootClock::now() + kKilledIsGone;
  for (collect_ended(); running.size() > 0 && BootClock::now() < patience; collect_ended())
    sleep(milliseconds(100), Turn::kWaiting);
  return open_session();
}

void Worker::State::close_heir() {
  if (const auto left = std::exchange(heir, {}))
    if (auto closed = store.close_session(*left); !closed) spdlog::debug("{}", closed.error().message);
}

WorkerInfo Worker::State::info() const {
  WorkerInfo info;
  info.host = host_name();
  info.pid = getpid();
  info.version = options.version;
  info.slots = options.slots;
  info.tags = options.tags;
  info.lease = options.lease;
  return info;
}

// After an exchange in doubt: what it settled is settled, or is ours to settle again; what it claimed, nobody
// here knows of, and goes back. All that runs goes on.
Result<Worker::State::Turn> Worker::State::hand_over() {
  const auto began = BootClock::now();
  if (!heir) {
    auto opened = store.open_session(info());
    if (!opened) return passing(opened.error());
    heir = *opened;
  }
  std::vector<Token> known = running.tokens();
  for (const Batch* batch : {&to_settle, &held_back})
    for (const Settlement& settlement : batch->settlements) known.push_back(settlement.token);
  {
    const std::lock_guard lock(lease_mutex);
    if (!open) return Turn::kTrouble;
    handing_over = true;  // until it is known to have happened: this answer may be lost too
  }
  const auto done = store.hand_over(session, *heir, known);
  if (!done) return passing(done.error());
  {
    const std::lock_guard lock(lease_mutex);
    handing_over = false;
    session = *heir;
    lease_until = began + options.lease;
  }
  in_doubt = false;
  heir.reset();
  trouble.over();
  return Turn::kBusy;
}

// false: asked to end before it worked.
Result<bool> Worker::State::open_session() {
  StoreTrouble opening(waiting);
  for (;;) {
    const auto began = BootClock::now();
    auto opened = store.open_session(info());
    if (opened) {
      opening.over();
      running.accept();
      const std::lock_guard lock(lease_mutex);
      handing_over = false;
      session = *opened;
      lease_until = began + options.lease;
      open = true;
      wake_watch.notify_one();
      return true;
    }
    // In doubt: there may be a session of which nobody knows, until its lease is over.
    const Fate fate = fate_of(opened.error());
    if ((fate != Fate::kPassing && fate != Fate::kInDoubt) || is_full_for_good(opened.error()))
      return fail(std::move(opened).error());
    away = BootClock::now();
    pause(opening.failed(opened.error()));
    collect_ended();
    const std::lock_guard lock(wake_mutex);
    if (stop || (drain && running.size() == 0 && all_settled())) return false;
  }
}

// Until something has ended or an exchange is back, somebody wants something, or, when idle, the store has a
// hint. false: none of that, it is only time.
bool Worker::State::sleep(Duration most, Turn why) {
  const bool idle = why == Turn::kIdle;
  std::unique_lock lock(wake_mutex);
  enough_ended =
      under_way.empty() ? 1 : worth_a_second() - std::min(worth_a_second() - 1, to_settle.settlements.size());
  const auto something = [&] {
    return ended.size() >= enough_ended || answered > 0 || (idle && hint) || lease_lost ||
           (stop && !finishing);
  };
  if (something()) return true;
  if (idle) {
    armed = true;
    wake_listener.notify_one();
  }
  if (!held_back.settlements.empty())
    most =
        std::clamp<Duration>(std::chrono::ceil<Duration>(held_until - BootClock::now()), Duration(0), most);
  loop_waits = true;
  const bool woken = wake_loop.wait_for(lock, most, [&] { return !loop_waits || something(); });
  loop_waits = false;
  return woken;
}

// Endings do not cut it short: there is no store to take them to.
void Worker::State::pause(Duration duration) {
  std::unique_lock lock(wake_mutex);
  wake_loop.wait_for(lock, duration, [&] { return lease_lost || (stop && !finishing); });
}

std::size_t Worker::State::at_once() const {
  return static_cast<std::size_t>(store.exchanges_at_once());
}

// Settlements for which a second exchange is sent: fewer wait until the first one is back.
std::size_t Worker::State::worth_a_second() const {
  return std::max<std::size_t>(1, static_cast<std::size_t>(options.slots) / (2 * at_once()));
}

// Sends exchanges that settle what has ended and claim for what is free, and takes one that is back.
Result<Worker::State::Turn> Worker::State::turn(bool claim) {
  collect_ended();
  if (!held_back.settlements.empty() && BootClock::now() >= held_until)
    put_back(std::exchange(held_back, {}));
  if (in_doubt) return under_way.empty() ? hand_over() : receive();
  while (under_way.empty() ||
         (under_way.size() < at_once() && to_settle.settlements.size() >= worth_a_second())) {
    const auto reported = reports.flush(store, to_settle.settlements);
    if (!reported) return passing(reported.error());
    act_on(*reported);
    hold_back(reported->held);
    Batch batch = next_batch();
    ClaimRequest want;
    want.slots = claim && !objects.away() ? free_slots() : 0;
    want.all_slots = options.slots;
    want.queues = options.queues;
    want.tags = options.tags;
    want.poll = std::exchange(polls, false);
    if (want.slots == 0 && batch.settlements.empty()) break;
    send(std::move(batch), std::move(want));
  }
  if (under_way.empty()) return Turn::kIdle;
  if (under_way.size() < at_once()) {
    const std::lock_guard lock(wake_mutex);
    if (answered == 0) return Turn::kWaiting;
  }
  return receive();
}

// What has ended; where two exchanges pay no more than half of what the worker can run, so that there is a
// second half.
Worker::State::Batch Worker::State::next_batch() {
  const std::size_t share = (static_cast<std::size_t>(options.slots) + at_once() - 1) / at_once();
  if (at_once() == 1 || to_settle.settlements.size() <= share) return std::exchange(to_settle, {});
  Batch batch, rest;
  for (std::size_t i = 0; i < to_settle.settlements.size(); ++i)
    (i < share ? batch : rest).add(std::move(to_settle.settlements[i]), std::move(to_settle.attempts[i]));
  to_settle = std::move(rest);
  return batch;
}

// That nobody runs in, and no exchange has asked for or will ask for with what it settles.
int Worker::State::free_slots() const {
  int free = options.slots - running.slots();
  for (const Sent& earlier : under_way) free -= earlier.want.slots;
  for (const RunningAttempt& later : to_settle.attempts)
    if (later.claim) free -= later.claim->slots;
  return std::max(free, 0);
}

void Worker::State::send(Batch batch, ClaimRequest want) {
  Sent& one = under_way.emplace_back(Sent{std::move(batch), std::move(want), {}});
  // Deferred: on this thread, when it is received.
  const auto when = at_once() == 1 ? std::launch::deferred : std::launch::async;
  one.answer = std::async(when, [this, &one, mine = session] {
    auto exchanged = store.exchange(mine, one.batch.settlements, one.want);
    const std::lock_guard lock(wake_mutex);
    ++answered;
    if (std::exchange(loop_waits, false)) wake_loop.notify_one();
    return exchanged;
  });
}

// Waits for the one that was sent first.
Result<Worker::State::Turn> Worker::State::receive() {
  auto exchanged = under_way.front().answer.get();
  Batch batch = std::move(under_way.front().batch);
  under_way.pop_front();
  {
    const std::lock_guard lock(wake_mutex);
    --answered;
  }
  if (!exchanged) {
    if (fate_of(exchanged.error()) == Fate::kInDoubt) {
      in_doubt = true;
      for (RunningAttempt& attempt : batch.attempts) attempt.in_doubt = true;
    }
    put_back(std::move(batch));
    return passing(exchanged.error());
  }
  const bool busy = !exchanged->claimed.empty() || !batch.settlements.empty();
  const auto not_now = after_exchange(std::move(batch), exchanged->settled);
  begin(std::move(exchanged->claimed));
  if (not_now) return passing(*not_now);
  if (!in_doubt) trouble.over();  // else this answer may have been on its way before the trouble began
  return busy ? Turn::kBusy : Turn::kIdle;
}

// A failed call: the settlements stay, and the loop waits, unless there is no sense in it.
Result<Worker::State::Turn> Worker::State::passing(const Error& error) {
  const Fate fate = fate_of(error);
  if (fate == Fate::kLeaseLost) {
    lose_lease(error.message);
    return Turn::kTrouble;
  }
  if (fate == Fate::kFinal || is_full_for_good(error)) return fail(error);
  away = BootClock::now();
  pause(trouble.failed(error));
  return Turn::kTrouble;
}

bool Worker::State::is_full_for_good(const Error& error) const {
  return error.code == Code::kStorageFull && !options.waits_for_space;
}

void Worker::State::collect_ended() {
  std::vector<Settlement> batch;
  {
    const std::lock_guard lock(wake_mutex);
    batch.swap(ended);
  }
  for (Settlement& settlement : batch) {
    auto attempt = running.take(settlement.job, settlement.token);
    if (attempt && attempt->lost)
      discard(*attempt);
    else if (attempt)
      add_settlement(std::move(*attempt), std::move(settlement));
  }
}

void Worker::State::add_settlement(RunningAttempt attempt, Settlement settlement) {
  if (const auto* fan_out = std::get_if<FanOut>(&settlement.ending))
    if (auto allowed = kinds.check(*attempt.kind, attempt.claim->slots, *fan_out); !allowed)
      settlement.ending = Failed{std::move(allowed).error()};
  if (settlement.log_tail.size() > kMostLogTailBytes)
    settlement.log_tail.erase(0, settlement.log_tail.size() - kMostLogTailBytes);
  to_settle.add(std::move(settlement), std::move(attempt));
}

// What these jobs said last is not stored yet, and must be before they end.
void Worker::State::hold_back(const std::vector<Uuid>& jobs) {
  if (jobs.empty()) return;
  Batch all = std::exchange(to_settle, {});
  for (std::size_t i = 0; i < all.settlements.size(); ++i)
    if (std::ranges::find(jobs, all.settlements[i].job) != jobs.end())
      hold_back(std::move(all.settlements[i]), std::move(all.attempts[i]));
    else
      to_settle.add(std::move(all.settlements[i]), std::move(all.attempts[i]));
}

void Worker::State::hold_back(Settlement settlement, RunningAttempt attempt) {
  spdlog::info("job {}: another transaction holds it; it is settled when that is over",
               settlement.job.text());
  held_back.add(std::move(settlement), std::move(attempt));
  held_until = BootClock::now() + kHeldAgain;
}

bool Worker::State::all_settled() const {
  return to_settle.settlements.empty() && held_back.settlements.empty() && under_way.empty();
}

// Before what has ended since.
void Worker::State::put_back(Batch batch) {
  for (std::size_t i = 0; i < to_settle.settlements.size(); ++i)
    batch.add(std::move(to_settle.settlements[i]), std::move(to_settle.attempts[i]));
  to_settle = std::move(batch);
}

// Keeps what must be settled again; returns an error when that is for the store's passing trouble.
std::optional<Error> Worker::State::after_exchange(Batch batch, const std::vector<Result<void>>& settled) {
  std::optional<Error> not_now;
  Batch again;
  for (std::size_t i = 0; i < settled.size(); ++i) {
    Settlement& settlement = batch.settlements[i];
    RunningAttempt& attempt = batch.attempts[i];
    if (settled[i] || (attempt.in_doubt && fate_of(settled[i].error()) == Fate::kLeaseLost)) {
      if (attempt.kind && attempt.kind->follow_up) follow_ups.add(*attempt.kind, attempt.claim);
      continue;
    }
    const Error& error = settled[i].error();
    const Fate fate = fate_of(error);
    if (fate == Fate::kLeaseLost) {
      spdlog::info("job {}: its attempt had been given to another worker; nothing changed",
                   settlement.job.text());
      discard(attempt);
    } else if (error.code == Code::kUnavailable) {
      hold_back(std::move(settlement), std::move(attempt));
      continue;
    } else if (fate == Fate::kPassing || refused.insert(settlement.job).second) {
      // What cannot be stored (a result that is too large) is a failure of the job, once.
      if (fate == Fate::kPassing) {
        not_now = error;
      } else {
        settlement.ending = Failed{error};
      }
      again.add(std::move(settlement), std::move(attempt));
      continue;
    } else {
      spdlog::error("job {}: cannot be settled: {}", settlement.job.text(), error.message);
    }
    refused.erase(settlement.job);
  }
  put_back(std::move(again));
  return not_now;
}

void Worker::State::begin(std::vector<Claim> claims) {
  const auto now = BootClock::now();
  auto first_timeout = BootClock::time_point::max();
  for (Claim& claimed : claims) {
    if (claimed.unchecked) {
      auto args = kinds.resolve_and_check(claimed.kind, std::move(claimed.args));
      if (!args) {
        give_back(claimed, Failed{std::move(args).error()});
        continue;
      }
      claimed.args = std::move(*args);
    }
    RunningAttempt attempt;
    attempt.claim = std::make_shared<const Claim>(std::move(claimed));
    const Claim& claim = *attempt.claim;
    attempt.kind = kinds.find(claim.kind);
    attempt.executor = executor_of(attempt.kind, claim.phase);
    if (attempt.executor == nullptr) {
      if (unknown_kinds.insert(claim.kind).second)
        spdlog::warn("this worker {} jobs of kind '{}' and puts them off",
                     attempt.kind == nullptr ? "does not know" : "cannot run", claim.kind);
      give_back(claim, Snooze{kNotHere});
      continue;
    }
    attempt.timeout_at = now + time_limit(claim, *attempt.kind);
    first_timeout = std::min(first_timeout, attempt.timeout_at);
    const auto running_claim = attempt.claim;
    const auto started = running.start(std::move(attempt));
    if (started == RunningAttempts::Start::kStillEnding) give_back(*running_claim, Snooze{kNotYet});
    if (started == RunningAttempts::Start::kClosed) give_back(*running_claim, Released{});
    // kLeaseLost: it is not ours any more.
  }
  for (Executor* executor : executors)
    if (executor != nullptr) executor->flush();
  const std::lock_guard lock(lease_mutex);
  if (first_timeout < watch_until) wake_watch.notify_one();
}

Executor* Worker::State::executor_of(const Kind* kind, const std::string& phase) const {
  return kind == nullptr ? nullptr : executors[static_cast<std::size_t>(kind->placement_of(phase))];
}

void Worker::State::give_back(const Claim& claim, Ending ending) {
  to_settle.add({claim.job, claim.token, std::move(ending), {}, {}}, {});
}

// Stops what still runs, settles it, and closes the session.
Result<void> Worker::State::finish(bool call_follow_ups) {
  finishing = true;
  running.stop_all(StopReason::kDraining);
  const auto patience = BootClock::now() + options.grace + kLastPatience;
  const auto left = [&] { return running.size() > 0 || !all_settled(); };
  while (left() && BootClock::now() < patience) {
    {
      const std::lock_guard lock(lease_mutex);
      if (!open) break;
    }
    auto did = turn(false);
    if (!did) break;
    if (*did == Turn::kIdle || *did == Turn::kWaiting) sleep(milliseconds(100), Turn::kWaiting);
  }
  to_settle.clear();
  held_back.clear();
  under_way.clear();  // waits for them
  reports.keep_only({});
  follow_ups.finish(call_follow_ups);
  bool close = false;
  {
    const std::lock_guard lock(lease_mutex);
    close = std::exchange(open, false);
  }
  running.lose_all();  // what did not end in time counts for nothing any more
  close_heir();
  if (close)
    if (auto closed = store.close_session(session); !closed)
      spdlog::warn("the worker's session could not be closed: {}", closed.error().message);
  return {};
}

}  // namespace spool
