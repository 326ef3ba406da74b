// Remuxing: coded frames of the source packaged as they are, where they fit. No generation loss, and next to
// no work. What does not fit is said in words, and encoded instead. Thread-safe; each call is its own.
#pragma once

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/file.h"
#include "media/audio.h"
#include "media/cmaf.h"
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
  std::int64_t shift = 0;             // D of this track
  std::int64_t peak_bits_per_second = 0;
  [[nodiscard]] bool fits() const { return obstacle.empty(); }
};

// Fits: H.264, 4:2:0 with 8 bits, progressive, upright with square pixels; one SPS and PPS; the whole film,
// no edit inside a GOP; true closed-GOP IDRs never further apart than `longest_seconds`; MP4, MOV or
// Matroska; under the cap. Reads the index and the frames at the borders, not the film. Errors: those of
// reading.
[[nodiscard]] Result<RemuxPlan> plan_remux(ByteSource source, const Timeline& timeline,
                                           const RemuxRules& rules, std::stop_token stop);

struct RemuxTask {
  int stream = 0;
  SourceClock clock;
  std::vector<std::int64_t> borders;
  std::int64_t end = 0;  // of the film, ticks
  std::int64_t shift = 0;
  std::string language = "und";
};
[[nodiscard]] RemuxTask remux_task(const RemuxPlan& plan, const Timeline& timeline);

struct RemuxSink {
  std::function<Result<void>(const Bytes& init, const std::string& codecs)> init;
  std::function<Result<void>(std::size_t index, const Segment&)> segment;
  std::function<void(double fraction)> progress = {};
};

// One sequential read. Errors: kUnsupported when a frame breaks what the plan assumed, naming it; kCancelled.
[[nodiscard]] Result<void> remux_video(ByteSource source, const RemuxTask& task, const RemuxSink& sink,
                                       std::stop_token stop);

// AAC-LC with at most two channels (or `keep_channels`), at 44.1 or 48 kHz, without gaps or drift, from the
// film's first moment on, and as long as the film: empty. Else the obstacle in words. Reads all its packets.
[[nodiscard]] Result<std::string> audio_copy_obstacle(ByteSource source, const AudioTask& task,
                                                      std::stop_token stop);
// Copies such a track; `task` as for encode_audio (gain and bit rate are ignored).
[[nodiscard]] Result<AudioReport> copy_audio(ByteSource source, const AudioTask& task, const AudioSink& sink,
                                             std::stop_token stop);

}  // namespace spool::media
