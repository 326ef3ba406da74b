// Boxes, NAL units and subtitles: bytes that strangers wrote. Nothing may crash, read outside or escape its
// cue.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string_view>

#include "media/cmaf_read.h"
#include "media/nal.h"
#include "media/subtitles.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace spool::media;
  if (size == 0) return 0;
  const auto bytes = std::as_bytes(std::span(data + 1, size - 1));
  const std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  switch (data[0] % 6) {
    case 0:
      static_cast<void>(read_init_segment(bytes));
      break;
    case 1:
      static_cast<void>(read_segment(bytes));
      break;
    case 2:
      static_cast<void>(avc_configuration(bytes));
      break;
    case 3:
      static_cast<void>(hevc_configuration(bytes));
      break;
    case 4: {
      const auto cues = parse_subtitles(text, "fuzz");
      if (!cues) break;
      for (const Cue& cue : *cues) {
        const bool leaves = cue.text.find("-->") != std::string::npos ||
                            cue.text.find("\n\n") != std::string::npos ||
                            cue.settings.find('\n') != std::string::npos || cue.end <= cue.begin;
        if (leaves) std::abort();
      }
      static_cast<void>(segment_subtitles(*cues, {0, 4, 8}, 12));
      break;
    }
    default: {
      const std::string made = webvtt_text_of_ass(text);
      if (made.find("-->") != std::string::npos || made.find("\n\n") != std::string::npos) std::abort();
    }
  }
  return 0;
}
