#include "store_postgres/new_jobs.h"

#include <algorithm>

namespace spool::postgres {
namespace {

constexpr const char* kLaneOf = "SELECT spool.lane_of($1, $2, $3, $4)";
constexpr const char* kInsertPlain =
    "SELECT spool.insert_plain($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, false)";
// Both are read from one row each: the lanes are known when the last job is in.
constexpr const char* kInsert =
    "WITH added AS MATERIALIZED (SELECT * FROM spool.insert($1, $2)) SELECT a.id, a.existed, a.code, "
    "a.message,"
    " (SELECT spool.woken() FROM (SELECT count(*) FROM added) all_of_them) FROM added a";

template <class T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(value->count()) : Json(nullptr);
}
Json unless_empty(const std::string& text) {
  return text.empty() ? Json(nullptr) : Json(text);
}

std::vector<Result<Inserted>> insert_plain(Connection& db, LaneNumbers& lanes, Duration shift,
                                           std::span<const Draft> drafts, std::vector<int>& woken) {
  std::vector<Uuid> ids;
  std::vector<std::string_view> kinds, names, owners, args;
  std::vector<std::optional<std::string_view>> labels, limit_keys;
  std::vector<int> lane_numbers, most_attempts;
  std::vector<std::optional<Duration>> timeouts;
  std::vector<double> weights;
  std::vector<bool> optionals;
  std::vector<Result<Inserted>> results;
  results.reserve(drafts.size());
  for (const Draft& draft : drafts) {
    if (draft.error) {
      results.push_back(fail(*draft.error));
      continue;
    }
    const NewJob& job = *draft.job;
    ids.push_back(Uuid::v7());
    results.push_back(Inserted{ids.back(), false});
    kinds.push_back(job.kind);
    names.push_back(job.name);
    owners.push_back(job.owner);
    lane_numbers.push_back(lanes.of(db, job));
    args.push_back(draft.args);
    labels.push_back(draft.labels.empty() ? std::nullopt : std::optional<std::string_view>(draft.labels));
    limit_keys.push_back(job.limit_key.empty() ? std::nullopt
                                               : std::optional<std::string_view>(job.limit_key));
    most_attempts.push_back(job.most_attempts);
    timeouts.push_back(job.timeout);
    weights.push_back(job.weight);
    optionals.push_back(job.optional);
  }
  if (ids.empty()) return results;
  try {
    Rows row = db.query(kInsertPlain, shift, ids, kinds, names, owners, lane_numbers, args, labels,
                        most_attempts, timeouts, weights, optionals, limit_keys);
    if (row.next())
      for (const std::int64_t lane : row.i64s(0)) woken.push_back(static_cast<int>(lane));
  } catch (const StoreError&) {
    lanes.forget();
    throw;
  }
  return results;
}

}  // namespace

int LaneNumbers::of(Connection& db, const NewJob& job) {
  const std::lock_guard lock(mutex_);
  Key key{job.queue, job.slots, job.tags, job.priority};
  if (const auto known = known_.find(key); known != known_.end()) return known->second;
  Rows row = db.query(kLaneOf, job.queue, job.slots, job.tags, job.priority);
  const int lane = row.next() ? row.i32(0) : 0;
  known_.emplace(std::move(key), lane);
  return lane;
}

void LaneNumbers::forget() {
  const std::lock_guard lock(mutex_);
  known_.clear();
}

Json to_new_job(const Draft& draft) {
  const NewJob& job = *draft.job;
  Json needs = Json::array();
  for (const Need& need : job.needs)
    needs.push_back({{"job", need.job.text()}, {"ignore_failure", need.ignore_failure}});
  return {
      {"id", job.id.is_nil() ? Json(nullptr) : Json(job.id.text())},
      {"made_id", job.id.is_nil() ? Json(Uuid::v7().text()) : Json(nullptr)},
      {"parent", job.parent ? Json(job.parent->text()) : Json(nullptr)},
      {"kind", job.kind},
      {"name", job.name},
      {"owner", job.owner},
      {"queue", job.queue},
      {"slots", job.slots},
      {"tags", job.tags},
      {"priority", job.priority},
      {"args", draft.args},
      {"labels", unless_empty(draft.labels)},
      {"most_attempts", job.most_attempts},
      {"timeout", or_null(job.timeout)},
      {"deadline", or_null(job.deadline)},
      {"unique_key", unless_empty(job.unique_key)},
      {"limit_key", unless_empty(job.limit_key)},
      {"weight", job.weight},
      {"optional", job.optional},
      {"held", job.held},
      {"delay", job.delay.count()},
      {"needs", std::move(needs)},
  };
}

bool is_plain(const NewJob& job) {
  return job.id.is_nil() && !job.parent && job.needs.empty() && job.unique_key.empty() && !job.deadline &&
         !job.held && job.delay == Duration(0);
}

std::vector<Result<Inserted>> insert_jobs(Connection& db, LaneNumbers& lanes, Duration shift,
                                          std::span<const Draft> drafts, std::vector<int>& woken) {
  if (std::all_of(drafts.begin(), drafts.end(), [](const Draft& d) { return is_plain(*d.job); }))
    return insert_plain(db, lanes, shift, drafts, woken);
  std::vector<Result<Inserted>> results;
  results.reserve(drafts.size());
  Json jobs = Json::array();
  for (const Draft& draft : drafts) {
    if (draft.error) {
      results.push_back(fail(*draft.error));
      continue;
    }
    results.push_back(Inserted{});  // its row comes below
    jobs.push_back(to_new_job(draft));
  }
  const std::string text = to_text(jobs);
  Rows rows = db.query(kInsert, shift, Jsonb{text});
  for (Result<Inserted>& result : results) {
    if (!result || !rows.next()) continue;
    if (rows.null(2))
      result = Inserted{rows.uuid(0), rows.boolean(1)};
    else
      result = fail(code_from_name(rows.view(2)), rows.text(3));
    if (woken.empty())
      for (const std::int64_t lane : rows.i64s(4)) woken.push_back(static_cast<int>(lane));
  }
  return results;
}

}  // namespace spool::postgres
