#include "media/stills.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "av/log.h"
#include "media/still_source.h"

namespace spool::media {
namespace {

constexpr int kSheetSide = 10;
constexpr int kSheetTiles = kSheetSide * kSheetSide;
constexpr std::int64_t kMostStills = 20000;

// Collects stills into files: one each, or sheets of tiles.
class StillWriter {
 public:
  StillWriter(const ThumbnailOptions& options, Size size, const EmitFile& emit)
      : options_(options), size_(size), emit_(emit) {}

  Result<void> add(av::Frame frame, double at) {
    if (static_cast<std::int64_t>(times_.size()) >= kMostStills)
      return fail(Code::kLimitExceeded,
                  fmt::format("more than {} thumbnails: choose a longer step", kMostStills));
    times_.push_back(at);
    if (!options_.sprite)
      return write(fmt::format("thumb-{:05}.{}", times_.size(), extension(options_.format)), *frame);
    tiles_.push_back(std::move(frame));
    return tiles_.size() == kSheetTiles ? write_sheet() : Result<void>{};
  }

  // `duration`: of the film; the last cue ends there.
  Result<Json> finish(double duration) {
    if (!tiles_.empty()) SPOOL_TRY(write_sheet());
    if (options_.sprite) {
      const std::string text = storyboard(duration);
      SPOOL_TRY(emit_("storyboard.vtt", std::as_bytes(std::span(text))));
      files_.push_back("storyboard.vtt");
    }
    return Json{{"count", times_.size()},
                {"width", size_.width},
                {"height", size_.height},
                {"duration", duration},
                {"files", files_}};
  }

 private:
  Result<void> write(const std::string& name, const AVFrame& frame) {
    SPOOL_ASSIGN(const Bytes bytes, encode_image(frame, options_.format, options_.quality));
    SPOOL_TRY(emit_(name, bytes));
    files_.push_back(name);
    return {};
  }

  Result<void> write_sheet() {
    const int count = static_cast<int>(tiles_.size());
    const int columns = std::min(count, kSheetSide);
    const int rows = (count + kSheetSide - 1) / kSheetSide;
    const av::Frame sheet = av::make_frame();
    sheet->format = AV_PIX_FMT_YUVJ420P;
    sheet->color_range = AVCOL_RANGE_JPEG;
    sheet->width = columns * size_.width;
    sheet->height = rows * size_.height;
    if (const int err = av_frame_get_buffer(sheet.get(), 0); err < 0)
      return av::fail_av(err, "a sheet of pictures");
    for (int plane = 0; plane < 3; ++plane) {
      const int shift = plane == 0 ? 0 : 1;
      std::fill_n(sheet->data[plane],
                  static_cast<std::ptrdiff_t>(sheet->linesize[plane]) * (sheet->height >> shift),
                  static_cast<std::uint8_t>(plane == 0 ? 0 : 128));
      for (int i = 0; i < count; ++i) {
        const AVFrame& tile = *tiles_[static_cast<std::size_t>(i)];
        std::uint8_t* to =
            sheet->data[plane] +
            static_cast<std::ptrdiff_t>((i / kSheetSide) * (size_.height >> shift)) * sheet->linesize[plane] +
            static_cast<std::ptrdiff_t>(i % kSheetSide) * (size_.width >> shift);
        for (int y = 0; y < size_.height >> shift; ++y)
          std::copy_n(tile.data[plane] + static_cast<std::ptrdiff_t>(y) * tile.linesize[plane],
                      size_.width >> shift, to + static_cast<std::ptrdiff_t>(y) * sheet->linesize[plane]);
      }
    }
    tiles_.clear();
    return write(sheet_name(++sheets_), *sheet);
  }

  [[nodiscard]] std::string sheet_name(std::size_t number) const {
    return fmt::format("sheet-{:03}.{}", number, extension(options_.format));
  }

  [[nodiscard]] std::string storyboard(double duration) const {
    std::string text = "WEBVTT\n";
    for (std::size_t i = 0; i < times_.size(); ++i) {
      const double begin = i == 0 ? 0 : times_[i];
      const double end = i + 1 < times_.size() ? times_[i + 1] : std::max(duration, begin + 0.001);
      const int tile = static_cast<int>(i % kSheetTiles);
      text += fmt::format("\n{} --> {}\n{}#xywh={},{},{},{}\n", vtt_time(begin), vtt_time(end),
                          sheet_name(i / kSheetTiles + 1), tile % kSheetSide * size_.width,
                          tile / kSheetSide * size_.height, size_.width, size_.height);
    }
    return text;
  }

  const ThumbnailOptions& options_;
  Size size_;
  const EmitFile& emit_;
  std::vector<double> times_;
  std::vector<av::Frame> tiles_;
  std::vector<std::string> files_;
  std::size_t sheets_ = 0;
};

Result<void> stop_check(const std::stop_token& stop, const ByteSource& source) {
  if (stop.stop_requested()) return fail(Code::kCancelled, fmt::format("{}: stopped", source.name));
  return {};
}

Result<void> by_seconds(StillSource& stills, const ThumbnailOptions& options, StillWriter& writer,
                        const std::function<Result<void>()>& check) {
  const double step = options.every_seconds;
  const auto count = std::max<std::int64_t>(
      1, static_cast<std::int64_t>(std::ceil(std::min(stills.duration() / step, 1e9) - 1e-9)));
  if (count > kMostStills)
    return fail(Code::kLimitExceeded,
                fmt::format("{} thumbnails are more than {}: choose a longer step", count, kMostStills));
  int lost = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    SPOOL_TRY(check());
    const double at = static_cast<double>(i) * step;
    auto still = stills.at(at, options.exact ? 0 : step);
    // A place that does not decode leaves a longer cue; a film that does not is an error.
    if (!still && (still.error().code != Code::kCorruptInput || (++lost == 1 && count == 1)))
      return fail(still.error());
    if (still) SPOOL_TRY(writer.add(std::move(still->frame), at));
    if (options.progress) options.progress(static_cast<double>(i + 1) / static_cast<double>(count));
  }
  if (lost == count) return fail(Code::kCorruptInput, "none of its pictures can be decoded");
  return {};
}

Result<double> by_frames(StillSource& stills, const ThumbnailOptions& options, StillWriter& writer,
                         const std::function<Result<void>()>& check) {
  double last = 0;
  const auto wanted = [&](std::int64_t n) { return n % options.every_frames == 0; };
  for (;;) {
    SPOOL_TRY(check());
    SPOOL_ASSIGN(StillSource::Still still, stills.next(wanted));
    if (!still.frame) return std::max(last, stills.duration());
    last = still.at;
    SPOOL_TRY(writer.add(std::move(still.frame), still.at));
    if (options.progress && stills.duration() > 0) options.progress(std::min(1.0, last / stills.duration()));
  }
}

}  // namespace

std::string vtt_time(double seconds) {
  const auto ms = std::llround(std::clamp(seconds, 0.0, 1e9) * 1000);
  return fmt::format("{:02}:{:02}:{:02}.{:03}", ms / 3600000, ms / 60000 % 60, ms / 1000 % 60, ms % 1000);
}

Result<Json> make_thumbnails(const ByteSource& source, const ThumbnailOptions& options, const EmitFile& emit,
                             std::stop_token stop) {
  if (options.every_frames <= 0 && !(options.every_seconds >= 0.01))
    return fail(Code::kInvalidArgument, "thumbnails: every must be at least 0.01 s, or a number of frames");
  const av::LogCapture quiet;
  SPOOL_ASSIGN(StillSource stills, StillSource::open(source, {options.width, options.height}, stop));
  StillWriter writer(options, stills.size(), emit);
  const auto check = [&] { return stop_check(stop, source); };
  if (options.every_frames > 0) {
    SPOOL_ASSIGN(const double duration, by_frames(stills, options, writer, check));
    return writer.finish(duration);
  }
  SPOOL_TRY(by_seconds(stills, options, writer, check));
  return writer.finish(stills.duration());
}

Result<Json> make_poster(const ByteSource& source, const PosterOptions& options, const EmitFile& emit,
                         std::stop_token stop) {
  const av::LogCapture quiet;
  SPOOL_ASSIGN(StillSource stills, StillSource::open(source, {options.width, options.height}, stop));
  std::vector<double> candidates = {0.1, 0.25, 0.4, 0.55, 0.7, 0.85, 0};
  for (double& each : candidates) each *= stills.duration();
  if (options.at) candidates = {*options.at};
  std::optional<StillSource::Still> best;
  double most = -1;
  Error last;
  for (const double at : candidates) {
    SPOOL_TRY(stop_check(stop, source));
    // In a short film the keyframe at the start may serve for all: then decode on.
    auto still = stills.at(at, options.at ? 0 : stills.duration() / 10);
    if (!still && still.error().code != Code::kCorruptInput) return fail(still.error());
    if (!still) {
      last = still.error();
      continue;
    }
    if (const double score = telling(*still->frame); score > most) {
      most = score;
      best = std::move(*still);
    }
  }
  if (!best) return fail(last);
  const std::string name = fmt::format("poster.{}", extension(options.format));
  SPOOL_ASSIGN(const Bytes bytes, encode_image(*best->frame, options.format, options.quality));
  SPOOL_TRY(emit(name, bytes));
  return Json{
      {"file", name}, {"at", best->at}, {"width", stills.size().width}, {"height", stills.size().height}};
}

}  // namespace spool::media
