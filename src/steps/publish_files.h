// The two phases of a kind that makes plain files: made in a sandboxed child under the attempt's own prefix,
// then copied by the manager to where the job's outputs go. Done again after a crash, it does the same again.
#pragma once

#include <functional>

#include "queue/kind.h"
#include "steps/transcode.h"

namespace spool::steps {

// Makes the files through Attempt::put_output; the document has "files", a list of their names.
using MakeFiles = std::function<Result<Json>(Attempt&)>;

// Fills in the kind's run, inline_phases and follow_up. The job's result is what `make` returned, with
// "outputs": {name: reference} instead of "files".
void publish_made_files(Kind& kind, const PublishContext& context, MakeFiles make);

}  // namespace spool::steps
