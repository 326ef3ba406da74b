// Notifier: lets threads sleep until there may be work, and tells other processes that there is. Thread-safe.
//
// One thread with a connection of its own, made when first needed. It listens where the connection leads to
// the server itself; behind PgBouncer in transaction mode a LISTEN would reach somebody else, and wait()
// merely ends sooner. What is heard is a hint: whoever misses one finds the work at its next poll.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "store_postgres/connection.h"

namespace spool::postgres {

// NOTIFY's channel. Any payload wakes whoever listens, but for the handle that it begins with.
inline constexpr const char* kChannel = "spool";

class Notifier {
 public:
  // `heartbeat`: how often the connection is asked whether it still lives.
  explicit Notifier(Conninfo conninfo, Duration heartbeat = std::chrono::seconds(60));
  Notifier(const Notifier&) = delete;
  Notifier& operator=(const Notifier&) = delete;
  ~Notifier();  // says what is left to say

  // Until something was told since this thread last returned from here, a job became due, or `most` passed (a
  // second where nothing can be heard).
  void wait(Duration most);
  void wake();  // the threads of this process
  // Something became available in these lanes: wakes the threads of this process, and soon the other
  // processes. What comes while a NOTIFY is under way goes with the next one. Does not wait, does not fail.
  void tell(const std::vector<int>& lanes);
  // Whether this process has no free slot: then it need not be told, and others save themselves the telling.
  // Not busy at first.
  void busy(bool busy);
  // A job becomes due by itself then; none: nothing that is known.
  void due_in(std::optional<Duration> time);

  [[nodiscard]] bool listening() const;

 private:
  void start_thread();  // with mutex_ held
  void kick();
  void run();
  void serve(Connection& db);
  void begin_listening(Connection& db, bool& said);  // once somebody waits
  void say_whether_it_waits(Connection& db, bool& said);
  [[nodiscard]] bool heard_others(Connection& db) const;
  [[nodiscard]] std::optional<std::string> next_payload();  // none: nothing to say
  void pause();

  const Conninfo conninfo_;
  const Duration heartbeat_;
  const std::string handle_;  // what our own notifications begin with
  const int event_;           // an eventfd: the thread has something to do

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t generation_ = 1;
  std::unordered_map<std::thread::id, std::uint64_t> seen_;  // so that no thread takes another one's wake-up
  std::optional<BootClock::time_point> due_;
  std::set<int> to_tell_;
  bool wants_to_listen_ = false, listening_ = false, busy_ = false, ending_ = false;
  std::thread thread_;
};

}  // namespace spool::postgres
