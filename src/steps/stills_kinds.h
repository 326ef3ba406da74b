// The kinds that look at a film without making a ladder: probe, thumbnails, poster.
#pragma once

#include "queue/kind.h"
#include "steps/transcode.h"

namespace spool::steps {

[[nodiscard]] Kind probe_kind();
[[nodiscard]] Kind thumbnails_kind(const PublishContext& context);
[[nodiscard]] Kind poster_kind(const PublishContext& context);

}  // namespace spool::steps
