// Timeline: when every frame of a film is shown, made before anything is split. From the index of an MP4
// without reading its media; from the packets of other formats. Nothing is decoded but the first few frames.
#pragma once

#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

#include "av/input.h"
#include "base/file.h"
#include "media/clock_repair.h"
#include "media/frame_rate.h"
#include "media/picture.h"

namespace spool::media {

// From a source's timestamps to ticks of the output, where 0 is the film's first frame. At a constant rate
// the ticks are exact multiples of frame_ticks, whatever the container rounded.
struct SourceClock {
  Ratio time_base{1, 1};           // of the source's stream
  std::int64_t zero = 0;           // the first frame's PTS there
  std::int64_t timescale = 90000;  // ticks a second
  std::int64_t frame_ticks = 0;    // one frame; 0: the rate varies
  std::int64_t origin = 0;         // ticks that a trim took off the start
  bool jumps = false;              // the format's clock may jump: see ClockRepair

  [[nodiscard]] std::int64_t tick(std::int64_t source_pts) const;  // nearest
  [[nodiscard]] std::int64_t source_pts(std::int64_t tick) const;  // nearest
  // Where a tick stands on the source's own clock, in seconds: what the audio is cut by.
  [[nodiscard]] double source_seconds(std::int64_t tick) const;
  bool operator==(const SourceClock&) const = default;
};

// A place where decoding can begin.
struct Keyframe {
  std::int64_t pts = 0;        // ticks
  std::int64_t dts = 0;        // as stored: what to seek to
  std::int64_t position = -1;  // byte offset of its packet, where that is how to seek; else -1
  ClockState clock;            // before this packet
  bool open = false;           // frames that are shown before it need the GOP before
  bool operator==(const Keyframe&) const = default;
};

// Frames a second. A shorter step between two frames of a variable rate is jitter of whoever took their
// times.
inline constexpr std::int64_t kHighestRate = 120;

struct Timeline {
  Picture picture;
  std::string format;  // libavformat's name
  SourceClock clock;
  Ratio rate;                       // exact at a constant rate, else the average
  Ratio highest_rate;               // by the shortest step between two frames; not above kHighestRate
  std::vector<std::int64_t> pts;    // of every frame, ticks, strictly increasing; the first is 0
  std::int64_t end = 0;             // when the last frame's time is over
  std::vector<Keyframe> keyframes;  // by pts
  std::int64_t dropped = 0;         // packets whose time another frame already had
  // The smallest constant by which decode times (the i-th smallest pts minus it) precede the source's frames.
  std::int64_t reorder = 0;

  [[nodiscard]] bool constant_rate() const { return clock.frame_ticks > 0; }
};

struct ScanOptions {
  std::int64_t most_pixels = 8192LL * 8192;
  std::int64_t most_frames = 20'000'000;
};

// Errors: kCorruptInput (not a video, no frames), kUnsupported (no video stream, Dolby Vision profile 5),
// kLimitExceeded, kCancelled, and what the source reports.
[[nodiscard]] Result<Timeline> scan_timeline(const ByteSource& source, std::stop_token stop,
                                             const ScanOptions& options = {});
// The same for a source that is open already, at its start; some of `described` is read.
[[nodiscard]] Result<Timeline> scan_timeline(const ByteSource& source, av::Input& described,
                                             std::stop_token stop, const ScanOptions& options = {});

// Whether a packet holds a frame that is shown. VP8 may hold frames that are only referred to, in packets of
// their own (RFC 6386 9.1: show_frame).
[[nodiscard]] bool is_shown(const AVStream& stream, const AVPacket& packet);

// One packet, as far as a timeline cares. Times as stored, repaired; AV_NOPTS_VALUE where there is none.
struct ScannedPacket {
  std::int64_t pts = 0;
  std::int64_t dts = 0;
  std::int64_t duration = 0;
  bool key = false;
  Keyframe place;  // of a keyframe; its pts is set later
};

// The rest of the scan, apart for tests: packets in decode order to a timeline. Errors: kCorruptInput.
[[nodiscard]] Result<Timeline> timeline_of(Picture picture, SourceClock clock,
                                           std::vector<ScannedPacket> packets,
                                           std::span<const Ratio> rate_hints, const std::string& name);

}  // namespace spool::media
