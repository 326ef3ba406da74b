// The boxes of a moov that an init segment and a progressive MP4 share. Pure functions, thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "av/handles.h"
#include "base/error.h"
#include "media/box.h"

namespace spool::media {

struct Edit {
  std::uint64_t movie_duration = 0;  // in the movie's timescale; 0 in a fragmented file: to the end
  std::int64_t media_time = 0;       // in the track's timescale; -1: nothing is shown
};

struct TrackShape {
  std::uint32_t track_id = 1;
  bool video = true;
  bool enabled = true;
  std::uint16_t alternate_group = 0;  // audio tracks of which one is played share a number
  std::uint32_t timescale = 90000;
  std::string language = "und";
  int width = 0, height = 0;
  std::uint64_t movie_duration = 0;
  std::uint64_t media_duration = 0;
  std::vector<Edit> edits;
};

void write_movie_header(BoxWriter& out, std::uint32_t timescale, std::uint64_t duration,
                        std::uint32_t next_track);
void write_track_headers(BoxWriter& out, const TrackShape& track);  // tkhd, edts
void write_media_headers(BoxWriter& out, const TrackShape& track);  // mdhd, hdlr
void write_media_information(BoxWriter& out, bool video);           // vmhd or smhd, dinf
[[nodiscard]] Result<void> write_sample_description(BoxWriter& out, const AVCodecParameters& codec);

// RFC 6381 name out of avcC, hvcC or an AudioSpecificConfig.
[[nodiscard]] Result<std::string> codec_string_of_record(std::uint32_t entry,
                                                         std::span<const std::byte> record);

}  // namespace spool::media
