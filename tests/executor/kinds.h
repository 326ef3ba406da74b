// The kinds that the tests run in children: honest ones, broken ones and hostile ones.
#pragma once

#include "queue/kind.h"

namespace spool {

[[nodiscard]] const Kinds& child_kinds();

}  // namespace spool
