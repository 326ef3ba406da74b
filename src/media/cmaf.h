// CMAF (ISO/IEC 23000-19) init segments and media segments, written by hand so that every chunk's bytes are
// the same whoever makes it. Pure functions, thread-safe.
//
// Times. A Sample's pts stands on the presentation's clock (0 is the film's first instant); its dts is the
// i-th smallest pts minus one constant D (audio: dts == pts), so the first decode times are negative. A
// track's `shift` is added to both when they are written, and the init segment's one edit takes it off again:
// players see pts as given, and tfdt is never negative. Video: shift = D. Audio: shift = the encoder's
// priming, whose first sample has pts == -priming. docs/decisions/segment_times.md says why.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "av/handles.h"
#include "base/error.h"
#include "media/sample.h"

namespace spool::media {

struct CmafTrack {
  std::uint32_t track_id = 1;
  std::uint32_t timescale = 90000;
  std::string language = "und";  // ISO 639-2
  std::int64_t shift = 0;        // ticks: see above
};

// ftyp + moov (mvex, no samples). H.264 and HEVC extradata may be Annex B or avcC/hvcC.
// Errors: kUnsupported for a codec that is not H.264, HEVC or AAC; kCorruptInput for extradata that makes no
// sense.
[[nodiscard]] Result<Bytes> cmaf_init_segment(const AVCodecParameters& codec, const CmafTrack& track);

// Where an IDR's own moof+mdat pair stands in its segment: that byte range, behind the init segment, decodes
// alone. The rest of its GOP follows in a pair of its own. Audio has one pair a segment.
struct Fragment {
  std::int64_t offset = 0;
  std::int64_t bytes = 0;
  std::int64_t pts = 0;
  std::int64_t duration = 0;  // of the GOP: until the next IDR
};

struct Segment {
  Bytes bytes;  // styp + (moof + mdat)...
  std::vector<Fragment> fragments;
  std::int64_t pts = 0;       // of what is shown first; priming is not shown
  std::int64_t duration = 0;  // ticks, up to the end of the last frame shown
};

// `samples` in decode order; a GOP begins at each sync sample of video (audio: one fragment).
// `sequence` is the number of the first GOP in the film (1, 2, ...; audio: of the segment): it comes from the
// plan, never from who runs it. The moofs of GOP n are numbered 2n-1 and 2n. Errors: kInternal when the
// samples break the rules above (the planner's or encoder's bug, never the input's).
[[nodiscard]] Result<Segment> cmaf_segment(const CmafTrack& track, bool video, std::uint32_t sequence,
                                           std::span<const Sample> samples);
// The same from bytes that lie elsewhere.
struct SampleView {
  std::int64_t pts = 0;
  std::int64_t dts = 0;
  std::int64_t duration = 0;
  bool sync = false;
  std::span<const std::byte> data = {};
};
[[nodiscard]] Result<Segment> cmaf_segment(const CmafTrack& track, bool video, std::uint32_t sequence,
                                           std::span<const SampleView> samples);

// RFC 6381: "avc1.64001f", "hvc1.1.6.L93.B0", "mp4a.40.2".
[[nodiscard]] Result<std::string> codec_string(const AVCodecParameters& codec);

}  // namespace spool::media
