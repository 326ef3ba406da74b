// TranscodeDisplay: what a person sees while `spool transcode` runs: the live bar on stderr, and where the
// playlists are as soon as they can be played. A thread of its own that only reads the store.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "queue/store.h"

namespace spool {

class TranscodeDisplay {
 public:
  // `draining`: no more chunks are begun; it is said once. Called from the display's thread.
  TranscodeDisplay(Store& store, Uuid job, std::filesystem::path folder, std::string title,
                   std::function<bool()> draining);
  ~TranscodeDisplay();
  TranscodeDisplay(const TranscodeDisplay&) = delete;
  TranscodeDisplay& operator=(const TranscodeDisplay&) = delete;

  void finish();  // the last picture, and the bar is gone

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace spool
