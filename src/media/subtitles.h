// Text subtitles, embedded (mov_text, SubRip, ASS, WebVTT) or given as a file (.srt, .vtt), as WebVTT
// segmented beside the video. Text is hostile: only <i>, <b> and <u> survive, everything else is text and
// escaped. Pure functions but for the reading of a source; thread-safe.
#pragma once

#include <cstdint>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "media/packaging.h"

namespace spool::media {

struct Cue {
  std::int64_t begin = 0;  // milliseconds
  std::int64_t end = 0;    // > begin
  std::string settings;    // WebVTT's, checked; usually empty
  std::string text;        // WebVTT cue text: escaped, no empty lines
  bool operator==(const Cue&) const = default;
};

// .srt or .vtt, whatever its name says; in UTF-8, or else taken for Windows-1252. Blocks that make no sense
// are left out. Errors: kCorruptInput when there is not one cue in it, kLimitExceeded beyond 32 MiB or
// 500,000 cues.
[[nodiscard]] Result<std::vector<Cue>> parse_subtitles(std::string_view file, const std::string& name);

// A stream of the source. `begin_seconds`: the time on the source's clock that becomes 0.
// Errors: kUnsupported for subtitles that are pictures, naming the format; kCancelled.
[[nodiscard]] Result<std::vector<Cue>> read_subtitles(ByteSource source, int stream, double begin_seconds,
                                                      std::stop_token stop);
[[nodiscard]] bool is_text_subtitle(AVCodecID codec);

struct SubtitleSegments {
  std::vector<std::string>
      segments;  // WebVTT with X-TIMESTAMP-MAP; a cue that crosses a border stands in both
  std::vector<PackagedSegment> packaged;  // the same, in 90 kHz
  std::string all;                        // one WebVTT file, for DASH and downloads
};
// `borders`: where the video's segments begin (seconds; the first is 0). Cues beyond the film are left out,
// those that reach beyond its ends are cut.
[[nodiscard]] SubtitleSegments segment_subtitles(std::vector<Cue> cues, const std::vector<double>& borders,
                                                 double film_seconds);

// Text with <i>, <b>, <u> kept and closed in order, other tags dropped, the rest escaped; no empty lines.
[[nodiscard]] std::string webvtt_text(std::string_view text);
// The text of an ASS event: override codes to tags, \N to line breaks.
[[nodiscard]] std::string webvtt_text_of_ass(std::string_view text);

}  // namespace spool::media
