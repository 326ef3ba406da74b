// The table of kinds: every sort of job that this program can do.
#pragma once

#include "queue/kind.h"
#include "steps/exec.h"
#include "steps/stills_kinds.h"
#include "steps/transcode.h"

namespace spool::steps {

// What kinds need of the program that they are wired into. A sandboxed child has none of it.
struct StepsConfig {
  PublishContext publish;
  ExecConfig exec;
};

[[nodiscard]] Kinds make_kinds(const StepsConfig& config);

}  // namespace spool::steps
