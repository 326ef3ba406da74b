// TranscodeDisplay: what a person sees while `spool transcode` runs: the live bar on stderr, and where the
// playlists are as soon as they can be played. A thread of its own that only reads the store.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "queue/store.h"

namespace spool {

class TranscodeDisplay {
 public:
  // `json`: instead of the bar, nothing; the result speaks.
  TranscodeDisplay(Store& store, Uuid job, std::filesystem::path folder, std::string title, bool json);
  ~TranscodeDisplay();
  TranscodeDisplay(const TranscodeDisplay&) = delete;
  TranscodeDisplay& operator=(const TranscodeDisplay&) = delete;

  void finish();  // the last picture, and the bar is gone

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace spool
