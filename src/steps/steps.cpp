#include "steps/steps.h"

namespace spool::steps {

Kinds make_kinds(const StepsConfig& config) {
  Kinds kinds;
  for (Kind& kind : transcode_kinds(config.publish)) kinds.add(std::move(kind));
  kinds.add(exec_kind(config.exec, config.publish));
  kinds.add(probe_kind());
  kinds.add(thumbnails_kind(config.publish));
  kinds.add(poster_kind(config.publish));
  return kinds;
}

}  // namespace spool::steps
