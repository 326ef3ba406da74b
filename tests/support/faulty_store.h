// FaultyStore: the real store in a folder of its own, which can be made to fail, tells what was asked of it,
// and can be awaited. Back-offs take no time here. Thread-safe.
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <functional>
#include <map>
#include <mutex>

#include "contract/sqlite_backend.h"
#include "support/forwarding_store.h"

namespace spool::test {

class FaultyStore final : private SqliteBackend, public ForwardingStore {
 public:
  FaultyStore() : ForwardingStore(SqliteBackend::open()) {}

  // Asked at the start of each call by its name; an error that it returns is the call's. May block.
  std::function<std::optional<Error>(std::string_view call)> fault;
  // Asked for each settlement; an error that it returns is its answer, and the store never sees it.
  std::function<std::optional<Error>(const Settlement&)> settle_fault;
  std::function<std::optional<Error>(const ProgressReport&)> report_fault;  // the same for each report
  // Asked when an exchange is done; with an error that it returns nobody hears of that.
  std::function<std::optional<Error>(std::span<const Settlement>, const Exchange&)> answer_fault;

  std::atomic<bool> quiet = false;  // what renewals say

  struct Calls {
    int exchanges = 0, reports = 0, sessions = 0, closed = 0, handed_over = 0;
    int renewals = 0, rescues = 0, schedules = 0;
    int drains = 0;  // renewals that told the worker to drain
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
  // Waits until so many jobs have ended; false when they had not in 30 s.
  bool await_ended(int count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(30), [&] {
      return outcomes_since(0, count).value().size() >= static_cast<std::size_t>(count);
    });
  }

  // Waits until so many renewals told the worker to drain; false when they had not in 30 s.
  bool await_drains(int count) { return await(&Calls::drains, count); }
  // So many of these calls.
  bool await(int Calls::*calls, int count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(30), [&] { return calls_.*calls >= count; });
  }

  Result<Session> open_session(const WorkerInfo& worker) override {
    SPOOL_TRY(failing("open_session"));
    SPOOL_ASSIGN(const Session session, ForwardingStore::open_session(worker));
    note([&] { ++calls_.sessions; });
    return session;
  }
  Result<void> close_session(Session session) override {
    SPOOL_TRY(failing("close_session"));
    SPOOL_TRY(ForwardingStore::close_session(session));
    note([&] { ++calls_.closed; });
    return {};
  }
  Result<void> hand_over(Session from, Session heir, std::span<const Token> attempts) override {
    SPOOL_TRY(failing("hand_over"));
    SPOOL_TRY(ForwardingStore::hand_over(from, heir, attempts));
    note([&] { ++calls_.handed_over; });
    return failing("handed_over");
  }
  Result<Renewed> renew(Session session) override {
    SPOOL_TRY(failing("renew"));
    SPOOL_ASSIGN(Renewed renewed, ForwardingStore::renew(session));
    renewed.quiet = quiet;
    note([&] {
      ++calls_.renewals;
      calls_.drains += renewed.drain;
    });
    return renewed;
  }
  Result<std::vector<Schedule>> schedules() override {
    note([&] { ++calls_.schedules; });
    return ForwardingStore::schedules();
  }
  Result<Exchange> exchange(Session session, std::span<const Settlement> settlements,
                            const ClaimRequest& want) override {
    SPOOL_TRY(failing("exchange"));
    std::vector<Settlement> seen;
    std::vector<std::optional<Error>> refused;
    for (const Settlement& settlement : settlements) {
      refused.push_back(settle_fault ? settle_fault(settlement) : std::nullopt);
      if (refused.back()) continue;
      seen.push_back(settlement);
      if (auto* retry = std::get_if<RetryLater>(&seen.back().ending); retry != nullptr && !retry->after)
        retry->after = Duration(0);
    }
    SPOOL_ASSIGN(Exchange done, ForwardingStore::exchange(session, seen, want));
    for (std::size_t i = 0; i < refused.size(); ++i)
      if (refused[i])
        done.settled.insert(done.settled.begin() + static_cast<std::ptrdiff_t>(i), fail(*refused[i]));
    note([&] {
      ++calls_.exchanges;
      for (const Settlement& settlement : seen) slots_.erase(settlement.token);
      for (const Claim& claim : done.claimed) slots_[claim.token] = claim.slots;
      int now = 0;
      for (const auto& [token, slots] : slots_) now += slots;
      most_slots_ = std::max(most_slots_, now);
    });
    if (answer_fault)
      if (auto error = answer_fault(seen, done)) return fail(*error);
    return done;
  }
  // SPOOL_TEST_EXCHANGES_AT_ONCE: as if the store gained by it.
  [[nodiscard]] int exchanges_at_once() const override {
    const char* at_once = std::getenv("SPOOL_TEST_EXCHANGES_AT_ONCE");
    return at_once == nullptr ? ForwardingStore::exchanges_at_once() : std::atoi(at_once);
  }
  Result<std::vector<Result<bool>>> report(std::span<const ProgressReport> reports) override {
    SPOOL_TRY(failing("report"));
    std::vector<ProgressReport> seen;
    std::vector<std::optional<Error>> refused;
    for (const ProgressReport& report : reports) {
      refused.push_back(report_fault ? report_fault(report) : std::nullopt);
      if (!refused.back()) seen.push_back(report);
    }
    SPOOL_ASSIGN(auto answers, ForwardingStore::report(seen));
    for (std::size_t i = 0; i < refused.size(); ++i)
      if (refused[i]) answers.insert(answers.begin() + static_cast<std::ptrdiff_t>(i), fail(*refused[i]));
    note([&] {
      ++calls_.reports;
      for (std::size_t i = 0; i < reports.size(); ++i)
        if (answers[i]) reported_.push_back(reports[i]);
    });
    return answers;
  }
  Result<void> cancel(Uuid job) override {
    SPOOL_TRY(ForwardingStore::cancel(job));
    note([] {});
    return {};
  }
  Result<std::vector<PurgedJob>> purged(int most) override {
    SPOOL_TRY(failing("purged"));
    return ForwardingStore::purged(most);
  }
  Result<Time> now() override {
    SPOOL_TRY(failing("now"));
    return ForwardingStore::now();
  }
  Result<int> rescue(int most) override {
    SPOOL_TRY(failing("rescue"));
    SPOOL_ASSIGN(const int changed, ForwardingStore::rescue(most));
    note([&] { ++calls_.rescues; });
    return changed;
  }

 private:
  Result<void> failing(std::string_view call) {
    if (fault)
      if (auto error = fault(call)) return fail(*error);
    return {};
  }
  template <class Change>
  void note(Change change) {
    const std::lock_guard lock(mutex_);
    change();
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<ProgressReport> reported_;
  std::map<Token, int> slots_;  // of what runs
  Calls calls_;
  int most_slots_ = 0;
};

}  // namespace spool::test
