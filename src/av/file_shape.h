// What a file is by its bytes, before and beside what a demuxer makes of it: for refusals in words.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/file.h"

namespace spool::av {

// "an HLS playlist", "a concat script", ...: things that name other files and are never opened. nullopt:
// none.
[[nodiscard]] std::optional<std::string> script_kind(std::string_view head);
// Nothing but printable characters, and no media format that begins so.
[[nodiscard]] bool is_text(std::string_view head);

// The outermost boxes of an ISO BMFF file (MP4, MOV).
struct BoxShape {
  bool boxes = false;               // it is such a file
  bool moov = false;                // the table of contents was seen
  bool media = false;               // mdat or moof was seen
  bool fragments = false;           // moof was seen: the table of contents is not all
  std::uint64_t missing_bytes = 0;  // of media or tables, that the last box claims beyond the file's end
};
// Errors: of the reading source.
[[nodiscard]] Result<BoxShape> box_shape(const ByteSource& source);

// Of an MP4 or MOV as above; of Matroska and WebM, what the segment claims beyond the file's end (RFC 9559
// section 4.5; a live recording does not say its size). 0: none, or another container. Errors: of the reading
// source.
[[nodiscard]] Result<std::uint64_t> missing_bytes(const ByteSource& source);

// The first `most` bytes. Errors: of the reading source.
[[nodiscard]] Result<std::string> head_of(const ByteSource& source, std::size_t most = 4096);

}  // namespace spool::av
