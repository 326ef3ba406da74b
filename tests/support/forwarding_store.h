// ForwardingStore: hands every call on to another store. For tests that change one of them.
#pragma once

#include <memory>

#include "queue/store.h"

namespace spool::test {

class ForwardingStore : public Store {
 public:
  explicit ForwardingStore(std::unique_ptr<Store> store) : store_(std::move(store)) {}

  Result<Session> open_session(const WorkerInfo& worker) override { return store_->open_session(worker); }
  Result<void> close_session(Session session) override { return store_->close_session(session); }
  Result<void> hand_over(Session from, Session heir, std::span<const Token> attempts) override {
    return store_->hand_over(from, heir, attempts);
  }
  Result<Renewed> renew(Session session) override { return store_->renew(session); }
  Result<void> drain(Session session) override { return store_->drain(session); }
  Result<std::vector<Result<Inserted>>> insert(std::span<const NewJob> jobs) override {
    return store_->insert(jobs);
  }
  Result<Exchange> exchange(Session session, std::span<const Settlement> settlements,
                            const ClaimRequest& want) override {
    return store_->exchange(session, settlements, want);
  }
  [[nodiscard]] int exchanges_at_once() const override { return store_->exchanges_at_once(); }
  Result<std::vector<Result<bool>>> report(std::span<const ProgressReport> reports) override {
    return store_->report(reports);
  }
  Result<void> start(Uuid job) override { return store_->start(job); }
  Result<void> cancel(Uuid job) override { return store_->cancel(job); }
  Result<void> retry(Uuid job) override { return store_->retry(job); }
  Result<void> remove(Uuid job) override { return store_->remove(job); }
  Result<void> pause_queue(const std::string& queue) override { return store_->pause_queue(queue); }
  Result<void> resume_queue(const std::string& queue) override { return store_->resume_queue(queue); }
  Result<int> clear_queue(const std::string& queue, int most) override {
    return store_->clear_queue(queue, most);
  }
  Result<void> set_limit(const Limit& limit) override { return store_->set_limit(limit); }
  Result<void> remove_limit(LimitScope scope, const std::string& name) override {
    return store_->remove_limit(scope, name);
  }
  Result<std::vector<LimitUse>> limits() override { return store_->limits(); }
  Result<void> put_schedule(const Schedule& schedule) override { return store_->put_schedule(schedule); }
  Result<void> pause_schedule(const std::string& name, bool paused) override {
    return store_->pause_schedule(name, paused);
  }
  Result<void> remove_schedule(const std::string& name) override { return store_->remove_schedule(name); }
  Result<std::vector<Schedule>> schedules() override { return store_->schedules(); }
  Result<bool> tick(const std::string& schedule, Time expected, Time next,
                    std::span<const NewJob> jobs) override {
    return store_->tick(schedule, expected, next, jobs);
  }
  Result<Job> get(Uuid job) override { return store_->get(job); }
  Result<std::vector<Job>> list(const JobFilter& filter) override { return store_->list(filter); }
  Result<std::vector<OutcomeRecord>> outcomes_since(std::int64_t sequence, int most) override {
    return store_->outcomes_since(sequence, most);
  }
  Result<std::vector<SessionInfo>> sessions() override { return store_->sessions(); }
  Result<std::vector<QueueCounts>> counts() override { return store_->counts(); }
  Result<int> rescue(int most) override { return store_->rescue(most); }
  Result<int> prune(const PruneRules& rules, int most) override { return store_->prune(rules, most); }
  Result<std::vector<PurgedJob>> purged(int most) override { return store_->purged(most); }
  Result<void> forget_purged(std::span<const Uuid> jobs) override { return store_->forget_purged(jobs); }
  void wait(Duration most) override { store_->wait(most); }
  void wake() override { store_->wake(); }
  Result<Time> now() override { return store_->now(); }
  void shift_clock_for_tests(Duration offset) override { store_->shift_clock_for_tests(offset); }

 private:
  std::unique_ptr<Store> store_;
};

}  // namespace spool::test
