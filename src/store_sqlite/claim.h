// Claimer: gives a session what it has free slots for. In one write transaction.
#pragma once

#include <vector>

#include "store_sqlite/lanes.h"
#include "store_sqlite/life_cycle.h"

namespace spool::sqlite {

class Claimer {
 public:
  Claimer(LifeCycle& life, Lanes& lanes) : db_(life.db()), lanes_(lanes), now_(life.now()) {}

  // In the order of rank over all lanes that are open to the worker. A job at the head that does not fit the
  // free slots keeps them for itself: nothing behind it is claimed.
  [[nodiscard]] std::vector<Claim> claim(std::int64_t session, const ClaimRequest& want);

 private:
  struct Pick {
    std::int64_t rank;
    Seq seq;
  };
  struct Head;  // of a lane
  [[nodiscard]] std::vector<Seq> pick(const ClaimRequest& want);
  void refill(Head& head, std::size_t most);
  [[nodiscard]] Claim take(Seq seq, std::int64_t session);
  [[nodiscard]] std::vector<ChildResult> children_of(Seq seq);

  Database& db_;
  Lanes& lanes_;
  Time now_;
};

// A stored text, as it was written by to_text(); null when there is none.
[[nodiscard]] Json json_of(std::string_view text);

}  // namespace spool::sqlite
