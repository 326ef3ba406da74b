#include "av/log.h"

#include <spdlog/spdlog.h>

#include <cstdarg>
#include <mutex>

extern "C" {
#include <libavutil/log.h>
}

namespace spool::av {
namespace {

thread_local LogCapture* innermost = nullptr;

void on_line(void* object, int level, const char* format, va_list arguments) {
  if (level > AV_LOG_WARNING) return;
  if (innermost == nullptr && level > AV_LOG_ERROR) return;
  char text[500];
  int print_prefix = 1;
  av_log_format_line2(object, level, format, arguments, text, sizeof text, &print_prefix);
  std::string line = text;
  while (!line.empty() && line.back() == '\n') line.pop_back();
  if (line.empty()) return;
  if (innermost != nullptr)
    innermost->hear(std::move(line));
  else
    spdlog::debug("{}", line);
}

}  // namespace

void take_log_over() {
  static std::once_flag once;
  std::call_once(once, [] { av_log_set_callback(&on_line); });
}

LogCapture::LogCapture(std::size_t most_lines) : most_lines_(most_lines), outer_(innermost) {
  take_log_over();
  innermost = this;
}
LogCapture::~LogCapture() {
  innermost = outer_;
}

void LogCapture::hear(std::string line) {
  // A damaged file says the same a thousand times.
  if (!lines_.empty() && lines_.back() == line) return;
  lines_.push_back(std::move(line));
  if (lines_.size() > most_lines_) lines_.pop_front();
}

std::string LogCapture::find(std::string_view text) const {
  for (auto line = lines_.rbegin(); line != lines_.rend(); ++line)
    if (line->find(text) != std::string::npos) return *line;
  return {};
}

}  // namespace spool::av
