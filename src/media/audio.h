// Audio: a track of the source, encoded once over the whole film as AAC (AAC-LC of libavcodec), and cut into
// CMAF segments beside the video's. The same bytes for the same task and source. Thread-safe; each call is
// its own.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/file.h"
#include "media/audio_placement.h"
#include "media/cmaf.h"

namespace spool::media {

struct AudioTask {
  int stream = -1;                         // of the source; < 0: the best one
  std::int64_t bits_per_second = 128'000;  // for stereo; more channels get more, mono three quarters
  bool keep_channels = false;              // false: more than two are mixed down
  std::string language = "und";            // ISO 639-2
  double gain_db = 0;                      // fixed, over the whole film: see loudness.h

  // Where the presentation's 0 is on the source's clock (SourceClock::source_seconds(0)). nullopt: at the
  // track's first sample (films without video).
  std::optional<double> begin_seconds = std::nullopt;
  // How long the presentation lasts (seconds), if that is known: a track that ends more than half a second
  // earlier is filled up with silence, for players stall where one track has ended. `cut`: and nothing is
  // beyond (trim).
  std::optional<double> film_seconds = std::nullopt;
  bool cut = false;

  // A film without video is trimmed by the track's own time: seconds from its first sample.
  double from_seconds = 0;
  std::optional<double> until_seconds = std::nullopt;  // > from_seconds

  // Where the video's segments begin (seconds; the first is 0, rising). Beyond the last, and without video, a
  // segment is `segment_seconds` long.
  std::vector<double> borders = {};
  double segment_seconds = 4;
};

// Which part of a track is heard, known when its first sample is.
struct AudioWindow {
  double begin_seconds = 0;       // on the source's clock
  std::int64_t most = INT64_MAX;  // samples; nothing beyond
};
[[nodiscard]] AudioWindow window_of(const AudioTask& task, double first_seconds, int rate);

struct AudioFormat {
  Bytes init;               // segment
  std::string codecs;       // RFC 6381
  int sample_rate = 48000;  // and timescale
  int channels = 2;
  std::int64_t priming = 0;  // samples, in the init segment's edit
  std::int64_t bits_per_second = 0;
};

struct AudioSink {
  std::function<Result<void>(const AudioFormat&)> format;  // once, before the first segment
  // As soon as each is whole; index 0, 1, ...
  std::function<Result<void>(std::size_t index, const Segment&)> segment;
  std::function<void(double fraction)> progress;  // may be empty
};

// A stretch that could not be decoded, on the presentation's clock.
struct DamagedSound {
  double from_seconds = 0;
  double to_seconds = 0;
};

struct AudioReport {
  std::int64_t samples = 0;  // without priming
  std::vector<SilenceFilled> filled;
  double cut_seconds = 0;  // overlaps that were cut away
  std::vector<DamagedSound> damage;
};

// Errors: kUnsupported (no such track), kCorruptInput (not one sample could be decoded), kInvalidArgument (a
// trim leaves nothing; the message says how long the track is), kCancelled, those of the source and of the
// sink.
[[nodiscard]] Result<AudioReport> encode_audio(ByteSource source, const AudioTask& task,
                                               const AudioSink& sink, std::stop_token stop);

}  // namespace spool::media
