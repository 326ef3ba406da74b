// The plan of a film: where its IDRs, segments and chunks are, fixed before anything is encoded. Pure
// functions.
//
// Frames are on a grid of GOPs (gop_seconds in whole frames; a GOP without frames merges with its neighbour).
// A chunk is a run of GOPs that one attempt encodes; its segments are segment_seconds long, its last one may
// be shorter. Chunks are about eight seconds, and begin where little has to be decoded for nothing. The first
// is one short GOP, its lowest rung a chunk of its own (playing begins early); the last ones shrink (cores
// end together). Nothing depends on the machine: the same film and ladder give the same plan.
// docs/decisions/chunk_plan.md.
//
// Beside a remuxed rung there is no grid: segments begin at the borders that it gives, and are cut into equal
// GOPs near gop_seconds. docs/decisions/remux.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "media/ladder.h"
#include "media/timeline.h"

namespace spool::media {

struct PlannedRung {
  Rung rung;
  Size size;
  bool operator==(const PlannedRung&) const = default;
};

// What every chunk of a film shares.
struct Film {
  Picture picture;
  std::string format;  // of the container
  SourceClock clock;   // all times below are its ticks
  Ratio rate;
  Ratio highest_rate;  // Timeline::highest_rate
  Speed speed = Speed::kFast;
  std::int64_t decode_shift = 0;   // D: a sample's dts is the i-th smallest pts minus D (the track's `shift`)
  std::vector<PlannedRung> rungs;  // highest first
  bool operator==(const Film&) const = default;
};

struct PlannedSegment {
  std::int64_t pts = 0;
  std::int64_t duration = 0;
  std::vector<std::int64_t> idr;  // PTS of its IDRs; the first is `pts`
  bool operator==(const PlannedSegment&) const = default;
};

struct Chunk {
  int index = 0;           // in order of time, and of urgency
  std::vector<int> rungs;  // which of the film's rungs this chunk makes, rising
  std::int64_t begin = 0;  // it owns the frames of [begin, end)
  std::int64_t end = 0;
  std::int64_t frames = 0;
  std::vector<std::int64_t> pts;     // of those frames; empty: one every frame_ticks from `begin`
  std::int64_t preroll = 0;          // frames to decode and throw away
  std::optional<Keyframe> seek;      // nullopt: from the start
  bool alone = false;                // other cores are likely to have nothing to do beside it
  int first_segment = 0;             // in the film, from 0
  std::uint32_t first_fragment = 1;  // sequence number of its first moof: one for each IDR
  std::vector<PlannedSegment> segments;

  [[nodiscard]] std::int64_t frame_pts(std::int64_t i, std::int64_t frame_ticks) const {
    return pts.empty() ? begin + i * frame_ticks : pts[static_cast<std::size_t>(i)];
  }
  bool operator==(const Chunk&) const = default;
};

// What one attempt needs; serialisable, small (a few KiB).
struct ChunkTask {
  Film film;
  Chunk chunk;
  bool operator==(const ChunkTask&) const = default;
};

struct FilmPlan {
  Film film;
  std::vector<Chunk> chunks;
  std::int64_t frames = 0;
  std::int64_t duration = 0;  // ticks
  int segments = 0;
  std::vector<std::int64_t> borders;  // where segments begin, ticks
  int target_duration = 0;            // seconds, EXT-X-TARGETDURATION (RFC 8216 section 4.3.3.1)
};

// A rung that is not encoded: segments begin where its own do, and no chunk makes it. The film is not
// trimmed.
struct RemuxedRung {
  int rung = 0;                       // of planned_rungs()
  std::vector<std::int64_t> borders;  // ticks, rising from 0; each is a frame's time
  std::int64_t shift = 0;             // the decode shift that its frames need at least
};

struct PlanOptions {
  double from_seconds = 0;  // trim, on the film's own clock
  std::optional<double> until_seconds;
  double chunk_seconds = 8;
  std::optional<RemuxedRung> remuxed;
};

// What a ladder makes of a source of this size (upright, square pixels); highest first.
[[nodiscard]] std::vector<PlannedRung> planned_rungs(const Ladder& ladder, Size source);

// Errors: kInvalidArgument when the trim leaves nothing, naming the film's length; kInternal for a remuxed
// rung that does not fit the film.
[[nodiscard]] Result<FilmPlan> plan_film(const Timeline& timeline, const Ladder& ladder, Speed speed,
                                         const PlanOptions& options = {});

[[nodiscard]] Json to_json(const Film& film);
[[nodiscard]] Json to_json(const ChunkTask& task);
// Errors: kInvalidArgument.
[[nodiscard]] Result<Film> film_from_json(const Json& document);
[[nodiscard]] Result<ChunkTask> chunk_task_from_json(const Json& document);

}  // namespace spool::media
