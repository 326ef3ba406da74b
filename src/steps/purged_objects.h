// What is left of a purged job in the object store: see Store::purged.
#pragma once

#include "objects/object_store.h"
#include "queue/store.h"

namespace spool::steps {

// Removes what its attempts wrote and, with_outputs, what it published in a folder of its own (of a root: in
// its whole tree's). A destination that somebody chose is theirs: docs/decisions/removed_objects.md. May be
// repeated.
[[nodiscard]] Result<void> remove_objects_of(const PurgedJob& job, ObjectStore& objects);

}  // namespace spool::steps
