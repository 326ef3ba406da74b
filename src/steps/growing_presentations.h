// GrowingPresentations: what follows a child's end (or an audio track's checkpoint): the presentation of its
// tree grows. Knows which children it has seen, so that each is read once. Best effort: what it misses, the
// assembling phase makes. Thread-safe.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>

#include "queue/store.h"
#include "steps/presentation.h"
#include "steps/transcode.h"

namespace spool::steps {

class GrowingPresentations {
 public:
  explicit GrowingPresentations(PublishContext context) : context_(std::move(context)) {}

  void refresh(Store& store, const Uuid& parent);

 private:
  struct Growing {
    Presentation presentation;
    std::optional<Uuid> seen_up_to;  // children up to this one are done with
    std::set<Uuid> tracks;           // audio and subtitles that are not whole yet
    std::set<Uuid> ahead;            // chunks beyond the first unfinished one
  };
  Result<void> grow(Store& store, const Uuid& parent);
  Result<Growing*> find(Store& store, const Job& parent);
  Result<void> take_tracks(Store& store, Growing& growing);
  Result<void> take_chunks(Store& store, const Uuid& parent, Growing& growing);
  static Result<void> take(const Job& child, Growing& growing);

  const PublishContext context_;
  std::mutex mutex_;
  std::map<Uuid, Growing> growing_;
};

}  // namespace spool::steps
