// How jobs go to the schema's functions: plain ones as arrays, column by column, all others as JSON.
#pragma once

#include <map>
#include <mutex>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "queue/draft.h"
#include "queue/store.h"
#include "store_postgres/connection.h"

namespace spool::postgres {

// The numbers of lanes, which never change and are never removed; only a database that was put back to an
// earlier state may not know one. Thread-safe.
class LaneNumbers {
 public:
  [[nodiscard]] int of(Connection& db, const NewJob& job);
  void forget();

 private:
  using Key = std::tuple<std::string, int, std::vector<std::string>, int>;
  std::mutex mutex_;
  std::map<Key, int> known_;
};

// spool.new_job as JSON. Whatever the text of `draft` is, it stays text.
[[nodiscard]] Json to_new_job(const Draft& draft);

// Nothing hangs on it but itself: spool.insert_plain() takes it.
[[nodiscard]] bool is_plain(const NewJob& job);

// Inserts and returns one result a job, in order; lanes in which something became available are added to
// `woken`.
[[nodiscard]] std::vector<Result<Inserted>> insert_jobs(Connection& db, LaneNumbers& lanes, Duration shift,
                                                        std::span<const Draft> drafts,
                                                        std::vector<int>& woken);

}  // namespace spool::postgres
