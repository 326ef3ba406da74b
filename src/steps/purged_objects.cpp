#include "steps/purged_objects.h"

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

}  // namespace spool::steps
