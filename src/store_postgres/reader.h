// Reader: what the store tells of its jobs. Each question is one statement, of one state of the database.
#pragma once

#include <optional>
#include <vector>

#include "queue/store.h"
#include "store_postgres/connection.h"

namespace spool::postgres {

class Reader {
 public:
  explicit Reader(Connection& db) : db_(db) {}

  [[nodiscard]] std::optional<Job> get(const Uuid& id);
  [[nodiscard]] std::vector<Job> list(const JobFilter& filter);
  [[nodiscard]] std::vector<OutcomeRecord> outcomes_since(std::int64_t sequence, int most);
  [[nodiscard]] std::vector<SessionInfo> sessions();
  [[nodiscard]] std::vector<QueueCounts> counts();
  [[nodiscard]] std::vector<LimitUse> limits();
  [[nodiscard]] std::vector<Schedule> schedules();
  [[nodiscard]] std::vector<PurgedJob> purged(int most);

 private:
  Connection& db_;
};

}  // namespace spool::postgres
