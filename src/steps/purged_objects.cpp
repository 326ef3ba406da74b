#include "steps/purged_objects.h"

#include <set>

#include "base/file.h"
#include "steps/attempt_files.h"
#include "steps/transcode.h"

namespace spool::steps {

Result<void> remove_objects_of(const PurgedJob& job, ObjectStore& objects) {
  SPOOL_TRY(objects.remove_all(attempts_prefix(job.id)));
  const bool is_root = job.id == job.root;
  // Below a root that lives on, a job without a name published among its siblings' folders.
  if (!job.with_outputs || (!is_root && job.name.empty())) return {};
  const std::string folder = destination_of(Json::object(), job.root, is_root ? "" : job.name);
  if (!check_key(folder)) return {};  // a name that is no key: nothing can be there
  return objects.remove_all(folder);
}

Result<void> sweep_purged(Store& store, ObjectStore& objects, const std::function<bool()>& stop) {
  SPOOL_ASSIGN(const std::vector<PurgedJob> any, store.purged(1));
  if (any.empty()) return {};
  std::optional<FileLock> lock;
  if (const auto folder = objects.lock_folder()) {
    std::error_code ignored;  // of a store that nothing was written to
    std::filesystem::create_directories(*folder, ignored);
    SPOOL_ASSIGN(lock, FileLock::try_lock(*folder / "sweep.lock"));
    if (!lock) return {};
  }
  const std::size_t most_at_once = lock ? 100 : 1;
  std::set<Uuid> left;
  std::optional<Error> first;
  for (;;) {
    const std::size_t most = left.size() + most_at_once;
    SPOOL_ASSIGN(const std::vector<PurgedJob> jobs, store.purged(static_cast<int>(most)));
    std::vector<Uuid> gone;
    for (const PurgedJob& job : jobs) {
      if (stop()) break;
      if (left.contains(job.id)) continue;
      if (const auto removed = remove_objects_of(job, objects)) {
        gone.push_back(job.id);
      } else {
        left.insert(job.id);
        if (!first) first = removed.error();
      }
    }
    if (!gone.empty()) SPOOL_TRY(store.forget_purged(gone));
    if (jobs.size() < most || stop()) break;
  }
  if (first) return fail(*first);
  return {};
}

Result<void> sweep_late_uploads(Store& store, ObjectStore& objects, const std::function<bool()>& stop) {
  // Listed before the jobs are looked at: what has succeeded by then is never opened again.
  SPOOL_ASSIGN(const auto left, objects.list(all_attempts()));
  std::set<Uuid> jobs;
  for (const ObjectInfo& object : left)
    if (const auto id = job_of_attempt(object.key)) jobs.insert(*id);
  for (const Uuid& id : jobs) {
    if (stop()) break;
    auto job = store.get(id);
    if (job && job->root != id) job = store.get(job->root);
    if (!job && job.error().code == Code::kNotFound) continue;  // of another store, or removed meanwhile
    SPOOL_TRY(job);
    if (job->state == State::kSucceeded) SPOOL_TRY(objects.remove_all(attempts_prefix(id)));
  }
  return {};
}

}  // namespace spool::steps
