// exec: a command of the operator's, named in the configuration, with the WORK_ITEM_FILE contract.
//
// The job names the command, never its words: what may run is for the operator alone to say. It runs in the
// manager, outside of any sandbox, in a folder of its own with copies of its inputs; what it leaves in its
// outputs folder is stored under the attempt's prefix, and published by the next phase, when the attempt has
// won. No fan-out but a pipeline's reaches it. docs/adding_a_step.md tells commands what they get and what
// they may print.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>

#include "base/config.h"
#include "queue/kind.h"
#include "steps/transcode.h"

namespace spool::steps {

struct ExecConfig {
  std::map<std::string, CommandConfig> commands;
  std::filesystem::path
      scratch;  // where jobs' folders are made; empty: the system's place for temporary files
  std::function<bool()> ending;  // this process has been asked to end; may be empty
};

[[nodiscard]] Kind exec_kind(const ExecConfig& config, const PublishContext& context);

}  // namespace spool::steps
