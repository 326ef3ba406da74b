#include "steps/growing_presentations.h"

#include <spdlog/spdlog.h>

#include "steps/attempt_files.h"

namespace spool::steps {

void GrowingPresentations::refresh(Store& store, const Uuid& parent) {
  const std::lock_guard guard(mutex_);
  if (auto grown = grow(store, parent); !grown)
    spdlog::warn("job {}: its playlists did not grow: {}", parent.text(), grown.error().message);
}

Result<void> GrowingPresentations::grow(Store& store, const Uuid& id) {
  // Under the lock the parent is still waiting, so nobody has written the final playlists, nor will before
  // us. Without one they may come at any time, and what is written here goes beside them.
  SPOOL_ASSIGN(const auto lock, context_.lock());
  SPOOL_ASSIGN(const Job parent, store.get(id));
  if (parent.state != State::kWaiting || parent.phase != kAssemblePhase) {
    growing_.erase(id);
    return {};
  }
  SPOOL_ASSIGN(Growing* const growing, find(store, parent));
  SPOOL_TRY(take_tracks(store, *growing));
  SPOOL_TRY(take_chunks(store, id, *growing));
  return growing->presentation.write_growing();
}

Result<GrowingPresentations::Growing*> GrowingPresentations::find(Store&, const Job& parent) {
  const auto it = growing_.find(parent.id);
  if (it != growing_.end()) return &it->second;
  SPOOL_ASSIGN(TranscodePlan plan, plan_from_json(parent.checkpoint));
  Presentation presentation(*context_.objects, destination_of(parent.args, parent.root, parent.name),
                            std::move(plan));
  return &growing_.emplace(parent.id, Growing{std::move(presentation), {}, {}, {}}).first->second;
}

Result<void> GrowingPresentations::take(const Job& child, Growing& growing) {
  if (child.kind == "transcode.subtitles" && ended(child.state) && child.state != State::kSucceeded) {
    // Without a lock we may be late: the track may have been made after all.
    if (!growing.presentation.grows_in_place()) return {};
    SPOOL_ASSIGN(const auto borders, borders_from_json(child.args));
    return growing.presentation.add_empty_subtitles(child.name, borders);
  }
  const Json& made = child.state == State::kSucceeded ? child.result : child.checkpoint;
  if (!child.token || made.is_null()) return {};
  SPOOL_ASSIGN(const auto renditions, all_made_from_json(made));
  return growing.presentation.add(attempt_prefix(child.id, *child.token), renditions);
}

Result<void> GrowingPresentations::take_tracks(Store& store, Growing& growing) {
  for (auto it = growing.tracks.begin(); it != growing.tracks.end();) {
    SPOOL_ASSIGN(const Job track, store.get(*it));
    SPOOL_TRY(take(track, growing));
    it = ended(track.state) ? growing.tracks.erase(it) : std::next(it);
  }
  return {};
}

Result<void> GrowingPresentations::take_chunks(Store& store, const Uuid& parent, Growing& growing) {
  JobFilter filter;
  filter.parent = parent;
  filter.after = growing.seen_up_to;
  filter.most = 64;  // more than run at once: what is behind is not done
  SPOOL_ASSIGN(const std::vector<Job> children, store.list(filter));
  bool contiguous = true;
  for (const Job& child : children) {
    if (child.kind != "transcode.chunk") {
      if (growing.ahead.insert(child.id).second) {
        SPOOL_TRY(take(child, growing));
        if (!ended(child.state)) growing.tracks.insert(child.id);
      }
    } else if (child.state == State::kSucceeded) {
      if (growing.ahead.insert(child.id).second) SPOOL_TRY(take(child, growing));
    } else {
      contiguous = false;
    }
    if (contiguous) {
      growing.seen_up_to = child.id;
      growing.ahead.erase(child.id);
    }
  }
  return {};
}

}  // namespace spool::steps
