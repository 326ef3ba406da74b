// Gates: the places of limits (queue/limit.h), and who waits for one. A part of LifeCycle; lives as long as
// one write transaction. As long as no limit is set, all of it is one comparison.
#pragma once

#include <set>
#include <span>
#include <string>
#include <vector>

#include "queue/limit.h"
#include "store_sqlite/database.h"

namespace spool::sqlite {

using Seq = std::int64_t;

// The limits as a handle knows them: read again when another one changed them.
class KnownLimits {
 public:
  [[nodiscard]] const LimitBook& book(Database& db);
  void forget() { version_ = -1; }  // after a rollback

 private:
  std::int64_t version_ = -1;
  LimitBook book_;
};

// What a live job was, when it gives its places back.
enum class Held { kAvailable, kRunning };

class Gates {
 public:
  Gates(Database& db, Time now, KnownLimits& known) : db_(db), now_(now), known_(known) {}

  // A job that would become available, in the line of its limit; false when none applies to it.
  [[nodiscard]] bool keeps_back(Seq job, std::int64_t rank, Time ready);
  void gave_back(Seq job, Held held);
  void started(std::span<const Seq> jobs);
  // Gives out the places that there are, also those whose time has come. Returns how many jobs became
  // available.
  int admit();

  void set(const Limit& limit);
  void remove(LimitScope scope, const std::string& name);  // throws kNotFound
  // Gates of which nothing is to be remembered.
  void drop_idle();

 private:
  struct Gate;    // with its limit, while places are given out
  struct Waiter;  // the first in the line of a gate
  class Admission;

  [[nodiscard]] bool any() { return !book().empty(); }
  [[nodiscard]] const LimitBook& book();
  [[nodiscard]] std::int64_t number_of(LimitScope scope, const std::string& name);
  template <class Visit>
  void for_each_limit_of(Seq job, Visit visit);
  void begin_anew();
  void make_gates();

  Database& db_;
  Time now_;
  KnownLimits& known_;
  const LimitBook* book_ = nullptr;  // asked for once a transaction
  std::set<std::int64_t> touched_;   // a place may have come back, or a clock has to be set
};

[[nodiscard]] std::vector<Limit> read_limits(Database& db);

}  // namespace spool::sqlite
