// What travels between the jobs of one transcode, as JSON in args, checkpoints and results, and as values
// here.
//
// - transcode: plans (in a child), fans out; publishes as segments come, assembles at the end (both inline)
// - transcode.chunk: one interval of the film, all rungs that are encoded
// - transcode.remux: a stretch of the film, the source's own frames as one rung
// - transcode.audio: one audio track, whole
// - transcode.subtitles: one text track, whole
// - transcode.mp4: progressive files out of published segments, when all else is done
//
// Results come from children that read hostile media: everything here is checked when it is read.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "media/damage.h"
#include "media/packaging.h"

namespace spool::steps {

// The parent's checkpoint once it has planned.
struct TranscodePlan {
  std::vector<media::Rendition> renditions;  // without segments and codecs; video first, highest first
  int segments = 0;                          // of each video rendition
  int target_seconds = 4;                    // EXT-X-TARGETDURATION, fixed
  double seconds = 0;                        // of the film
  std::int64_t frames = 0;
  std::vector<std::string> notes;  // for people: what was left out, and why
};
[[nodiscard]] Json to_json(const TranscodePlan& plan);
[[nodiscard]] Result<TranscodePlan> plan_from_json(const Json& value);

// What one child made of one rendition.
struct MadeRendition {
  std::string name;
  std::string codecs;  // RFC 6381; from the maker of the init segment only
  int first_segment = 0;
  std::vector<media::PackagedSegment> segments;
  bool complete = false;              // a track that was made whole
  int sample_rate = 0, channels = 0;  // audio, beside the codecs: what the encoder chose
};
[[nodiscard]] Json to_json(const MadeRendition& made);
[[nodiscard]] Result<MadeRendition> made_from_json(const Json& value);
// {"renditions": [...]} of a child's result or checkpoint.
[[nodiscard]] Result<std::vector<MadeRendition>> all_made_from_json(const Json& result);

// What transcode.mp4 puts together: a published rendition.
struct PublishedTrack {
  std::string folder;  // a reference to all that is in it: "object:out/1080p/"
  int segments = 0;
};
struct Mp4Task {
  std::optional<PublishedTrack> video, audio;  // at least one of them
};
inline constexpr char kMp4Name[] = "video.mp4";  // video and audio, when there is video
inline constexpr char kM4aName[] = "audio.m4a";  // audio, when there is audio
[[nodiscard]] Json to_json(const Mp4Task& task);
[[nodiscard]] Result<Mp4Task> mp4_task_from_json(const Json& value);

// A stretch of the film where the source was damaged, in seconds from the film's first moment.
struct DamagedStretch {
  double from = 0;
  double to = 0;
  std::int64_t frames = 0;  // of video; 0: sound
};
[[nodiscard]] std::vector<DamagedStretch> in_seconds(const std::vector<media::Damage>& damage,
                                                     std::int64_t timescale);
[[nodiscard]] Json to_json(const std::vector<DamagedStretch>& damage);
// {"damage": [...]} of a child's result: what makes no sense is left out.
[[nodiscard]] std::vector<DamagedStretch> damage_from_json(const Json& result);

// {"borders": [...]} of a track's args: where the film's segments begin, in seconds, rising from 0.
[[nodiscard]] Result<std::vector<double>> borders_from_json(const Json& args);
// What a child has to say to people ({"notes": [...]}): clean text, a few lines of it.
[[nodiscard]] std::vector<std::string> notes_from_json(const Json& result);

}  // namespace spool::steps
