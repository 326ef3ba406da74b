// Store: where jobs live. The queue's one interface to a database.
//
// Every change is durable when its call returns. A call is one transaction, or (in batches) one in which a
// bad item fails alone. All methods may be called from any thread; implementations serialise or pool inside.
// The clock is the store's: callers pass durations. Every write of an attempt carries (job, token); a stale
// token gets kLeaseLost and changes nothing. tests/contract/store_contract.h is the full description.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "queue/job.h"
#include "queue/limit.h"
#include "queue/schedule.h"

namespace spool {

struct WorkerInfo {
  std::string host;
  int pid = 0;
  std::string version;
  int slots = 0;
  std::vector<std::string> tags;
  Duration lease = std::chrono::seconds(30);
};

// A worker's lease. One row; its renewal keeps all its attempts alive.
struct Session {
  Uuid id;
};

struct Inserted {
  Uuid id;
  bool existed = false;  // the same id with the same body, or the holder of its unique key
};

struct ClaimRequest {
  int slots = 0;      // free ones; 0 claims nothing
  int all_slots = 0;  // of the worker: a job that needs more can never run here
  int most_jobs = 1 << 30;
  std::vector<std::string> queues;  // empty: all
  std::vector<std::string> tags;    // a job's tags must be among them
  bool poll = false;                // it is only time to ask again: most likely nothing is there
};

struct Exchange {
  std::vector<Result<void>> settled;  // one for each settlement, in order
  std::vector<Claim> claimed;
};

struct ProgressReport {
  Uuid job;
  Token token;
  std::optional<double> fraction;  // 0..1; a smaller one than before is ignored
  Json detail;                     // null: unchanged
  std::optional<Json> checkpoint;  // at most 64 KiB
};

// What a worker must do to attempts of its own, learned at renewal and from reports; and what it is asked
// for.
struct Renewed {
  std::vector<Uuid> cancel;  // asked to stop
  std::vector<Uuid> past_deadline;
  bool drain = false;
  // Nobody has to be rescued, nothing is due or left to sweep, and no schedule ticks soon: there is nothing
  // to look for before the next renewal. Never said by a store that does not look.
  bool quiet = false;
};

struct JobFilter {
  std::optional<Uuid> root;  // the whole tree, in order of insertion
  std::optional<Uuid> parent;
  bool roots_only = false;
  std::optional<State> state;
  std::string kind, owner, queue;   // empty: any
  std::optional<Uuid> first, last;  // ids from this one to that one, both included
  bool newest_first = false;        // against the order of insertion
  std::optional<Uuid> after;        // cursor: the last job of the page before
  int most = 100;
};

// One job that ended, or was opened again, in commit order: the log that webhooks and event streams read.
struct OutcomeRecord {
  std::int64_t sequence = 0;
  Uuid job, root;
  State state = State::kSucceeded;
  Time at{};
};

struct RunningJob {
  Uuid job;
  std::string kind, name;
  int slots = 1;
  Time claimed{};
};

struct SessionInfo {
  Session session;
  WorkerInfo worker;
  Time expires{};
  bool draining = false;            // drain() asked for it
  std::vector<RunningJob> running;  // in the order of insertion
};

// A queue that has jobs, or is paused.
struct QueueCounts {
  std::string queue;
  bool paused = false;
  std::int64_t counts[kStateCount] = {};
  std::int64_t limited = 0;          // of the waiting ones: those that wait for a limit (Job::limited)
  std::optional<Time> oldest_ready;  // the oldest Job::ready among the first 100 of each line
};

// What of ended trees goes: those that ended longer than `age` ago, and of each queue all but the `keep` that
// ended last. One of them at least; with both, what either says. A tree is in the queue of its root.
struct PruneRules {
  std::string queue;                // empty: each queue, for itself
  std::vector<std::string> except;  // but none of these
  std::optional<Duration> age;
  std::optional<std::int64_t> keep;
  bool with_outputs = false;  // as of a removed job: what it published goes too
};

// A job that is gone, but for its objects.
struct PurgedJob {
  Uuid id, root;
  std::string name;
  bool with_outputs = false;  // what it published goes too: of removed jobs, of pruned ones when asked
};

inline constexpr int kMostRescued = 1000;

class Store {
 public:
  virtual ~Store() = default;

  // A worker comes and goes. close_session releases what it still runs (no attempt is charged); when the
  // lease was lost already, its jobs are rescued, and that is charged.
  virtual Result<Session> open_session(const WorkerInfo& worker) = 0;
  virtual Result<void> close_session(Session session) = 0;
  // Renews `heir` and closes `from`, whose worker goes on as `heir` with the attempts that it knows of: they
  // keep their tokens. What else it runs, by an exchange whose answer was lost, is released, and no exchange
  // of `from` that is still on its way claims anything more. May be called again. Errors: kLeaseLost when one
  // of both leases was lost.
  virtual Result<void> hand_over(Session from, Session heir, std::span<const Token> attempts) = 0;
  // Errors: kLeaseLost when the lease was lost; the session is then gone for good.
  virtual Result<Renewed> renew(Session session) = 0;
  // Its worker shall claim no more and end when what it runs has ended; it learns so when it renews its
  // lease. Idempotent. Errors: kNotFound.
  virtual Result<void> drain(Session session) = 0;

  // One result for each job, in order. Errors: kInvalidArgument (no kind, a need that is no sibling),
  // kLimitExceeded, kConflict (the id has another body; its parent runs or has ended), kNotFound (its parent,
  // a need). A live parent that does not run waits for the new child; below a held parent a job is held.
  virtual Result<std::vector<Result<Inserted>>> insert(std::span<const NewJob> jobs) = 0;
  // Settle, wake what waited, and claim: one commit. A settlement that is answered with kUnavailable is not
  // made now (another transaction holds its tree): again later. An ending that cannot be kept (a result too
  // large, children that insert would refuse) settles the attempt as Failed. Errors: kLeaseLost when the
  // session's lease is gone; then nothing is settled and nothing claimed.
  virtual Result<Exchange> exchange(Session session, std::span<const Settlement> settlements,
                                    const ClaimRequest& want) = 0;
  // How many exchanges of one worker pay at the same time.
  [[nodiscard]] virtual int exchanges_at_once() const { return 1; }
  // For each report: true when the attempt has been asked to stop. kUnavailable as in exchange().
  virtual Result<std::vector<Result<bool>>> report(std::span<const ProgressReport> reports) = 0;

  virtual Result<void> start(Uuid job) = 0;
  virtual Result<void> cancel(Uuid job) = 0;  // and all below it; idempotent
  virtual Result<void> retry(Uuid job) = 0;   // re-opens what failed below it; finished work is kept
  virtual Result<void> remove(
      Uuid job) = 0;  // cancels, hides, purges when the last attempt is gone; idempotent

  // Nothing of a paused queue is claimed; all else goes on. Both are idempotent, and need no job of that
  // queue. Errors of what takes a queue's name: kInvalidArgument.
  virtual Result<void> pause_queue(const std::string& queue) = 0;
  virtual Result<void> resume_queue(const std::string& queue) = 0;
  // Cancels trees whose root is in that queue and lives, and of which nothing has begun: no job of it runs,
  // or has attempts, rescues or a phase. At most so many trees; returns how many: fewer than `most` says that
  // all is done.
  virtual Result<int> clear_queue(const std::string& queue, int most) = 0;

  // See queue/limit.h. A limit of the same scope and name is replaced. Errors: kInvalidArgument.
  virtual Result<void> set_limit(const Limit& limit) = 0;
  virtual Result<void> remove_limit(LimitScope scope, const std::string& name) = 0;  // kNotFound
  virtual Result<std::vector<LimitUse>> limits() = 0;                                // by scope and name

  // A schedule of the same name is replaced, `next` and all. Errors: kInvalidArgument, also where insert
  // would refuse the job by itself. Cron expression and zone are the caller's to check.
  virtual Result<void> put_schedule(const Schedule& schedule) = 0;
  virtual Result<void> pause_schedule(const std::string& name, bool paused) = 0;  // kNotFound
  virtual Result<void> remove_schedule(const std::string& name) = 0;              // kNotFound
  virtual Result<std::vector<Schedule>> schedules() = 0;                          // by name
  // Moves a schedule from `expected` to `next` and inserts the jobs of what passed, in one commit. True for
  // the one caller who finds `expected` there; false, and nothing has changed, for all others, when the
  // schedule is gone, and when it is paused and there are jobs. An error of a job (insert's) is the call's.
  virtual Result<bool> tick(const std::string& schedule, Time expected, Time next,
                            std::span<const NewJob> jobs) = 0;

  virtual Result<Job> get(Uuid job) = 0;
  // In the order of insertion.
  virtual Result<std::vector<Job>> list(const JobFilter& filter) = 0;
  virtual Result<std::vector<OutcomeRecord>> outcomes_since(std::int64_t sequence, int most) = 0;
  virtual Result<std::vector<SessionInfo>> sessions() = 0;
  virtual Result<std::vector<QueueCounts>> counts() = 0;

  // Makes jobs of dead sessions available again, moves due jobs, ends what is past its deadline, purges
  // removed trees. Every worker calls it now and then; returns how many jobs it changed. It ends its turn
  // soon after `most`, for leases are renewed beside it: then there may be more to do.
  virtual Result<int> rescue(int most = kMostRescued) = 0;
  // Forgets ended trees by those rules, at most so many jobs; returns how many went. A tree of which a part
  // is gone is not seen any more. Errors: kInvalidArgument (no rule, or less than nothing).
  virtual Result<int> prune(const PruneRules& rules, int most) = 0;
  // Jobs that were purged, by either way, and whose objects are still there: known until forget_purged() says
  // that they are gone. Their ids are taken (kConflict) until then.
  virtual Result<std::vector<PurgedJob>> purged(int most) = 0;
  virtual Result<void> forget_purged(std::span<const Uuid> jobs) = 0;

  // Blocks until something may have become claimable, `most` passed, or stop() was called by wake().
  // A hint only. wake() may be called from any thread, also for work of this process.
  virtual void wait(Duration most) = 0;
  virtual void wake() = 0;

  virtual Result<Time> now() = 0;
  virtual void shift_clock_for_tests(Duration offset) = 0;
};

}  // namespace spool
