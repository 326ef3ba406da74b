// Reader: what people and programs ask about. On a connection of its own; each call sees one state of the
// file.
#pragma once

#include <vector>

#include "queue/store.h"
#include "store_sqlite/lanes.h"
#include "store_sqlite/schedules.h"

namespace spool::sqlite {

class Reader {
 public:
  explicit Reader(Database& db) : db_(db) {}

  [[nodiscard]] std::optional<Job> get(const Uuid& id);
  [[nodiscard]] std::vector<Job> list(const JobFilter& filter);
  [[nodiscard]] std::vector<OutcomeRecord> outcomes_since(std::int64_t sequence, int most);
  [[nodiscard]] std::vector<SessionInfo> sessions();
  [[nodiscard]] std::vector<QueueCounts> counts();
  [[nodiscard]] std::vector<LimitUse> limits();
  [[nodiscard]] std::vector<Schedule> schedules() { return read_schedules(db_); }
  [[nodiscard]] std::vector<PurgedJob> purged(int most);

 private:
  [[nodiscard]] Job job_of(Rows& row);
  [[nodiscard]] std::vector<RunningJob> running_of(std::int64_t session);
  void add_edges(Seq seq, Job& job);

  Database& db_;
};

}  // namespace spool::sqlite
