// LiveDisplay: what a person sees while a job runs: percent, speed, time left, and a strip of its chunks.
//
//   talk.mov  ████████████▌·············  42%
//   96.5 frames/s   1.8x real time   0m 42s left
//   ▕██████████████▓▒▒··················▏ 14 of 33 chunks
//
// render() is pure. LiveDisplay paints in place on stderr, at most ten times a second, and asks for the
// terminal's width at each paint (which is what SIGWINCH would tell); where stderr is no terminal it paints
// nothing. One thread at a time.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "queue/job.h"
#include "queue/progress.h"

namespace spool {

enum class Cell { kWaiting, kRunning, kFinished, kRetried, kFailed };

struct ViewModel {
  std::string title;
  double fraction = 0;  // 0..1
  std::optional<double> frames_per_second;
  std::optional<double> speed;     // film seconds a second
  std::optional<Duration> left;    // only once it is stable
  std::vector<Cell> chunks;        // in the film's order; empty: no strip
  std::vector<std::string> notes;  // a line each: where the result can be played, what was left out
};

// Lines, each with a line break at its end and no wider than `width` columns.
[[nodiscard]] std::string render(const ViewModel& view, int width, bool colour);

// The view of a tree of jobs, and what is remembered from one look to the next (progress never falls, speeds
// are of the last ten seconds). `elapsed` since the display began must not fall.
class TreeWatch {
 public:
  // `chunk_kind`: the jobs that are cells. Of their progress_detail (and result), "frames" is counted.
  explicit TreeWatch(std::string chunk_kind = "transcode.chunk") : chunk_kind_(std::move(chunk_kind)) {}
  [[nodiscard]] ViewModel look(std::span<const Job> jobs, Uuid top, Duration elapsed);

 private:
  struct Sample {
    Duration elapsed{};
    double frames = 0;
    double progress = 0;
  };
  std::string chunk_kind_;
  double progress_ = 0;
  TimeLeft time_left_;
  std::deque<Sample> samples_;
};

class LiveDisplay {
 public:
  explicit LiveDisplay(int fd = 2);
  ~LiveDisplay();  // clears what it painted
  LiveDisplay(const LiveDisplay&) = delete;
  LiveDisplay& operator=(const LiveDisplay&) = delete;

  [[nodiscard]] bool is_on() const { return on_; }
  // Paints if a tenth of a second has passed since the last time.
  void show(const ViewModel& view);
  // Removes the display and writes a line above it that stays.
  void say(const std::string& line);
  void clear();

 private:
  void paint(const ViewModel& view);
  int fd_;
  bool on_;
  int width_ = 0;
  std::vector<int> painted_;  // the columns of each painted line
  std::optional<ViewModel> last_;
  std::optional<BootClock::time_point> painted_at_;
};

}  // namespace spool
