#include "live_display.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "terminal.h"

namespace spool {
namespace {

constexpr int kWidest = 100;  // a bar as wide as a wall is no easier to read
constexpr auto kBetweenPaints = std::chrono::milliseconds(100);

// A bar of `width` cells, filled in eighths of a cell.
std::string bar(double fraction, int width, bool colour) {
  static constexpr const char* kEighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const int eighths = static_cast<int>(std::floor(std::clamp(fraction, 0.0, 1.0) * width * 8));
  std::string full;
  for (int i = 0; i < eighths / 8; ++i) full += "█";
  full += kEighths[eighths % 8];
  const int rest = width - eighths / 8 - (eighths % 8 != 0 ? 1 : 0);
  std::string empty;
  for (int i = 0; i < rest; ++i) empty += "·";
  return spool::paint(full, Style::kGreen, colour) + spool::paint(empty, Style::kDim, colour);
}

std::string title_line(const ViewModel& view, int width, bool colour) {
  const std::string percent = fmt::format("{:3.0f}%", std::floor(100 * std::clamp(view.fraction, 0.0, 1.0)));
  const int title = std::min(columns(printable(view.title)), width / 3);
  const int cells = width - title - 2 - 2 - columns(percent);
  return fmt::format("{}  {}  {}\n", spool::paint(fit(printable(view.title), title), Style::kBold, colour),
                     bar(view.fraction, cells, colour), percent);
}

std::string numbers_line(const ViewModel& view, int width) {
  std::string out;
  const auto add = [&](std::string part) { out += (out.empty() ? "" : "   ") + part; };
  if (view.frames_per_second)
    add(fmt::format("{:.{}f} frames/s", *view.frames_per_second, *view.frames_per_second < 100 ? 1 : 0));
  if (view.speed) add(fmt::format("{:.{}f}x real time", *view.speed, *view.speed < 10 ? 2 : 1));
  if (view.left) add(short_duration(std::chrono::ceil<std::chrono::seconds>(*view.left)) + " left");
  return out.empty() ? "" : fit(out, width) + "\n";
}

// Several chunks in one cell look like the most urgent of them, but done only when all are.
Cell merge(std::span<const Cell> cells) {
  for (const Cell urgent : {Cell::kFailed, Cell::kRetried, Cell::kRunning})
    if (std::find(cells.begin(), cells.end(), urgent) != cells.end()) return urgent;
  const auto done = std::count(cells.begin(), cells.end(), Cell::kFinished);
  if (done == static_cast<std::ptrdiff_t>(cells.size())) return Cell::kFinished;
  return done > 0 ? Cell::kRunning : Cell::kWaiting;
}

std::string cell_text(Cell cell, bool colour) {
  switch (cell) {
    case Cell::kWaiting:
      return spool::paint("·", Style::kDim, colour);
    case Cell::kRunning:
      return spool::paint("▒", Style::kCyan, colour);
    case Cell::kFinished:
      return spool::paint("█", Style::kGreen, colour);
    case Cell::kRetried:
      return spool::paint("▒", Style::kYellow, colour);
    case Cell::kFailed:
      return spool::paint("✖", Style::kRed, colour);
  }
  return "?";
}

std::string strip_line(const ViewModel& view, int width, bool colour) {
  if (view.chunks.empty()) return {};
  const std::size_t count = view.chunks.size();
  const auto done = std::count(view.chunks.begin(), view.chunks.end(), Cell::kFinished);
  const std::string words = width < 40 ? "" : fmt::format(" {} of {} chunks", done, count);
  const auto room = static_cast<std::size_t>(std::max(4, width - columns(words) - 2));
  const std::size_t cells = std::min(room, count);
  std::string out = "▕";
  for (std::size_t i = 0; i < cells; ++i) {
    const std::size_t from = i * count / cells;
    out += cell_text(merge(std::span(view.chunks).subspan(from, (i + 1) * count / cells - from)), colour);
  }
  return out + "▏" + words + "\n";
}

Cell cell_of(const Job& job) {
  switch (job.state) {
    case State::kSucceeded:
      return Cell::kFinished;
    case State::kFailed:
    case State::kCancelled:
      return Cell::kFailed;
    case State::kRunning:
      return job.errors.empty() ? Cell::kRunning : Cell::kRetried;
    default:
      return job.errors.empty() ? Cell::kWaiting : Cell::kRetried;
  }
}

double number_in(const Json& value, const char* key) {
  if (!value.is_object()) return 0;
  const auto found = value.find(key);
  return found != value.end() && found->is_number() ? found->get<double>() : 0;
}

}  // namespace

std::string render(const ViewModel& view, int width, bool colour) {
  width = std::clamp(width, 24, kWidest);
  std::string out =
      title_line(view, width, colour) + numbers_line(view, width) + strip_line(view, width, colour);
  for (const std::string& note : view.notes) out += fit(printable(note), width) + "\n";
  return out;
}

ViewModel TreeWatch::look(std::span<const Job> jobs, Uuid top, Duration elapsed) {
  ViewModel view;
  double frames = 0;
  double film_frames = 0;
  double film_seconds = 0;
  for (const Job& job : jobs) {
    if (job.id == top) {
      view.title = job.name.empty() ? job.kind : job.name;
      film_frames = number_in(job.checkpoint, "frames");
      film_seconds = number_in(job.checkpoint, "seconds");
    }
    if (job.kind != chunk_kind_) continue;
    view.chunks.push_back(cell_of(job));
    frames += number_in(job.state == State::kSucceeded ? job.result : job.progress_detail, "frames");
  }
  progress_ = tree_progress(jobs, top, progress_);
  view.fraction = progress_;
  view.left = time_left_.add(elapsed, progress_);
  samples_.push_back({elapsed, frames, progress_});
  while (samples_.size() > 2 && elapsed - samples_.front().elapsed > std::chrono::seconds(10))
    samples_.pop_front();
  const Sample& first = samples_.front();
  const double seconds = std::chrono::duration<double>(elapsed - first.elapsed).count();
  if (seconds < 1) return view;
  if (frames > first.frames) view.frames_per_second = (frames - first.frames) / seconds;
  if (view.frames_per_second && film_frames > 0 && film_seconds > 0)
    view.speed = *view.frames_per_second * film_seconds / film_frames;
  return view;
}

LiveDisplay::LiveDisplay(int fd) : fd_(fd) {
  const Terminal terminal = Terminal::of(fd);
  const char* term = std::getenv("TERM");
  on_ = terminal.is_terminal && term != nullptr && std::string_view(term) != "dumb";
}

LiveDisplay::~LiveDisplay() {
  clear();
}

void LiveDisplay::show(const ViewModel& view) {
  if (!on_) return;
  const auto now = BootClock::now();
  if (painted_at_ && now - *painted_at_ < kBetweenPaints) return;
  painted_at_ = now;
  paint(view);
  last_ = view;
}

namespace {

// How many rows what was painted takes now: a terminal that became narrower has wrapped it.
int rows(const std::vector<int>& lines, int width) {
  int out = 0;
  for (const int line : lines) out += std::max(1, (line + width - 1) / width);
  return out;
}

void put(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n <= 0) return;  // a terminal that went away is no reason to stop working
    text.remove_prefix(static_cast<std::size_t>(n));
  }
}

}  // namespace

void LiveDisplay::paint(const ViewModel& view) {
  const Terminal terminal = Terminal::of(fd_);
  std::string out;
  if (const int up = rows(painted_, terminal.width); up > 0) out = fmt::format("\x1b[{}A", up);
  // One column stays free: a full last column makes some terminals wrap.
  const std::string text = render(view, terminal.width - 1, terminal.colour);
  painted_.clear();
  out += "\r\x1b[J";
  for (std::size_t from = 0; from < text.size();) {
    const std::size_t end = text.find('\n', from);
    painted_.push_back(columns(text.substr(from, end - from)));
    from = end + 1;
  }
  out += text;
  width_ = terminal.width;
  put(fd_, out);
}

void LiveDisplay::say(const std::string& line) {
  clear();
  put(fd_, line + "\n");
  if (on_ && last_) paint(*last_);
}

void LiveDisplay::clear() {
  if (!on_ || painted_.empty()) return;
  put(fd_, fmt::format("\x1b[{}A\r\x1b[J", rows(painted_, Terminal::of(fd_).width)));
  painted_.clear();
}

}  // namespace spool
