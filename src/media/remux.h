// Remuxing: coded frames of the source packaged as they are, where they fit. No generation loss, and next to
// no work. What does not fit is said in words, and encoded instead. Thread-safe; each call is its own.
#pragma once

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "media/audio.h"
#include "media/cmaf.h"
#include "media/damage.h"
#include "media/timeline.h"

namespace spool::media {

struct RemuxRules {
  double segment_seconds = 4;
  double longest_seconds = 8;            // between two borders
  std::int64_t max_bits_per_second = 0;  // the rung's cap; 0: none
};

// How the source's video is cut, or why it is not.
struct RemuxPlan {
  std::string obstacle;               // empty: it fits
  std::vector<std::int64_t> borders;  // ticks of the timeline's clock: IDRs of the source where segments
                                      // begin; the first is 0. Encoded rungs force theirs there.
  std::int64_t peak_bits_per_second = 0;
  [[nodiscard]] bool fits() const { return obstacle.empty(); }
};

// Fits: H.264, Baseline to High, 4:2:0 with 8 bits, progressive, upright with square pixels; one SPS and PPS;
// no edit inside a GOP; true closed-GOP IDRs never further apart than `longest_seconds`; MP4, MOV or
// Matroska, not cut off; under the cap. Reads the index and the keyframes, not the film. Errors: those of
// reading.
[[nodiscard]] Result<RemuxPlan> plan_remux(ByteSource source, const Timeline& timeline,
                                           const RemuxRules& rules, std::stop_token stop);

// A stretch of the film: what one attempt packages. Serialisable, small.
struct RemuxTask {
  int stream = 0;
  SourceClock clock;
  std::vector<std::int64_t> borders;  // of its segments
  std::int64_t end = 0;               // of its last one, ticks
  std::int64_t shift = 0;             // D of the film: see cmaf.h
  std::int64_t seek = 0;              // where its first frame stands on the stream's own clock
  int first_segment = 0;
  std::uint32_t first_fragment = 1;  // numbers rise from stretch to stretch, with holes
  std::string language = "und";
  bool operator==(const RemuxTask&) const = default;
};
// Stretches of about `seconds`. `shift`: at least Timeline::reorder.
[[nodiscard]] std::vector<RemuxTask> remux_tasks(const RemuxPlan& plan, const Timeline& timeline,
                                                 std::int64_t shift, double seconds = 60);

[[nodiscard]] Json to_json(const RemuxTask& task);
[[nodiscard]] Result<RemuxTask> remux_task_from_json(const Json& document);  // Errors: kInvalidArgument

struct RemuxSink {
  std::function<Result<void>(const Bytes& init, const std::string& codecs)> init;  // of the first stretch
  std::function<Result<void>(std::size_t index, const Segment&)> segment;          // its place in the film
  std::function<void(double fraction)> progress = {};
};

// One sequential read. Gives the frames that are damaged as far as can be seen without decoding (the demuxer
// says so, or their NAL units make no sense); they are packaged as they are. Errors: kUnsupported when a
// frame breaks what the plan assumed, naming it; kCorruptInput when the source ends before the stretch does;
// kCancelled.
[[nodiscard]] Result<std::vector<Damage>> remux_video(ByteSource source, const RemuxTask& task,
                                                      const RemuxSink& sink, std::stop_token stop);

// AAC-LC with at most two channels (or `keep_channels`), at 44.1 or 48 kHz and no more than
// `bits_per_second`, without gaps or drift, from the film's first moment on, and as long as the film: empty.
// Else the obstacle in words. Reads all its packets.
[[nodiscard]] Result<std::string> audio_copy_obstacle(ByteSource source, const AudioTask& task,
                                                      std::stop_token stop);
// Copies such a track; `task` as for encode_audio (gain and bit rate are ignored).
[[nodiscard]] Result<AudioReport> copy_audio(ByteSource source, const AudioTask& task, const AudioSink& sink,
                                             std::stop_token stop);

}  // namespace spool::media
