#include "media/rung_scaler.h"

#include <fmt/format.h>

#include "media/colour.h"

extern "C" {
#include <libavutil/opt.h>
}

namespace spool::media {
namespace {

// Bicubic is the ffmpeg program's choice too; the other two make the result the same on every CPU.
constexpr int kFlags = SWS_BICUBIC | SWS_ACCURATE_RND | SWS_BITEXACT;

bool is_plain(const AVFrame& frame, Size size) {
  return frame.format == AV_PIX_FMT_YUV420P && frame.width == size.width && frame.height == size.height;
}

// swscale's name for a matrix.
int sws_matrix(int matrix) {
  return matrix == AVCOL_SPC_BT709 ? SWS_CS_ITU709 : SWS_CS_ITU601;
}

// The yuvj formats are the plain ones with full range.
AVPixelFormat without_range(int format) {
  switch (format) {
    case AV_PIX_FMT_YUVJ420P:
      return AV_PIX_FMT_YUV420P;
    case AV_PIX_FMT_YUVJ422P:
      return AV_PIX_FMT_YUV422P;
    case AV_PIX_FMT_YUVJ444P:
      return AV_PIX_FMT_YUV444P;
    case AV_PIX_FMT_YUVJ440P:
      return AV_PIX_FMT_YUV440P;
    case AV_PIX_FMT_YUVJ411P:
      return AV_PIX_FMT_YUV411P;
    default:
      return static_cast<AVPixelFormat>(format);
  }
}

}  // namespace

RungScaler::RungScaler(const Film& film, int lowest)
    : matrix_(output_colour(film.picture).matrix),
      full_range_(film.picture.full_range),
      converted_(needs_colour_conversion(film.picture)),
      original_(av::make_frame()) {
  for (int i = 0; i <= lowest; ++i) {
    steps_.emplace_back();
    steps_.back().size = film.rungs[static_cast<std::size_t>(i)].size;
  }
}

Result<void> RungScaler::open(Step& step, const AVFrame& from) {
  const bool full = from.color_range == AVCOL_RANGE_JPEG;
  // Ranges before init: else swscale takes a conversion of range alone for a copy.
  av::Scaler scaler(sws_alloc_context());
  const std::pair<const char*, std::int64_t> settings[] = {{"sws_flags", kFlags},
                                                           {"srcw", from.width},
                                                           {"srch", from.height},
                                                           {"src_format", without_range(from.format)},
                                                           {"dstw", step.size.width},
                                                           {"dsth", step.size.height},
                                                           {"dst_format", AV_PIX_FMT_YUV420P},
                                                           {"src_range", full ? 1 : 0},
                                                           {"dst_range", 0}};
  for (const auto& [key, value] : settings) av_opt_set_int(scaler.get(), key, value, 0);
  if (sws_init_context(scaler.get(), nullptr, nullptr) < 0)
    return fail(Code::kUnsupported, fmt::format("cannot scale {}x{} to {}x{}", from.width, from.height,
                                                step.size.width, step.size.height));
  const int* coefficients = sws_getCoefficients(sws_matrix(matrix_));
  sws_setColorspaceDetails(scaler.get(), coefficients, full ? 1 : 0, coefficients, 0, 0, 1 << 16, 1 << 16);
  step.scaler = std::move(scaler);
  step.from_width = from.width;
  step.from_height = from.height;
  step.from_format = from.format;
  step.from_range = from.color_range;
  return {};
}

Result<AVFrame*> RungScaler::free_frame(Step& step) {
  for (const av::Frame& frame : step.frames)
    if (av_frame_is_writable(frame.get()) != 0) return frame.get();
  av::Frame frame = av::make_frame();
  frame->format = AV_PIX_FMT_YUV420P;
  frame->width = step.size.width;
  frame->height = step.size.height;
  if (const int err = av_frame_get_buffer(frame.get(), 0); err < 0) return av::fail_av(err, "a frame");
  step.frames.push_back(std::move(frame));
  return step.frames.back().get();
}

Result<AVFrame*> RungScaler::run(Step& step, const AVFrame& from) {
  if (!step.scaler || step.from_width != from.width || step.from_height != from.height ||
      step.from_format != from.format || step.from_range != from.color_range)
    SPOOL_TRY(open(step, from));
  SPOOL_ASSIGN(AVFrame* const to, free_frame(step));
  const int lines =
      sws_scale(step.scaler.get(), from.data, from.linesize, 0, from.height, to->data, to->linesize);
  if (lines != step.size.height) return fail(Code::kInternal, fmt::format("scaling gave {} lines", lines));
  to->color_range = AVCOL_RANGE_MPEG;
  return to;
}

Result<std::vector<AVFrame*>> RungScaler::scale(const AVFrame& source) {
  av_frame_unref(original_.get());
  if (const int err = av_frame_ref(original_.get(), &source); err < 0) return av::fail_av(err, "a frame");
  // What a frame does not say, the film does.
  const bool full = !converted_ && (source.color_range == AVCOL_RANGE_JPEG ||
                                    (source.color_range == AVCOL_RANGE_UNSPECIFIED && full_range_) ||
                                    without_range(source.format) != source.format);
  original_->color_range = full ? AVCOL_RANGE_JPEG : AVCOL_RANGE_MPEG;
  std::vector<AVFrame*> frames;
  AVFrame* from = original_.get();
  for (Step& step : steps_) {
    if (!(is_plain(*from, step.size) && from->color_range == AVCOL_RANGE_MPEG)) {
      SPOOL_ASSIGN(from, run(step, *from));
    }
    frames.push_back(from);
  }
  return frames;
}

}  // namespace spool::media
