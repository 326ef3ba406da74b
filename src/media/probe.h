// Probe: what a file holds, as far as the container, the first decoded frames and the packets tell. Nothing a
// file claims is believed without bounds: text is made valid UTF-8 and cut, times and rates that make no
// sense are null.
//
// The document (all times in seconds; null where a file does not say):
//   format, size_bytes, duration, start, bit_rate, tags, chapters[], streams[], main_video, main_audio,
//   warnings[] a stream: index, type, codec, profile, level, language, disposition[], start, duration,
//   time_base, bit_rate, tags, packets; video: coded and shown size, sample_aspect, display_aspect, rotation,
//   mirrored, pixel_format, bit_depth, chroma,
//          frame_rate, average_rate, rate_mode (cfr, vfr), field_order, scan (progressive, tff, bff; from
//          pictures), colour{}, hdr{}, gop{}; audio: sample_rate, channels, layout, sample_format,
//          priming_samples.
// Thread-safe: no state but the call's.
#pragma once

#include <stop_token>

#include "av/decoder.h"
#include "base/file.h"
#include "base/json.h"

namespace spool::media {

struct ProbeOptions {
  bool loudness = false;       // decodes the whole main audio track
  bool personal_tags = false;  // location and device metadata too
  int most_packets = 20000;    // looked at, of all streams; what follows is not (the document says so)
  int decoded_frames = 24;     // of the main video, for what only pictures tell
  std::int64_t most_pixels = av::kMostPixels;
};

// Errors: as av::Input::open; kCancelled. A file with damage, or without a usable stream, is no error:
// warnings say so.
[[nodiscard]] Result<Json> probe(const ByteSource& source, const ProbeOptions& options, std::stop_token stop);

}  // namespace spool::media
