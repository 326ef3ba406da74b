#include "steps/progress_lines.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "base/utf8.h"

namespace spool::steps {
namespace {

std::optional<double> number(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

// FFmpeg's key, and ours for the same. An empty one is known and not told.
struct FfmpegKey {
  std::string_view theirs, ours;
};
constexpr std::array kFfmpegKeys{
    FfmpegKey{"frame", "frames"},
    FfmpegKey{"fps", "fps"},
    FfmpegKey{"bitrate", ""},
    FfmpegKey{"total_size", "bytes"},
    FfmpegKey{"out_time_us", ""},
    FfmpegKey{"out_time_ms", ""},
    FfmpegKey{"out_time", ""},
    FfmpegKey{"dup_frames", "duplicated_frames"},
    FfmpegKey{"drop_frames", "dropped_frames"},
    FfmpegKey{"speed", "speed"},
    FfmpegKey{"progress", ""},
};

}  // namespace

void ProgressLines::feed(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::size_t end = bytes.find_first_of("\n\r");
    const std::string_view part = bytes.substr(0, end);
    const std::size_t room = kMostLineBytes - rest_.size();
    rest_.append(part.substr(0, room));
    cut_ |= part.size() > room;
    if (end == std::string_view::npos) return;
    bytes.remove_prefix(end + 1);
    finish();
  }
}

void ProgressLines::finish() {
  const std::string text = std::exchange(rest_, {});
  const bool whole = !std::exchange(cut_, false);
  if (text.empty()) return;
  if (whole) return line(text);
  if (sink_.log) sink_.log(clean_text(text, kMostLineBytes));
}

void ProgressLines::line(std::string_view text) {
  if (text.front() == '{' && json_line(text)) return;
  if (ffmpeg_line(text)) return;
  if (sink_.log) sink_.log(clean_text(text, kMostLineBytes));
}

bool ProgressLines::json_line(std::string_view text) {
  auto parsed = parse_json(text);
  if (!parsed || !parsed->is_object()) return false;
  Json& said = *parsed;
  const auto take = [&](const char* key) {
    const auto it = said.find(key);
    if (it == said.end()) return Json();
    Json value = std::move(*it);
    said.erase(it);
    return value;
  };
  const Json fraction = take("progress"), checkpoint = take("checkpoint"), result = take("result"),
             log = take("log");
  if (fraction.is_null() && checkpoint.is_null() && result.is_null() && log.is_null()) return false;
  if (log.is_string() && sink_.log) sink_.log(clean_text(log.get_ref<const std::string&>(), kMostLineBytes));
  if (!checkpoint.is_null() && sink_.checkpoint) sink_.checkpoint(checkpoint);
  if (!result.is_null() && sink_.result) sink_.result(result);
  if (!fraction.is_number() || !std::isfinite(fraction.get<double>())) return true;
  fraction_ = std::max(fraction_, std::clamp(fraction.get<double>(), 0.0, 1.0));
  if (said.empty() || to_text(said).size() > kMostDetailBytes) said = nullptr;
  if (sink_.progress) sink_.progress(fraction_, std::move(said));
  return true;
}

bool ProgressLines::ffmpeg_line(std::string_view text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string_view::npos) return false;
  const std::string_view key = text.substr(0, equals);
  std::string_view value = text.substr(equals + 1);
  const bool stream = key.starts_with("stream_");  // stream_0_0_q=28.0
  const auto known =
      std::find_if(kFfmpegKeys.begin(), kFfmpegKeys.end(), [&](const auto& k) { return k.theirs == key; });
  if (known == kFfmpegKeys.end()) return stream;
  if (key == "progress") {
    if (value != "continue" && value != "end") return false;
    if (value == "end") fraction_ = 1;
    if (sink_.progress) sink_.progress(fraction_, std::exchange(block_, Json::object()));
    return true;
  }
  if (key == "speed" && value.ends_with('x')) value.remove_suffix(1);
  const auto n = number(value);  // "N/A" is known too, and says nothing
  if (key == "out_time_us" && n && seconds_ > 0)
    fraction_ = std::max(fraction_, std::clamp(*n / 1e6 / seconds_, 0.0, 1.0));
  if (!known->ours.empty() && n) block_[std::string(known->ours)] = *n;
  return true;
}

}  // namespace spool::steps
