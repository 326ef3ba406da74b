// Picture: what the frames of a source look like, as far as turning them into output needs to know. Plain
// value.
#pragma once

#include <string>

#include "av/handles.h"
#include "base/error.h"
#include "base/json.h"
#include "media/frame_rate.h"
#include "media/ladder.h"

namespace spool::media {

struct Picture {
  int stream = 0;     // index in the container
  std::string codec;  // libavcodec's name
  int width = 0;      // as stored
  int height = 0;
  Ratio sample_aspect{1, 1};
  int rotation = 0;       // clockwise degrees that make it upright: 0, 90, 180, 270
  bool mirrored = false;  // after the rotation, left and right are swapped
  bool interlaced = false;
  std::string format;  // libavutil's pixel format name
  int primaries = 2;   // code points of ISO/IEC 23091-2 (2: not said)
  int transfer = 2;
  int matrix = 2;
  bool full_range = false;
  double peak_nits = 0;  // HDR: mastering or content light level; 0: not said
  int delay = 0;         // frames a decoder holds back to reorder

  // Upright, with square pixels.
  [[nodiscard]] Size shown() const;
  [[nodiscard]] bool hdr() const;  // PQ or HLG
  bool operator==(const Picture&) const = default;
};

// What the container says of a stream, without reading any frame.
[[nodiscard]] Picture described_by_container(const AVStream& stream);

// Reads the first frames to see what the container does not say. `input` has its stream info.
// Errors: kUnsupported for Dolby Vision profile 5 and unknown codecs; kLimitExceeded beyond `most_pixels`;
// kCorruptInput when nothing decodes.
[[nodiscard]] Result<Picture> describe_picture(AVFormatContext& input, int stream, const std::string& name,
                                               std::int64_t most_pixels);

// The video stream a person means: never cover art; the default one, then the largest. nullopt: there is
// none.
[[nodiscard]] std::optional<int> pick_video_stream(const AVFormatContext& input);

[[nodiscard]] Json to_json(const Picture& picture);
[[nodiscard]] Picture picture_from_json(const Json& document);  // throws Json::exception

}  // namespace spool::media
