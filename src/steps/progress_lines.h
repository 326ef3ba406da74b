// ProgressLines: what a command prints, read as progress, results and log lines. Hostile input: any bytes,
// any cut.
//
// A line is one of
//   {"progress": 0.5, "frames": 120}       a JSON object with any of progress (0..1), checkpoint, result, log
//   frame=120 / out_time_us=4000000 / ...  FFmpeg's -progress; a block ends with progress=continue or
//   progress=end anything else                          a line of the log
// A line that is too long is cut; control characters (a terminal's escapes) and bytes that are no UTF-8 are
// replaced. docs/adding_a_step.md is the description for those who write commands. One thread at a time.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"

namespace spool::steps {

inline constexpr std::size_t kMostLineBytes = 64 << 10;
inline constexpr std::size_t kMostDetailBytes = 4 << 10;

class ProgressLines {
 public:
  // Whom it may concern; each is called from feed() and finish().
  struct Sink {
    std::function<void(double fraction, Json detail)> progress;
    std::function<void(Json)> checkpoint;
    std::function<void(Json)> result;
    std::function<void(std::string_view)> log;
  };
  // `seconds`: the length of what is worked on, by which FFmpeg's out_time becomes a fraction; 0: unknown.
  ProgressLines(Sink sink, double seconds) : sink_(std::move(sink)), seconds_(seconds) {}

  void feed(std::string_view bytes);
  // The last line may lack its end.
  void finish();

 private:
  void line(std::string_view text);
  bool json_line(std::string_view text);
  bool ffmpeg_line(std::string_view text);

  const Sink sink_;
  const double seconds_;
  std::string rest_;
  bool cut_ = false;  // the line that comes is longer than we keep
  Json block_ = Json::object();
  double fraction_ = 0;  // never falls
};

}  // namespace spool::steps
