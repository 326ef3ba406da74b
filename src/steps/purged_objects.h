// What jobs leave in the object store: purged ones (Store::purged), and those whose worker was killed.
#pragma once

#include <functional>

#include "objects/object_store.h"
#include "queue/store.h"

namespace spool::steps {

// Removes what a job's attempts wrote and, with_outputs, what it published in a folder of its own (of a root:
// in its whole tree's). A destination that somebody chose is theirs: docs/decisions/removed_objects.md. May
// be repeated.
[[nodiscard]] Result<void> remove_objects_of(const PurgedJob& job, ObjectStore& objects);

// The same for all purged jobs, which the store then forgets. A forgotten id may come again, and what is old
// news to one would be new work to another: nothing is done while another one sweeps who holds the lock of
// the objects' store, and where there are no locks the store is asked anew before each job
// (docs/decisions/publishing_without_locks.md). Ends when `stop` says so. Errors: the first that was met;
// what is left the store still knows.
[[nodiscard]] Result<void> sweep_purged(Store& store, ObjectStore& objects,
                                        const std::function<bool()>& stop);

// Removes what attempts of trees that have succeeded have left: an upload whose worker was killed, or cut
// off, may arrive when all else is over. Ends when `stop` says so. Errors: the stores'.
[[nodiscard]] Result<void> sweep_late_uploads(Store& store, ObjectStore& objects,
                                              const std::function<bool()>& stop);

}  // namespace spool::steps
