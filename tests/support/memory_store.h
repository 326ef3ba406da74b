// MemoryStore: a Store without a database, for tests of what uses one. Small and fast rather than complete:
// no needs, unique keys, deadlines, priorities or removal (kUnsupported). What it does, it does as the
// contract says: one lease a session, fenced writes, fan-outs that park their parent, retries with limits.
// Thread-safe.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <unordered_map>

#include "queue/store.h"

namespace spool::test {

class MemoryStore : public Store {
 public:
  // Asked at the start of each call by its name; an error that it returns is the call's. May block.
  std::function<std::optional<Error>(std::string_view call)> fault;

  struct Calls {
    int exchanges = 0, renewals = 0, reports = 0, rescues = 0, sessions = 0, closed = 0;
  };
  Calls calls() {
    const std::lock_guard lock(mutex_);
    return calls_;
  }
  // The most slots that ran at once.
  int most_slots() {
    const std::lock_guard lock(mutex_);
    return most_slots_;
  }
  std::vector<ProgressReport> reported() {
    const std::lock_guard lock(mutex_);
    return reported_;
  }

  Result<Session> open_session(const WorkerInfo& worker) override {
    SPOOL_TRY(failing("open_session"));
    const std::lock_guard lock(mutex_);
    ++calls_.sessions;
    const Session session{Uuid::v7()};
    sessions_[session.id] = {worker, now_locked() + worker.lease};
    return session;
  }

  Result<void> close_session(Session session) override {
    SPOOL_TRY(failing("close_session"));
    const std::lock_guard lock(mutex_);
    if (sessions_.erase(session.id) == 0) return fail(Code::kLeaseLost, "no such session");
    ++calls_.closed;
    release_jobs_of(session.id);
    return {};
  }

  Result<Renewed> renew(Session session) override {
    SPOOL_TRY(failing("renew"));
    const std::lock_guard lock(mutex_);
    ++calls_.renewals;
    SPOOL_ASSIGN(SessionRow * row, alive(session.id));
    row->expires = now_locked() + row->worker.lease;
    Renewed renewed;
    for (auto& [id, stored] : jobs_)
      if (stored.session == session.id && stored.job.cancel_requested) renewed.cancel.push_back(id);
    return renewed;
  }

  Result<std::vector<Result<Inserted>>> insert(std::span<const NewJob> jobs) override {
    SPOOL_TRY(failing("insert"));
    const std::lock_guard lock(mutex_);
    std::vector<Result<Inserted>> inserted;
    for (const NewJob& job : jobs) inserted.push_back(Inserted{add(job, nullptr), false});
    changed_.notify_all();
    return inserted;
  }

  Result<Exchange> exchange(Session session, std::span<const Settlement> settlements,
                            const ClaimRequest& want) override {
    SPOOL_TRY(failing("exchange"));
    const std::lock_guard lock(mutex_);
    ++calls_.exchanges;
    SPOOL_TRY(alive(session.id));
    Exchange result;
    for (const Settlement& settlement : settlements) result.settled.push_back(settle(settlement));
    int free = want.slots;
    while (free > 0 && !ready_.empty() && jobs_.at(ready_.front()).job.slots <= free) {
      Stored& stored = jobs_.at(ready_.front());
      ready_.pop_front();
      if (stored.job.state != State::kAvailable) continue;
      free -= stored.job.slots;
      result.claimed.push_back(claim(stored, session.id));
    }
    most_slots_ = std::max(most_slots_, slots_);
    return result;
  }

  Result<std::vector<Result<bool>>> report(std::span<const ProgressReport> reports) override {
    SPOOL_TRY(failing("report"));
    const std::lock_guard lock(mutex_);
    ++calls_.reports;
    std::vector<Result<bool>> answers;
    for (const ProgressReport& r : reports) {
      Stored* stored = held(r.job, r.token);
      if (stored == nullptr) {
        answers.push_back(fail(Code::kLeaseLost, "stale token"));
        continue;
      }
      reported_.push_back(r);
      if (r.fraction) stored->job.progress = std::max(stored->job.progress, *r.fraction);
      if (!r.detail.is_null()) stored->job.progress_detail = r.detail;
      if (r.checkpoint) stored->job.checkpoint = *r.checkpoint;
      answers.push_back(stored->job.cancel_requested);
    }
    return answers;
  }

  Result<void> cancel(Uuid id) override {
    const std::lock_guard lock(mutex_);
    const auto it = jobs_.find(id);
    if (it == jobs_.end()) return fail(Code::kNotFound, "no such job");
    it->second.job.cancel_requested = true;
    if (it->second.job.state != State::kRunning && !ended(it->second.job.state))
      end(it->second, State::kCancelled);
    return {};
  }

  Result<Job> get(Uuid id) override {
    const std::lock_guard lock(mutex_);
    const auto it = jobs_.find(id);
    if (it == jobs_.end()) return fail(Code::kNotFound, "no such job");
    return it->second.job;
  }

  Result<std::vector<SessionInfo>> sessions() override {
    const std::lock_guard lock(mutex_);
    std::vector<SessionInfo> all;
    for (auto& [id, row] : sessions_) all.push_back({{id}, row.worker, row.expires, 0});
    return all;
  }

  Result<int> rescue() override {
    SPOOL_TRY(failing("rescue"));
    const std::lock_guard lock(mutex_);
    ++calls_.rescues;
    int changed = 0;
    for (auto it = sessions_.begin(); it != sessions_.end();) {
      if (it->second.expires > now_locked()) {
        ++it;
        continue;
      }
      changed += release_jobs_of(it->first);
      it = sessions_.erase(it);
    }
    for (auto due = later_.begin(); due != later_.end() && due->first <= now_locked();
         due = later_.erase(due)) {
      make_available(jobs_.at(due->second));
      ++changed;
    }
    return changed;
  }

  void wait(Duration most) override {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, most);
  }
  void wake() override {
    const std::lock_guard lock(mutex_);
    changed_.notify_all();
  }
  Result<Time> now() override {
    const std::lock_guard lock(mutex_);
    return now_locked();
  }
  void shift_clock_for_tests(Duration offset) override {
    const std::lock_guard lock(mutex_);
    offset_ += offset;
  }

  // For tests that wait for a state instead of sleeping; false when it did not come in 30 s.
  template <class Condition>
  bool await(Condition condition) {
    std::unique_lock lock(mutex_);
    return ended_.wait_for(lock, std::chrono::seconds(30), [&] { return condition(ended_counts_); });
  }
  using EndedCounts = std::map<State, int>;

  Result<void> start(Uuid) override { return fail(Code::kUnsupported, "start"); }
  Result<void> retry(Uuid) override { return fail(Code::kUnsupported, "retry"); }
  Result<void> remove(Uuid) override { return fail(Code::kUnsupported, "remove"); }
  Result<std::vector<Job>> list(const JobFilter&) override { return fail(Code::kUnsupported, "list"); }
  Result<std::vector<OutcomeRecord>> outcomes_since(std::int64_t, int) override {
    return fail(Code::kUnsupported, "outcomes_since");
  }
  Result<std::vector<QueueCounts>> counts() override { return fail(Code::kUnsupported, "counts"); }
  Result<int> prune(Duration, int) override { return fail(Code::kUnsupported, "prune"); }

 private:
  struct Stored {
    Job job;
    Token token;
    Uuid session;
    std::vector<Uuid> children;
    std::size_t open_children = 0;
    std::string next_phase;
  };
  struct SessionRow {
    WorkerInfo worker;
    Time expires;
  };

  Result<void> failing(std::string_view call) {
    if (fault)
      if (auto error = fault(call)) return fail(*error);
    return {};
  }
  Time now_locked() const {
    return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now()) + offset_;
  }
  Result<SessionRow*> alive(Uuid session) {
    const auto it = sessions_.find(session);
    if (it == sessions_.end() || it->second.expires <= now_locked())
      return fail(Code::kLeaseLost, "the session's lease is gone");
    return &it->second;
  }
  Stored* held(Uuid job, const Token& token) {
    const auto it = jobs_.find(job);
    if (it == jobs_.end() || it->second.job.state != State::kRunning || it->second.token != token)
      return nullptr;
    return &it->second;
  }

  Uuid add(const NewJob& from, const Stored* parent) {
    Stored stored;
    Job& job = stored.job;
    job.id = from.id.is_nil() ? Uuid::v7() : from.id;
    job.kind = from.kind;
    job.name = from.name;
    job.args = from.args;
    job.slots = from.slots;
    job.most_attempts = from.most_attempts;
    job.timeout = from.timeout;
    job.root = parent ? parent->job.root : job.id;
    if (parent) job.parent = parent->job.id;
    const Uuid id = job.id;
    make_available(jobs_[id] = std::move(stored));
    return id;
  }
  void make_available(Stored& stored) {
    stored.job.state = State::kAvailable;
    stored.session = {};
    ready_.push_back(stored.job.id);
    changed_.notify_all();
  }
  int release_jobs_of(Uuid session) {
    int released = 0;
    for (auto& [id, stored] : jobs_) {
      if (stored.job.state != State::kRunning || stored.session != session) continue;
      slots_ -= stored.job.slots;
      ++stored.job.rescues;
      --stored.job.attempts;
      make_available(stored);
      ++released;
    }
    return released;
  }

  Claim claim(Stored& stored, Uuid session) {
    Job& job = stored.job;
    job.state = State::kRunning;
    stored.session = session;
    stored.token = Token::random();
    job.token = stored.token;
    slots_ += job.slots;
    Claim c;
    c.job = job.id;
    c.root = job.root;
    c.parent = job.parent;
    c.token = stored.token;
    c.kind = job.kind;
    c.name = job.name;
    c.phase = job.phase;
    c.args = job.args;
    c.checkpoint = job.checkpoint;
    c.attempt = ++job.attempts;
    c.most_attempts = job.most_attempts;
    c.slots = job.slots;
    c.timeout = job.timeout;
    for (const Uuid& id : stored.children) {
      const Stored& child = jobs_.at(id);
      c.children.push_back({id, child.job.kind, child.job.name, child.job.state, child.job.token,
                            child.job.args, child.job.result});
    }
    return c;
  }

  Result<void> settle(const Settlement& settlement) {
    Stored* stored = held(settlement.job, settlement.token);
    if (stored == nullptr) return fail(Code::kLeaseLost, "stale token");
    if (const auto* s = std::get_if<Succeeded>(&settlement.ending))
      if (!s->result.is_null() && to_text(s->result).size() > kMostResultBytes)
        return fail(Code::kLimitExceeded, "the result is too large");
    slots_ -= stored->job.slots;
    stored->job.usage = settlement.usage;
    std::visit([&](const auto& ending) { apply(*stored, ending, settlement); }, settlement.ending);
    return {};
  }
  void apply(Stored& stored, const Succeeded& ending, const Settlement&) {
    stored.job.result = ending.result;
    stored.job.progress = 1;
    end(stored, State::kSucceeded);
  }
  void apply(Stored& stored, const FanOut& ending, const Settlement&) {
    stored.job.state = State::kWaiting;
    stored.job.phase = ending.next_phase;
    stored.job.attempts = 0;
    stored.children.clear();
    stored.open_children = ending.children.size();
    const Uuid id = stored.job.id;
    for (const NewJob& child : ending.children) {
      const Uuid child_id = add(child, &jobs_.at(id));
      jobs_.at(id).children.push_back(child_id);
    }
    if (ending.children.empty()) make_available(jobs_.at(id));
  }
  void apply(Stored& stored, const RetryLater& ending, const Settlement& settlement) {
    note(stored, ending.error, settlement);
    if (stored.job.cancel_requested) return end(stored, State::kCancelled);
    if (stored.job.attempts >= stored.job.most_attempts) return end(stored, State::kFailed);
    put_off(stored, ending.after.value_or(Duration(0)));
  }
  void apply(Stored& stored, const Snooze& ending, const Settlement&) {
    --stored.job.attempts;
    put_off(stored, ending.duration);
  }
  void apply(Stored& stored, const Failed& ending, const Settlement& settlement) {
    note(stored, ending.error, settlement);
    end(stored, stored.job.cancel_requested ? State::kCancelled : State::kFailed);
  }
  void apply(Stored& stored, const Released&, const Settlement&) {
    --stored.job.attempts;
    make_available(stored);
  }
  void note(Stored& stored, const Error& error, const Settlement& settlement) {
    AttemptError e;
    e.attempt = stored.job.attempts;
    e.error = error;
    e.log_tail = settlement.log_tail;
    stored.job.errors.push_back(std::move(e));
  }
  void put_off(Stored& stored, Duration after) {
    if (after <= Duration(0)) return make_available(stored);
    stored.job.state = State::kScheduled;
    later_.emplace(now_locked() + after, stored.job.id);
  }
  void end(Stored& stored, State state) {
    stored.job.state = state;
    ++ended_counts_[state];
    if (stored.job.parent) {
      Stored& parent = jobs_.at(*stored.job.parent);
      if (--parent.open_children == 0) make_available(parent);
    }
    ended_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_, ended_;
  std::unordered_map<Uuid, Stored> jobs_;
  std::deque<Uuid> ready_;
  std::multimap<Time, Uuid> later_;
  std::map<Uuid, SessionRow> sessions_;
  std::vector<ProgressReport> reported_;
  EndedCounts ended_counts_;
  Calls calls_;
  Duration offset_{0};
  int slots_ = 0, most_slots_ = 0;
};

}  // namespace spool::test
