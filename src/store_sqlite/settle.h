// Settler: what becomes of an attempt that ended. In one write transaction.
#pragma once

#include <unordered_map>

#include "store_sqlite/insert.h"

namespace spool::sqlite {

class Settler {
 public:
  Settler(LifeCycle& life, Lanes& lanes) : life_(life), db_(life.db()), lanes_(lanes) {}

  // What the session runs of these will be settled: read at once what would be read one by one.
  void expect(std::int64_t session, Seq first, Seq last);
  // kLeaseLost when the token is stale; nothing has changed then.
  [[nodiscard]] Result<void> settle(const Settlement& settlement);
  // The worker of a running attempt is gone: charges a rescue.
  void rescue(Seq job, const std::string& worker);
  // The worker gives it back: charges nothing.
  void release(Seq job);

 private:
  struct Held {  // a running attempt
    Node node;
    Token token;
    int most_attempts = 3;
    int rescues = 0;
    AttemptTrace trace;
  };
  [[nodiscard]] std::optional<Held> held(const Uuid& job, const Token& token);
  [[nodiscard]] static Held read(const Rows& row);
  void settle(Held& held, const Settlement& s, const Succeeded& ending);
  void settle(Held& held, const Settlement& s, const FanOut& ending);
  void settle(Held& held, const Settlement& s, const RetryLater& ending);
  void settle(Held& held, const Settlement& s, const Snooze& ending);
  void settle(Held& held, const Settlement& s, const Failed& ending);
  void settle(Held& held, const Settlement& s, const Released& ending);

  [[nodiscard]] std::optional<Error> fan_out(const Held& held, const FanOut& ending);
  void fail_for_good(Held& held, const Settlement& s, const Error& error);
  void note_failure(const Held& held, const Settlement& s, const Error& error);
  void add_usage(const Held& held);
  void again(const Held& held, Duration after);

  LifeCycle& life_;
  Database& db_;
  Lanes& lanes_;
  std::unordered_map<Uuid, Held> expected_;
};

}  // namespace spool::sqlite
