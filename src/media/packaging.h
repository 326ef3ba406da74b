// Playlists: HLS (RFC 8216) and DASH (ISO/IEC 23009-1) over the same CMAF segments. Pure text out of plain
// values, thread-safe.
//
// The layout below a presentation's folder is fixed:
//   master.m3u8, manifest.mpd
//   NAME/playlist.m3u8, NAME/iframes.m3u8 (video), NAME/init.mp4, NAME/00001.m4s ... (subtitles:
//   NAME/00001.vtt ..., all.vtt)
// While a film is being made its media playlists grow: the same lines plus more, so that a player that
// reloads never sees a change (section 6.2.1). A rendition's segments are the contiguous prefix of what is
// there.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "av/handles.h"
#include "base/error.h"
#include "base/json.h"
#include "media/cmaf.h"

namespace spool::media {

// A segment that lies in its place, without its bytes.
struct PackagedSegment {
  std::int64_t pts = 0;  // ticks of the rendition
  std::int64_t duration = 0;
  std::int64_t bytes = 0;
  std::vector<Fragment> fragments;  // video: its IDRs
};
[[nodiscard]] PackagedSegment packaged(const Segment& segment);

struct Rendition {
  enum class Kind { kVideo, kAudio, kSubtitles };
  Kind kind = Kind::kVideo;
  std::string name;  // "720p", "audio-eng": its folder; letters, digits, '-' and '_'
  std::uint32_t timescale = 90000;
  std::string codecs;  // RFC 6381
  int width = 0, height = 0;
  AVRational frame_rate{0, 1};       // the highest it has; 0: unknown
  std::int64_t bandwidth_bound = 0;  // bits/s, what may be declared before all is measured (VBV)
  std::string language = "und";      // ISO 639-2
  std::string label;                 // for people; empty: made from the language
  bool is_default = false;
  bool forced = false;  // subtitles
  int channels = 0, sample_rate = 0;
  std::vector<PackagedSegment> segments;
  bool complete = false;
};
[[nodiscard]] Json to_json(const PackagedSegment& segment);
[[nodiscard]] Result<PackagedSegment> packaged_segment_from_json(const Json& value);

// "00001.m4s" for index 0.
[[nodiscard]] std::string segment_name(std::size_t index, Rendition::Kind kind = Rendition::Kind::kVideo);
// "eng" -> "en", as RFC 5646 wants the shortest tag; unknown codes are passed on.
[[nodiscard]] std::string language_tag(const std::string& iso639_2);

// What EXT-X-TARGETDURATION must be for the longest of these durations (seconds, rounded; at least 1).
[[nodiscard]] int target_duration(const std::vector<double>& segment_seconds);

// Peak over any run of segments of 0.5 to 1.5 target durations (section 4.3.4.2), and the mean; bits/s.
inline constexpr double kShortestRun = 0.5, kLongestRun = 1.5;
struct Bandwidth {
  std::int64_t peak = 0;
  std::int64_t average = 0;
};
[[nodiscard]] Bandwidth measured_bandwidth(const Rendition& rendition, int target_seconds);
[[nodiscard]] Bandwidth measured_iframe_bandwidth(const Rendition& rendition, int target_seconds);

// EVENT; ENDLIST when complete. `target_seconds` is fixed at planning.
[[nodiscard]] std::string hls_media_playlist(const Rendition& rendition, int target_seconds);
[[nodiscard]] std::string hls_iframe_playlist(const Rendition& rendition, int target_seconds);
// What a master calls the playlists in the folders of its renditions.
struct PlaylistNames {
  std::string media = "playlist.m3u8", iframes = "iframes.m3u8";
};
// Variants: each video with the audio group (and subtitles); the default audio alone as the last variant.
[[nodiscard]] std::string hls_master(const std::vector<Rendition>& renditions, int target_seconds,
                                     const PlaylistNames& playlists = {});
// Static, for a finished presentation.
[[nodiscard]] std::string dash_mpd(const std::vector<Rendition>& renditions, int target_seconds);

}  // namespace spool::media
