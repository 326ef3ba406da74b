// The inside of a Worker, for worker.cpp (the loop) and worker_threads.cpp (keeper, watch, listener, sweeper)
// alone.
#pragma once

#include <array>
#include <condition_variable>
#include <deque>
#include <future>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "queue/follow_ups.h"
#include "queue/object_watch.h"
#include "queue/report_box.h"
#include "queue/running_attempts.h"
#include "queue/worker.h"

namespace spool {

class Scheduler;

// What an error of the store says of the call, and of the next one.
enum class Fate {
  kPassing,    // busy, away or full: it changed nothing, and is worth another try
  kInDoubt,    // it may have happened
  kLeaseLost,  // the session is gone
  kFinal,
};
[[nodiscard]] Fate fate_of(const Error& error);

// Waiting for the store, of one kind of call. The worker's share `waiting`, so that one outage is said once,
// and once when it is over for all of them.
class StoreTrouble {
 public:
  explicit StoreTrouble(std::atomic<int>& waiting) : waiting_(waiting) {}
  StoreTrouble(const StoreTrouble&) = delete;
  StoreTrouble& operator=(const StoreTrouble&) = delete;
  ~StoreTrouble() { forget(); }
  // How long to wait before the next try.
  Duration failed(const Error& error);
  void over();
  void forget();  // the same without a word

 private:
  std::atomic<int>& waiting_;
  Duration wait_{0};
};

struct Worker::State {
  State(Store& s, const Kinds& k, WorkerOptions o)
      : store(s),
        kinds(k),
        options(std::move(o)),
        running(options.grace),
        reports(options.report),
        follow_ups(s),
        objects({options.ask_objects, [this](Settlement settlement) { add_ended(std::move(settlement)); },
                 [this] { return running.tokens(); }, [this] { notify_loop(&State::hint); },
                 std::min<Duration>(options.poll, std::chrono::seconds(1))}) {}

  // Shared by all threads -------------------------------------------------------------------------------
  Store& store;
  const Kinds& kinds;
  const WorkerOptions options;
  std::array<Executor*, 2> executors{};
  RunningAttempts running;
  ReportBox reports;
  FollowUps follow_ups;
  ObjectWatch objects;
  std::atomic<int> waiting = 0;                                           // StoreTroubles
  std::atomic<BootClock::time_point> away{BootClock::time_point::min()};  // when it last was, for the session

  // What wakes the loop. Executors push endings here, in any number of threads.
  std::mutex wake_mutex;
  std::condition_variable wake_loop;
  std::vector<Settlement> ended;
  std::size_t enough_ended = 1;  // to wake the loop
  int answered = 0;              // exchanges that are back
  bool loop_waits = false;
  bool hint = false;   // the store may have something
  bool armed = false;  // the listener shall listen
  std::condition_variable wake_listener;
  bool drain = false, stop = false;
  bool finishing = false;
  bool lease_lost = false;
  bool listener_ended = false;

  // The lease. `until` is by our own clock, and earlier than the store's idea of it.
  std::mutex lease_mutex;
  std::condition_variable wake_keeper, wake_watch, wake_sweeper;
  Session session;
  BootClock::time_point lease_until{};
  BootClock::time_point watch_until{};  // what the watch sleeps to
  bool open = false;                    // there is a session
  bool handing_over = false;            // it may be gone, and another one is ours
  bool threads_end = false;
  bool reports_due = false;
  bool sweep_due = false;
  std::atomic<bool> quiet = false;  // as the last renewal said

  void add_ended(Settlement settlement);
  void add_report(ProgressReport report);
  void notify_loop(bool State::*flag);
  void lose_lease(std::string_view why);

  // keeper, watch, listener, sweeper (worker_threads.cpp)
  void keep();
  void watch();
  void listen();
  void sweep();
  void renew(StoreTrouble& trouble, BootClock::time_point& next);
  void drain_as_asked();
  void rescue(StoreTrouble& trouble, BootClock::time_point& next);
  [[nodiscard]] Duration time_to_return() const;
  [[nodiscard]] Duration housekeeping() const;  // between rescues, and between sweeps
  Duration tick(Scheduler& scheduler, StoreTrouble& trouble);
  void send_reports(StoreTrouble& trouble);
  void act_on(const ReportBox::Sent& answers);

  // The loop's own (worker.cpp) -------------------------------------------------------------------------
  struct Batch {
    std::vector<Settlement> settlements;
    std::vector<RunningAttempt> attempts;  // of those settlements
    void add(Settlement settlement, RunningAttempt attempt);
    void clear();
  };
  // An exchange that is on its way, and nobody else's until it is back.
  struct Sent {
    Batch batch;
    ClaimRequest want;
    std::future<Result<Exchange>> answer;
  };
  Batch to_settle;
  Batch held_back;  // not now: another transaction holds their trees
  BootClock::time_point held_until{};
  std::deque<Sent> under_way;           // in the order of their sending
  std::set<Uuid> refused;               // settlements that were replaced by a failure once
  std::set<std::string> unknown_kinds;  // told about
  StoreTrouble trouble{waiting};
  std::optional<Session> heir;  // that has been opened for hand_over()
  bool polls = false;           // nobody has said that there is something to claim
  bool in_doubt = false;        // an exchange: nothing more is sent before hand_over() tells what it did

  enum class Turn { kBusy, kWaiting, kIdle, kTrouble };  // kWaiting: for an exchange, or an ending
  Result<void> loop(const std::function<bool()>& until);
  Result<bool> open_session();
  Result<bool> begin_anew();
  [[nodiscard]] WorkerInfo info() const;
  Result<Turn> hand_over();
  void close_heir();
  Result<Turn> turn(bool claim);
  void collect_ended();
  void add_settlement(RunningAttempt attempt, Settlement settlement);
  void put_back(Batch batch);
  void hold_back(const std::vector<Uuid>& jobs);
  void hold_back(Settlement settlement, RunningAttempt attempt);
  [[nodiscard]] bool all_settled() const;
  [[nodiscard]] std::size_t at_once() const;
  [[nodiscard]] std::size_t worth_a_second() const;
  [[nodiscard]] Batch next_batch();
  [[nodiscard]] int free_slots() const;
  void send(Batch batch, ClaimRequest want);
  Result<Turn> receive();
  std::optional<Error> after_exchange(Batch batch, const std::vector<Result<void>>& settled);
  void begin(std::vector<Claim> claims);
  // nullptr: jobs of this kind do not run here.
  [[nodiscard]] Executor* executor_of(const Kind* kind, const std::string& phase) const;
  void give_back(const Claim& claim, Ending ending);
  bool sleep(Duration most, Turn why);
  void pause(Duration duration);
  Result<void> finish(bool call_follow_ups);
  Result<Turn> passing(const Error& error);
  [[nodiscard]] bool is_full_for_good(const Error& error) const;
};

}  // namespace spool
