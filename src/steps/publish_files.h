// What the two phases of a kind that makes plain files share: made under the attempt's own prefix, then
// copied by the manager to where the job's outputs go. Done again after a crash, it does the same again.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "objects/object_store.h"
#include "queue/kind.h"
#include "queue/store.h"
#include "steps/transcode.h"

namespace spool::steps {

// Makes the files through Attempt::put_output, in a sandboxed child; the document has "files", a list of
// their names.
using MakeFiles = std::function<Result<Json>(Attempt&)>;

// Fills in the kind's run, inline_phases and follow_up. The job's result is what `make` returned, with
// "outputs": {name: reference} instead of "files".
void publish_made_files(Kind& kind, const PublishContext& context, MakeFiles make);

struct PublishedFiles {
  std::string folder;              // a prefix of keys
  std::vector<std::string> names;  // below it
};
// Copies what the attempt that has won has made; the checkpoint names it ("winner") and says how many files
// there must be ("files"). Errors: kNotFound when some are gone.
[[nodiscard]] Result<PublishedFiles> publish_winner(const Claim& claim, ObjectStore& objects);

// After a commit, for Kind::follow_up: removes what attempts of an ended job have left. A job that may be
// retried keeps its winner's files: publishing them may be all that is left to do.
void sweep_attempts(Store& store, const Uuid& job, ObjectStore& objects);

}  // namespace spool::steps
