// ReferenceStore: what a store should do, written for reading and not for speed: no counters, no indexes, one
// map, and rules that are applied until none fits any more. Time is a number that its user moves.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "queue/store.h"

namespace spool::model {

struct ModelJob {
  NewJob asked;
  Uuid id;
  std::int64_t seq = 0;
  std::optional<Uuid> parent;
  struct Edge {
    Uuid needed;
    bool ignore = false;
    bool open = true;
  };
  std::vector<Edge> needs;

  State state = State::kAvailable;
  State end_of_stop = State::kCancelled;
  bool stopping = false;
  bool cancel_requested = false;
  bool hidden = false;
  bool limited = false;  // waiting for a place of a limit
  std::string phase;
  bool fail_fast = false;
  int attempts = 0;
  int rescues = 0;
  double progress = 0;
  std::optional<Json> checkpoint;
  std::int64_t ready = 0, due = 0, arrived = 0;
  std::optional<std::int64_t> deadline;
  std::int64_t ended_at = 0;
  Token token;
  Uuid session;
};

struct ModelClaim {
  Uuid job;
  int attempt = 1;
  std::string phase;
  std::size_t children = 0;
  bool operator==(const ModelClaim&) const = default;
};

class ReferenceStore {
 public:
  // Microseconds; every operation happens at a later one than the operation before.
  std::int64_t now = 0;

  std::string insert(const NewJob& job);  // the name of the error's code, or "ok"
  std::vector<ModelClaim> claim(const Uuid& session, int slots);
  void gave_token(const Uuid& job, const Token& token) { jobs.at(job).token = token; }
  std::string settle(const Uuid& job, const Token& token, const Ending& ending);
  std::string report(const ProgressReport& report);
  std::string start(const Uuid& job);
  std::string cancel(const Uuid& job);
  std::string retry(const Uuid& job);
  void remove(const Uuid& job);
  void open_session(const Uuid& session, std::int64_t lease);
  bool renew(const Uuid& session);
  void close_session(const Uuid& session);
  bool alive(const Uuid& session) const;
  void end_session(const Uuid& session);
  void rescue();
  void prune(std::int64_t age);
  void sweep();  // what every exchange with free slots does first
  void set_limit(const Limit& limit);
  std::string remove_limit(LimitScope scope, const std::string& name);
  std::vector<LimitUse> limits() const;
  int clear(const std::string& queue);

  std::map<Uuid, ModelJob> jobs;
  std::set<std::string> paused;

 private:
  struct Lease {
    std::int64_t length, expires;
  };
  ModelJob* find(const Uuid& id);
  std::vector<ModelJob*> by_seq();
  std::vector<ModelJob*> children(const Uuid& id);
  std::vector<ModelJob*> below(ModelJob& top);  // with it
  void place(ModelJob& job);
  void make_available(ModelJob& job);
  // A limit that applies to a job, and the name that it applies to.
  using Place = std::pair<LimitScope, std::string>;
  std::vector<std::pair<Place, const Limit*>> limits_of(const ModelJob& job) const;
  bool has_place(const Place& place, const Limit& limit);
  void admit();
  void commit();  // admits, if a job's state has changed since the last one
  std::map<Uuid, std::pair<State, bool>> states() const;
  void begin_limits_anew();
  void lose(const Uuid& session);
  void end(ModelJob& job, State state);
  enum class Why { kCancelled, kLate, kNeedFailed };
  static Why because_of(State end_of_need);
  void stop(ModelJob& top, Why why);
  void give_back(ModelJob& job);
  bool work_off();  // one rule, once; false: none fits
  void settle_down();
  void purge(const std::vector<ModelJob*>& gone);
  std::string add(const NewJob& job, const std::optional<Uuid>& parent);

  std::map<Uuid, Lease> sessions_;
  std::map<Place, Limit> limits_;
  LimitBook book_;
  std::map<Place, Time> clocks_;  // of rates
  std::map<Uuid, std::pair<State, bool>> committed_;
  std::vector<Uuid> failed_now_;
  std::int64_t next_seq_ = 1;
};

}  // namespace spool::model
