// Exchanges: how settlements and claims travel to spool.exchange() and back, and what the handle remembers
// between them.
//
// Thread-safe; what is remembered are hints, and may be wrong.
#pragma once

#include <map>
#include <mutex>
#include <span>
#include <unordered_map>
#include <vector>

#include "queue/store.h"
#include "store_postgres/connection.h"

namespace spool::postgres {

struct Exchanged {
  Exchange exchange;
  bool lease_lost = false;
  std::optional<Duration> next_due;  // until a job becomes due that nobody has to be told of
  std::vector<int> woken;            // lanes in which something became available
};

class Exchanges {
 public:
  [[nodiscard]] Exchanged run(Connection& db, Duration shift, Session session,
                              std::span<const Settlement> settlements, const ClaimRequest& want);

 private:
  // Where a claim begins in its lanes. Rows that were claimed stay in the index until they are vacuumed,
  // which a long transaction elsewhere may hold back for hours: so a claim does not begin at the head of the
  // line when that has been slow, but a little before the last rank that was claimed. What came in behind
  // that place (a commit that was late, a job that was given back) is found by the claims that do begin at
  // the head: all while it is quick, and otherwise so many that they take a hundredth of the time.
  class Marks {
   public:
    struct Start {
      std::vector<int> lanes;
      std::vector<std::int64_t> ranks;
      [[nodiscard]] bool at_head() const { return lanes.empty(); }
    };
    [[nodiscard]] Start start() const;
    void claimed(int lane, std::int64_t rank) { last_[lane] = rank; }
    void took(const Start& start, Duration time, std::size_t claimed);

   private:
    std::map<int, std::int64_t> last_;
    int slow_in_a_row_ = 0;
    BootClock::time_point slow_until_{};
  };

  [[nodiscard]] std::vector<std::optional<std::int64_t>> seqs_of(std::span<const Settlement> settlements);
  void read_claim(Rows& rows, std::vector<Claim>& claims);

  std::mutex mutex_;
  std::unordered_map<Uuid, std::int64_t> seqs_;  // of jobs that were claimed here, and not settled
  Marks marks_;
};

}  // namespace spool::postgres
