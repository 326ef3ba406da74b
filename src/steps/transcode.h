// The kinds of a transcode: see transcode_shapes.h for how they hang together.
//
// A ladder of HLS and DASH renditions (media.md's rules) below args.destination of the object store, or
// "jobs/ROOT/NAME" when that is not given.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "objects/object_store.h"
#include "queue/kind.h"

namespace spool::steps {

// What the phases that run in the manager need. In a sandboxed child: empty, those phases never run there.
struct PublishContext {
  ObjectStore* objects = nullptr;

  // Held while playlists are written in a store that several managers share. nullopt: the store has no locks,
  // and what grows must not be called as what is final (docs/decisions/publishing_without_locks.md).
  [[nodiscard]] Result<std::optional<FileLock>> lock() const;
};

[[nodiscard]] std::vector<Kind> transcode_kinds(const PublishContext& context);

// Where a job's finished outputs go: its args' destination, or a folder of its own.
[[nodiscard]] std::string destination_of(const Json& args, const Uuid& root, const std::string& name);

// The phases of a transcode after its planning.
inline constexpr char kAssemblePhase[] = "assemble";
inline constexpr char kFinishPhase[] = "finish";

// The handlers; each in the file of its name.
[[nodiscard]] Ending plan_transcode(Attempt& attempt);
[[nodiscard]] Ending assemble_transcode(Attempt& attempt, const PublishContext& context);
[[nodiscard]] Ending finish_transcode(Attempt& attempt, const PublishContext& context);
[[nodiscard]] Ending transcode_chunk(Attempt& attempt);
[[nodiscard]] Ending transcode_remux(Attempt& attempt);
[[nodiscard]] Ending transcode_audio(Attempt& attempt);
[[nodiscard]] Ending transcode_subtitles(Attempt& attempt);
[[nodiscard]] Ending transcode_mp4(Attempt& attempt);

}  // namespace spool::steps
