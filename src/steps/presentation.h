// Presentation: what players see of one transcode. Winners' outputs are copied to their places and the
// playlists are written over the contiguous prefix, in order and whole: segments before the playlists that
// name them.
//
// Playlists grow in place where the store has locks. Elsewhere a worker that is late could write over the
// final ones: there they grow beside them, as growing.m3u8.
//
// Everything is idempotent: after a crash a new Presentation is told the same again. One thread at a time.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "objects/object_store.h"
#include "steps/transcode_shapes.h"

namespace spool::steps {

class Presentation {
 public:
  // `destination`: the prefix of the finished outputs; empty: the root of the store.
  Presentation(ObjectStore& objects, std::string destination, TranscodePlan plan);

  // Asks once for all that is in its place by now, instead of for each output when it is added.
  Result<void> look_around();

  // What an attempt made, below `prefix`. Errors: kInvalidArgument for renditions that were not planned,
  // kNotFound when an output is missing.
  Result<void> add(const std::string& prefix, const std::vector<MadeRendition>& made);

  // The same of what was added, and put in its place, by an earlier phase.
  Result<void> add_placed(const std::vector<MadeRendition>& made);
  // A text track that could not be made: it stands there without a cue, for the master names it.
  Result<void> add_empty_subtitles(const std::string& name, const std::vector<double>& borders);

  // Playlists that grow; the master once every rendition can begin (a text track: once it is whole). Before,
  // in a folder, "early.m3u8": a master of the lowest rung and all sound, for players that do not want to
  // wait for the others.
  Result<void> write_growing();
  [[nodiscard]] bool grows_in_place() const { return growing_.master == final_.master; }
  // The final ones, and the DASH manifest; what grew beside them is completed. Errors: kInternal naming a
  // rendition with a hole.
  Result<void> write_final();

  // What is playable by now: keys of the master (if it is there) and of the lowest rung's playlist.
  [[nodiscard]] Json playable() const;
  [[nodiscard]] Json summary() const;
  // With the segments that are known; video first, highest first.
  [[nodiscard]] std::vector<media::Rendition> renditions() const;
  [[nodiscard]] std::string key(const std::string& name) const;

 private:
  struct Track {
    media::Rendition rendition;                     // with its contiguous segments
    std::map<int, media::PackagedSegment> waiting;  // ahead of a hole
    bool whole = false;                             // no more will come after those in `waiting`
    std::size_t written = 0;                        // segments in the playlist on disk
  };
  static constexpr const char* kEarlyMaster = "early.m3u8";
  Track* find(const std::string& name);
  // Errors: kInvalidArgument for what was not planned.
  Result<Track*> planned(const MadeRendition& made);
  static void take(const MadeRendition& made, Track& track);
  static bool can_begin(const Track& track);
  Result<void> place(const std::string& prefix, const MadeRendition& made, const Track& track);
  Result<std::optional<std::int64_t>> bytes_of(const std::string& key) const;
  Result<void> place_one(const std::string& prefix, const std::string& name, std::int64_t bytes);
  Result<void> put(const std::string& name, const std::string& text);
  struct Names {
    std::string master;
    media::PlaylistNames of_track;
  };
  Result<void> write_media_playlists(const Track& track, const Names& names);
  Result<void> write_master(const Names& names);
  Result<void> write_early();
  Result<void> complete_growing();

  ObjectStore& objects_;
  const std::string destination_;
  const TranscodePlan plan_;
  std::optional<std::map<std::string, std::int64_t>> there_;  // keys and bytes, by look_around()
  const Names final_{"master.m3u8", {}};
  const Names growing_;
  std::vector<Track> tracks_;
  bool master_written_ = false, early_written_ = false;
};

}  // namespace spool::steps
