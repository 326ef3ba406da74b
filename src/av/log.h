// What the FFmpeg libraries say, kept instead of printed.
//
// The libraries log through one process-wide callback; a LogCapture sees what is said on its own thread while
// it lives (decoders here run on one thread). Captures nest; the innermost one hears. Said without a capture:
// errors go to the program's log at debug level, all else nowhere.
#pragma once

#include <cstddef>
#include <deque>
#include <string>

namespace spool::av {

// Takes the libraries' log over. Idempotent, thread-safe; opening an input does it.
void take_log_over();

class LogCapture {
 public:
  explicit LogCapture(std::size_t most_lines = 50);
  LogCapture(const LogCapture&) = delete;
  LogCapture& operator=(const LogCapture&) = delete;
  ~LogCapture();

  // The last lines of level warning or worse, oldest first; each at most 500 bytes.
  [[nodiscard]] const std::deque<std::string>& lines() const { return lines_; }
  // The last line that holds `text`, or "".
  [[nodiscard]] std::string find(std::string_view text) const;
  void hear(std::string line);  // for the callback

 private:
  std::size_t most_lines_;
  std::deque<std::string> lines_;
  LogCapture* outer_;
};

}  // namespace spool::av
