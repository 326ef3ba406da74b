// ReportBox: what attempts say of themselves until the store has it. Thread-safe.
//
// Of progress the latest wins and goes out at most once an interval a job; a checkpoint goes out at once (and
// then waits for a tenth of the interval). What a job said last is never lost: before its attempt is settled,
// flush() brings it to the store, waiting for a send that is under way.
#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "queue/store.h"

namespace spool {

class ReportBox {
 public:
  // What came of reports that the store has seen.
  struct Sent {
    std::vector<Uuid> cancel;        // asked to stop
    std::vector<Uuid> lost;          // the token is stale
    std::vector<Uuid> checkpointed;  // committed
    std::vector<Uuid> held;          // not now: what they said waits for the next time
  };

  explicit ReportBox(Duration interval) : interval_(interval) {}

  // Returns true when it is due earlier than anything before it: wake the sender.
  bool put(ProgressReport report, BootClock::time_point now);
  // When the next send is due; max() when nothing is waiting.
  [[nodiscard]] BootClock::time_point due() const;
  // Nothing is waiting or on its way. Does not wait.
  [[nodiscard]] bool is_idle() const;
  // Errors: the store's; what was to be sent waits for the next time.
  Result<Sent> send_due(Store& store, BootClock::time_point now);
  // Everything of these jobs, whatever the interval; then they are forgotten.
  Result<Sent> flush(Store& store, std::span<const Settlement> ending);
  void keep_only(const std::set<Uuid>& jobs);

 private:
  struct Entry {
    std::optional<ProgressReport> waiting;
    BootClock::time_point last{};  // sent
    BootClock::time_point due = BootClock::time_point::max();
  };
  Result<Sent> send(Store& store, std::vector<ProgressReport> reports);
  void put_back(std::vector<ProgressReport>& reports);

  const Duration interval_;
  mutable std::mutex mutex_;
  mutable std::mutex sending_;  // held over a send; taken before mutex_
  std::unordered_map<Uuid, Entry> entries_;
};

}  // namespace spool
