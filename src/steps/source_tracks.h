// SourceTracks: which streams of a source become renditions. Nothing that the file says about itself is
// believed without bounds: labels are clean text, languages three letters. Thread-safe: no state but the
// call's.
#pragma once

#include <string>
#include <vector>

#include "av/input.h"
#include "base/error.h"
#include "base/file.h"

namespace spool::steps {

struct AudioTrack {
  int stream = 0;
  std::string language = "und";  // ISO 639-2; part of a folder's name
  std::string title;
  bool is_default = false;  // exactly one is
};

struct TextTrack {
  int stream = 0;
  std::string language = "und";
  std::string title;
  bool is_default = false;
  bool forced = false;
};

struct SourceTracks {
  bool video = false;
  std::vector<AudioTrack> audio;
  std::vector<TextTrack> text;
  std::vector<std::string> notes;  // for people: what was left out
};

// Errors: kUnsupported when there is neither video nor audio; kCorruptInput when an MP4 lists no samples of
// its audio.
[[nodiscard]] Result<SourceTracks> find_tracks(const ByteSource& source, const av::Input& input);

}  // namespace spool::steps
