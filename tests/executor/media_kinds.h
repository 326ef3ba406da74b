// A kind that works the FFmpeg libraries hard: what real jobs ask of the kernel must be on the allow-list.
#pragma once

#include "queue/kind.h"

namespace spool {

void add_media_kinds(Kinds& kinds);

}  // namespace spool
