// What travels between the jobs of one transcode, as JSON in args, checkpoints and results, and as values
// here.
//
//   transcode            plans (in a child), fans out, publishes as segments come, assembles at the end
//   transcode.chunk      one interval of the film, all rungs
//   transcode.audio      one audio track, whole
//   transcode.subtitles  one text track, whole
//   transcode.mp4        a progressive file from published segments
//
// Results come from children that read hostile media: everything here is checked when it is read.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "media/cmaf.h"

namespace spool::steps {

// One rung, or one audio or subtitle track, as the plan announces it.
struct PlannedRendition {
  std::string name;      // also its folder: "720p", "audio-eng"
  std::string language;  // BCP 47 or "und"; not for video
  std::string title;
  bool is_default = false;
  int width = 0, height = 0;  // video
  std::int64_t rate_num = 0, rate_den = 1;
  std::int64_t most_bits_per_second = 0;  // until measured
  int channels = 0;                       // audio
  std::int64_t timescale = 90000;
};

// The parent's checkpoint once it has planned.
struct TranscodePlan {
  std::vector<PlannedRendition> video, audio, subtitles;  // video: highest first
  int segments = 0;
  int target_seconds = 4;  // EXT-X-TARGETDURATION, fixed
  double seconds = 0;      // of the film
  std::int64_t frames = 0;
  bool mp4 = false;
};
[[nodiscard]] Json to_json(const TranscodePlan& plan);
[[nodiscard]] Result<TranscodePlan> plan_from_json(const Json& value);

// A segment as its maker measured it.
struct MadeSegment {
  int index = 0;
  std::int64_t bytes = 0;
  std::int64_t pts = 0, duration = 0;      // ticks of the rendition
  std::vector<media::Fragment> fragments;  // video: one per IDR
};

// What one child made of one rendition.
struct MadeRendition {
  std::string name;
  std::string codec;                  // RFC 6381; from the maker of the init segment only
  std::vector<MadeSegment> segments;  // consecutive
};
[[nodiscard]] Json to_json(const MadeRendition& made);
[[nodiscard]] Result<MadeRendition> made_from_json(const Json& value);

// Names of outputs, below the attempt's prefix and below the destination alike.
[[nodiscard]] std::string init_name(std::string_view rendition);
[[nodiscard]] std::string segment_name(std::string_view rendition, int index,
                                       std::string_view extension = "m4s");

}  // namespace spool::steps
