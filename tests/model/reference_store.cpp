#include "model/reference_store.h"

#include <algorithm>

namespace spool::model {
namespace {

constexpr std::int64_t kPriorityStep = 300'000'000;

bool badly(const ModelJob& job) {
  return job.state == State::kFailed || job.state == State::kCancelled;
}

// In the order of claims.
std::vector<ModelJob*> in_line(std::vector<ModelJob*> by_seq) {
  const auto rank = [](const ModelJob* job) { return job->arrived - job->asked.priority * kPriorityStep; };
  std::stable_sort(by_seq.begin(), by_seq.end(), [&](auto* a, auto* b) { return rank(a) < rank(b); });
  return by_seq;
}

// A child came below it, or is opened again.
void wait_for_children(ModelJob& job) {
  if (job.state != State::kAvailable && job.state != State::kScheduled && !job.limited) return;
  job.due = job.ready;
  job.limited = false;
  job.state = State::kWaiting;
}

}  // namespace

ModelJob* ReferenceStore::find(const Uuid& id) {
  const auto found = jobs.find(id);
  return found == jobs.end() || found->second.hidden ? nullptr : &found->second;
}

std::vector<ModelJob*> ReferenceStore::by_seq() {
  std::vector<ModelJob*> list;
  for (auto& [id, job] : jobs) list.push_back(&job);
  std::sort(list.begin(), list.end(), [](auto* a, auto* b) { return a->seq < b->seq; });
  return list;
}

std::vector<ModelJob*> ReferenceStore::children(const Uuid& id) {
  std::vector<ModelJob*> list;
  for (ModelJob* job : by_seq())
    if (job->parent == id) list.push_back(job);
  return list;
}

std::vector<ModelJob*> ReferenceStore::below(ModelJob& top) {
  std::vector<ModelJob*> list = {&top};
  for (std::size_t i = 0; i < list.size(); ++i)
    for (ModelJob* child : children(list[i]->id)) list.push_back(child);
  return list;
}

// Where a live job that nobody holds stands.
void ReferenceStore::place(ModelJob& job) {
  const auto kids = children(job.id);
  const bool waits = std::any_of(job.needs.begin(), job.needs.end(), [](const auto& e) { return e.open; }) ||
                     std::any_of(kids.begin(), kids.end(), [](auto* k) { return !ended(k->state); });
  if (waits) {
    job.state = State::kWaiting;
  } else if (job.due > now) {
    job.state = State::kScheduled;
    job.ready = job.due;
  } else {
    job.ready = std::max(job.ready, now);
    make_available(job);
  }
}

// Or limited; who has a place goes on by admit().
void ReferenceStore::make_available(ModelJob& job) {
  job.limited = !limits_of(job).empty();
  job.state = job.limited ? State::kWaiting : State::kAvailable;
}

std::vector<std::pair<ReferenceStore::Place, const Limit*>> ReferenceStore::limits_of(
    const ModelJob& job) const {
  std::vector<std::pair<Place, const Limit*>> limits;
  for (const Place& place :
       {Place{LimitScope::kQueue, job.asked.queue}, Place{LimitScope::kKey, job.asked.limit_key}})
    if (const Limit* limit = book_.find(place.first, place.second); limit != nullptr && !place.second.empty())
      limits.emplace_back(place, limit);
  return limits;
}

bool ReferenceStore::has_place(const Place& place, const Limit& limit) {
  std::int64_t available = 0, running = 0;
  for (const auto& [id, job] : jobs) {
    if (place !=
        Place{place.first, place.first == LimitScope::kQueue ? job.asked.queue : job.asked.limit_key})
      continue;
    available += job.state == State::kAvailable;
    running += job.state == State::kRunning;
  }
  const bool room = !limit.concurrency || available + running < *limit.concurrency;
  return room && (!limit.rate || opens(*limit.rate, clocks_[place], available) <= Time(Duration(now)));
}

void ReferenceStore::admit() {
  for (ModelJob* job : in_line(by_seq())) {
    if (!job->limited) continue;
    const auto limits = limits_of(*job);
    const auto open = [&](const auto& limit) { return has_place(limit.first, *limit.second); };
    if (!std::all_of(limits.begin(), limits.end(), open)) continue;
    job->limited = false;
    job->state = State::kAvailable;
  }
  committed_ = states();
}

void ReferenceStore::commit() {
  if (states() != committed_) admit();
}

std::map<Uuid, std::pair<State, bool>> ReferenceStore::states() const {
  std::map<Uuid, std::pair<State, bool>> all;
  for (const auto& [id, job] : jobs) all[id] = {job.state, job.limited};
  return all;
}

void ReferenceStore::set_limit(const Limit& limit) {
  limits_[{limit.scope, limit.name}] = limit;
  begin_limits_anew();
}

std::string ReferenceStore::remove_limit(LimitScope scope, const std::string& name) {
  if (limits_.erase({scope, name}) == 0) return "not_found";
  begin_limits_anew();
  return "ok";
}

void ReferenceStore::begin_limits_anew() {
  std::vector<Limit> limits;
  for (const auto& [place, limit] : limits_) limits.push_back(limit);
  book_ = LimitBook(limits);
  std::erase_if(clocks_, [&](const auto& clock) {
    const Limit* limit = book_.find(clock.first.first, clock.first.second);
    return limit == nullptr || !limit->rate;
  });
  for (auto& [id, job] : jobs)
    if (job.limited || job.state == State::kAvailable) make_available(job);
  admit();
}

std::vector<LimitUse> ReferenceStore::limits() const {
  std::vector<LimitUse> uses;
  for (const auto& [place, limit] : limits_) {
    LimitUse& use = uses.emplace_back(LimitUse{limit, 0, 0});
    for (const auto& [id, job] : jobs)
      for (const auto& [name, applies] : limits_of(job)) {
        if (*applies != limit) continue;
        use.taken += job.state == State::kAvailable || job.state == State::kRunning;
        use.waiting += job.limited;
      }
  }
  return uses;
}

int ReferenceStore::clear(const std::string& queue) {
  const auto begun = [](const ModelJob* job) {
    return job->state == State::kRunning || job->attempts > 0 || job->rescues > 0 || !job->phase.empty();
  };
  std::vector<ModelJob*> roots;
  for (ModelJob* job : by_seq()) {
    if (job->parent || job->hidden || ended(job->state) || job->asked.queue != queue) continue;
    const auto tree = below(*job);
    if (std::none_of(tree.begin(), tree.end(), begun)) roots.push_back(job);
  }
  for (ModelJob* root : roots) stop(*root, Why::kCancelled);
  settle_down();
  commit();
  return static_cast<int>(roots.size());
}

std::string ReferenceStore::insert(const NewJob& job) {
  const std::string code = add(job, job.parent);
  settle_down();
  commit();
  return code;
}

std::string ReferenceStore::add(const NewJob& job, const std::optional<Uuid>& parent) {
  ModelJob made;
  made.asked = job;
  made.id = job.id;
  made.parent = parent;
  made.ready = now + job.delay.count();
  made.due = made.arrived = made.ready;
  ModelJob* above = nullptr;
  if (parent) {
    above = find(*parent);
    if (above == nullptr) return "not_found";
    if (ended(above->state) || above->state == State::kRunning || above->stopping) return "conflict";
    made.deadline = above->deadline;
    made.arrived = above->arrived;
  }
  if (job.deadline) made.deadline = std::min(made.deadline.value_or(INT64_MAX), now + job.deadline->count());
  bool hopeless = false;
  State hopeless_end = State::kFailed;
  for (const Need& need : job.needs) {
    ModelJob* needed = find(need.job);
    if (needed == nullptr) return "not_found";
    if (needed->parent != parent) return "invalid_argument";
    made.needs.push_back({need.job, need.ignore_failure, !ended(needed->state)});
    if (badly(*needed) && !need.ignore_failure) {
      hopeless = true;
      hopeless_end = needed->state;
    }
  }
  made.seq = next_seq_++;
  ModelJob& stored = jobs[made.id] = made;
  if (job.held || (above != nullptr && above->state == State::kCreated))
    stored.state = State::kCreated;
  else
    place(stored);
  if (above != nullptr) wait_for_children(*above);
  if (hopeless) stop(stored, because_of(hopeless_end));
  return "ok";
}

std::vector<ModelClaim> ReferenceStore::claim(const Uuid& session, int slots) {
  std::vector<ModelClaim> claims;
  commit();
  if (slots <= 0) return claims;
  admit();
  for (ModelJob* job : in_line(by_seq())) {
    if (job->state != State::kAvailable || paused.contains(job->asked.queue)) continue;
    if (job->asked.slots > slots) break;
    slots -= job->asked.slots;
    job->state = State::kRunning;
    job->session = session;
    ++job->attempts;
    for (const auto& [place, limit] : limits_of(*job))
      if (limit->rate && job->phase.empty())
        clocks_[place] = after_start(*limit->rate, clocks_[place], Time(Duration(now)));
    const auto kids = children(job->id);
    const auto seen = std::count_if(kids.begin(), kids.end(), [](auto* k) { return !k->hidden; });
    claims.push_back({job->id, job->attempts, job->phase, static_cast<std::size_t>(seen)});
  }
  admit();  // a later phase leaves the place of a start that it has not made
  return claims;
}

void ReferenceStore::end(ModelJob& job, State state) {
  job.state = state;
  job.limited = false;
  job.ended_at = now;
  job.stopping = job.stopping && state != State::kSucceeded;
  if (state == State::kFailed) failed_now_.push_back(job.id);
}

void ReferenceStore::give_back(ModelJob& job) {
  if (job.stopping) {
    end(job, job.end_of_stop);
    return;
  }
  --job.attempts;
  make_available(job);  // at its old place: ready is not touched
}

std::string ReferenceStore::settle(const Uuid& id, const Token& token, const Ending& ending) {
  const auto found = jobs.find(id);
  if (found == jobs.end() || found->second.state != State::kRunning || found->second.token != token)
    return "lease_lost";
  ModelJob& job = found->second;
  const auto again = [&](std::int64_t after) {
    job.ready = job.due = now + after;
    job.state = State::kScheduled;
    if (after == 0) make_available(job);
  };
  if (std::holds_alternative<Succeeded>(ending)) {
    end(job, State::kSucceeded);
  } else if (job.stopping) {
    end(job, job.end_of_stop);
  } else if (const auto* out = std::get_if<FanOut>(&ending)) {
    job.state = State::kWaiting;
    job.due = job.ready = now;
    job.phase = out->next_phase;
    job.fail_fast = out->fail_fast;
    job.attempts = job.rescues = 0;
    job.progress = 0;
    for (NewJob child : out->children) {
      child.priority = job.asked.priority;
      child.queue = job.asked.queue;
      child.limit_key = job.asked.limit_key;
      add(child, id);
    }
  } else if (const auto* retry = std::get_if<RetryLater>(&ending)) {
    if (job.attempts >= job.asked.most_attempts)
      end(job, State::kFailed);
    else
      again(retry->after->count());
  } else if (const auto* snooze = std::get_if<Snooze>(&ending)) {
    --job.attempts;
    job.arrived = now + snooze->duration.count();
    again(snooze->duration.count());
  } else if (std::holds_alternative<Failed>(ending)) {
    end(job, State::kFailed);
  } else {
    give_back(job);
  }
  settle_down();
  return "ok";
}

std::string ReferenceStore::report(const ProgressReport& report) {
  const auto found = jobs.find(report.job);
  if (found == jobs.end() || found->second.state != State::kRunning || found->second.token != report.token)
    return "lease_lost";
  ModelJob& job = found->second;
  const bool moved = report.fraction.value_or(0) > job.progress;
  job.progress = std::max(job.progress, report.fraction.value_or(0));
  const bool saved = report.checkpoint && job.checkpoint != report.checkpoint;
  if (saved) job.checkpoint = report.checkpoint;
  if (moved || saved) job.rescues = 0;
  return job.stopping || (job.deadline && *job.deadline <= now) ? "stop" : "ok";
}

std::string ReferenceStore::start(const Uuid& id) {
  ModelJob* top = find(id);
  if (top == nullptr) return "not_found";
  if (ended(top->state)) return "conflict";
  for (ModelJob* job : below(*top))
    if (job->state == State::kCreated && !job->stopping) {
      job->state = State::kWaiting;
      job->arrived = std::max(job->due, now);
    }
  settle_down();
  commit();
  return "ok";
}

ReferenceStore::Why ReferenceStore::because_of(State end_of_need) {
  return end_of_need == State::kFailed ? Why::kNeedFailed : Why::kCancelled;
}

void ReferenceStore::stop(ModelJob& top, Why why) {
  for (ModelJob* job : below(top)) {
    if (ended(job->state) || job->stopping) continue;
    job->stopping = true;
    const bool fails = why == Why::kLate || (why == Why::kNeedFailed && job == &top);
    job->end_of_stop = fails ? State::kFailed : State::kCancelled;
    job->cancel_requested = !fails;
  }
}

std::string ReferenceStore::cancel(const Uuid& id) {
  ModelJob* top = find(id);
  if (top == nullptr) return "not_found";
  stop(*top, Why::kCancelled);
  settle_down();
  commit();
  return "ok";
}

std::string ReferenceStore::retry(const Uuid& id) {
  ModelJob* top = find(id);
  if (top == nullptr) return "not_found";
  if (!badly(*top)) return "conflict";
  ModelJob* above = top->parent ? &jobs.at(*top->parent) : nullptr;
  if (above != nullptr && (ended(above->state) || above->state == State::kRunning || above->stopping))
    return "conflict";
  std::vector<ModelJob*> again = {top};
  for (std::size_t i = 0; i < again.size(); ++i)
    for (ModelJob* child : children(again[i]->id))
      if (badly(*child) && !child->hidden) again.push_back(child);
  const auto reopened = [&](const Uuid& job) {
    return std::any_of(again.begin(), again.end(), [&](auto* a) { return a->id == job; });
  };
  for (ModelJob* job : again)
    for (const auto& edge : job->needs)
      if (find(edge.needed) != nullptr && badly(jobs.at(edge.needed)) && !edge.ignore &&
          !reopened(edge.needed))
        return "conflict";
  for (ModelJob* job : again) {
    for (auto& edge : job->needs) edge.open = reopened(edge.needed) || !ended(jobs.at(edge.needed).state);
    job->state = State::kWaiting;
    job->stopping = job->cancel_requested = false;
    job->attempts = job->rescues = 0;
    job->due = job->ready = now;
    ModelJob* parent = job->parent ? &jobs.at(*job->parent) : nullptr;
    if (parent != nullptr && parent->deadline) job->deadline = parent->deadline;
    if (job->asked.deadline) {
      const std::int64_t own = now + job->asked.deadline->count();
      job->deadline = parent != nullptr && parent->deadline ? std::min(*parent->deadline, own) : own;
    }
  }
  if (above != nullptr) wait_for_children(*above);
  settle_down();
  commit();
  return "ok";
}

void ReferenceStore::remove(const Uuid& id) {
  ModelJob* top = find(id);
  if (top == nullptr) return;
  for (ModelJob* job : below(*top)) job->hidden = true;
  stop(*top, Why::kCancelled);
  settle_down();
  commit();
}

bool ReferenceStore::work_off() {
  for (ModelJob* job : by_seq()) {
    if (ended(job->state)) continue;
    for (auto& edge : job->needs) {
      if (!edge.open || !ended(jobs.at(edge.needed).state)) continue;
      edge.open = false;
      const State how = jobs.at(edge.needed).state;
      if (how != State::kSucceeded && !edge.ignore) stop(*job, because_of(how));
      return true;
    }
    const auto kids = children(job->id);
    const bool live_children =
        std::any_of(kids.begin(), kids.end(), [](auto* k) { return !ended(k->state); });
    if (job->stopping && job->state != State::kRunning && !live_children) {
      end(*job, job->end_of_stop);
      return true;
    }
    const bool needs =
        std::any_of(job->needs.begin(), job->needs.end(), [](const auto& e) { return e.open; });
    if (job->state == State::kWaiting && !job->limited && !job->stopping && !needs && !live_children) {
      const bool bad = std::any_of(kids.begin(), kids.end(),
                                   [](auto* k) { return badly(*k) && !k->asked.optional && !k->hidden; });
      if (bad)
        end(*job, State::kFailed);
      else
        place(*job);
      return true;
    }
  }
  return false;
}

void ReferenceStore::settle_down() {
  for (;;) {
    // A failure is told first to what needs it, then to the siblings, before anything else happens.
    const auto failed_now = std::exchange(failed_now_, {});
    for (const Uuid& id : failed_now)
      for (ModelJob* job : by_seq())
        for (auto& edge : job->needs)
          if (!ended(job->state) && edge.open && edge.needed == id) {
            edge.open = false;
            if (!edge.ignore) stop(*job, Why::kNeedFailed);
          }
    for (const Uuid& id : failed_now) {
      const ModelJob& failed = jobs.at(id);
      if (!failed.parent || failed.asked.optional) continue;
      const ModelJob& parent = jobs.at(*failed.parent);
      if (!parent.fail_fast || parent.stopping || ended(parent.state)) continue;
      for (ModelJob* sibling : children(parent.id)) stop(*sibling, Why::kCancelled);
    }
    if (!work_off() && failed_now_.empty()) return;
  }
}

void ReferenceStore::open_session(const Uuid& session, std::int64_t lease) {
  sessions_[session] = {lease, now + lease};
}

bool ReferenceStore::alive(const Uuid& session) const {
  const auto found = sessions_.find(session);
  return found != sessions_.end() && found->second.expires > now;
}

bool ReferenceStore::renew(const Uuid& session) {
  if (!alive(session)) return false;
  sessions_.at(session).expires = now + sessions_.at(session).length;
  return true;
}

void ReferenceStore::close_session(const Uuid& session) {
  if (!alive(session)) return end_session(session);
  if (sessions_.erase(session) == 0) return;
  for (ModelJob* job : by_seq())
    if (job->state == State::kRunning && job->session == session) give_back(*job);
  settle_down();
  commit();
}

void ReferenceStore::end_session(const Uuid& session) {
  lose(session);
  commit();
}

void ReferenceStore::lose(const Uuid& session) {
  if (sessions_.erase(session) == 0) return;
  for (ModelJob* job : by_seq()) {
    if (job->state != State::kRunning || job->session != session) continue;
    if (!job->stopping && ++job->rescues >= kRescueLimit)
      end(*job, State::kFailed);
    else
      give_back(*job);
  }
  settle_down();
}

void ReferenceStore::sweep() {
  for (ModelJob* job : by_seq())
    if (job->state == State::kScheduled && job->due <= now) {
      job->ready = job->due;
      make_available(*job);
    }
  for (ModelJob* job : by_seq())
    if (!ended(job->state) && job->asked.deadline && job->deadline && *job->deadline <= now && !job->stopping)
      stop(*job, Why::kLate);
  settle_down();
}

void ReferenceStore::rescue() {
  std::vector<Uuid> dead;
  for (const auto& [id, lease] : sessions_)
    if (lease.expires <= now) dead.push_back(id);
  for (const Uuid& id : dead) lose(id);
  sweep();
  admit();
  std::vector<ModelJob*> gone;
  for (ModelJob* job : by_seq())
    if (job->hidden && ended(job->state)) {
      // Purged with the job that was named: the topmost hidden one.
      const ModelJob* top = job;
      while (top->parent && jobs.at(*top->parent).hidden) top = &jobs.at(*top->parent);
      if (ended(top->state)) gone.push_back(job);
    }
  purge(gone);
}

void ReferenceStore::prune(std::int64_t age) {
  std::vector<ModelJob*> gone;
  for (ModelJob* job : by_seq())
    if (!job->parent && ended(job->state) && job->ended_at < now - age)
      for (ModelJob* one : below(*job)) gone.push_back(one);
  purge(gone);
}

void ReferenceStore::purge(const std::vector<ModelJob*>& gone) {
  std::set<Uuid> ids;
  for (const ModelJob* job : gone) ids.insert(job->id);
  for (const Uuid& id : ids) jobs.erase(id);
  for (auto& [id, job] : jobs)
    std::erase_if(job.needs, [&](const auto& edge) { return ids.contains(edge.needed); });
  committed_ = states();
}

}  // namespace spool::model
