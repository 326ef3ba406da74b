// Lanes: jobs of one queue, one width and one set of tags. They are few, never change and are never removed,
// so each handle knows them by heart.
#pragma once

#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "queue/draft.h"
#include "queue/store.h"
#include "store_sqlite/database.h"

namespace spool::sqlite {

struct Lane {
  std::int64_t lane = 0;
  std::string queue;
  int slots = 1;
  std::vector<std::string> tags;
};

class Lanes {
 public:
  // The lane of such jobs; made if it is the first one. Inside a write transaction.
  [[nodiscard]] std::int64_t of(Database& db, const std::string& queue, int slots,
                                const std::vector<std::string>& tags);
  // Lanes whose jobs this worker may run; none of a paused queue.
  [[nodiscard]] std::vector<const Lane*> open_to(Database& db, const ClaimRequest& want);
  [[nodiscard]] const Lane& at(Database& db, std::int64_t lane);
  // After a rollback: lanes made in it do not exist.
  void forget();

 private:
  void load_new(Database& db);

  std::unordered_map<std::int64_t, Lane> lanes_;
  std::unordered_map<std::string, std::int64_t> by_key_;
  std::int64_t newest_ = 0;
  // What came last comes again in a batch.
  std::string last_queue_;
  std::vector<std::string> last_tags_;
  int last_slots_ = 0;
  std::int64_t last_ = 0;
};

}  // namespace spool::sqlite
