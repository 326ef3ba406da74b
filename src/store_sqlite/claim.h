// Claimer: gives a session what it has free slots for. In one write transaction.
#pragma once

#include <vector>

#include "store_sqlite/lanes.h"
#include "store_sqlite/life_cycle.h"

namespace spool::sqlite {

class Claimer {
 public:
  Claimer(LifeCycle& life, Lanes& lanes) : life_(life), db_(life.db()), lanes_(lanes), now_(life.now()) {}

  // In the order of rank over all lanes that are open to the worker. A job at the head that does not fit the
  // free slots keeps them for itself: nothing behind it is claimed.
  [[nodiscard]] std::vector<Claim> claim(std::int64_t session, const ClaimRequest& want);
  // Of what claim() gave, in its order.
  [[nodiscard]] const std::vector<Seq>& seqs() const { return seqs_; }

 private:
  struct Pick {
    std::int64_t rank;
    Seq seq;
  };
  struct Picked {
    Seq seq;
    int slots;
  };
  struct Head;  // of a lane
  [[nodiscard]] std::vector<Picked> pick(const std::vector<const Lane*>& lanes, const ClaimRequest& want);
  void refill(Head& head, std::size_t most);
  [[nodiscard]] std::vector<Claim> claim_from(const Lane& lane, const ClaimRequest& want);
  [[nodiscard]] Claim take(const Picked& job);
  [[nodiscard]] Claim read(const Rows& row, int slots);
  void run(std::int64_t session, const std::vector<Claim>& claims);
  [[nodiscard]] std::vector<ChildResult> children_of(Seq seq);

  LifeCycle& life_;
  Database& db_;
  Lanes& lanes_;
  Time now_;
  std::vector<Seq> seqs_;  // of what was claimed, in its order
};

}  // namespace spool::sqlite
