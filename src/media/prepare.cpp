#include "media/prepare.h"

#include <fmt/format.h>

#include <algorithm>

#include "media/colour.h"

extern "C" {
#include <libavfilter/buffersink.h>
#include <libavfilter/buffersrc.h>
#include <libavutil/pixdesc.h>
}

namespace spool::media {
namespace {

constexpr std::int64_t kFilterReach = 3;  // frames; as in plan.cpp

std::string colour_conversion(const Picture& picture, Size top) {
  const auto known = [](int value, int usual) { return value == 2 || value == 0 ? usual : value; };
  const int transfer = known(picture.transfer, picture.hdr() ? AVCOL_TRC_SMPTE2084 : AVCOL_TRC_BT709);
  const std::string from =
      fmt::format("zscale=w={}:h={}:f=bicubic:pin={}:tin={}:min={}:rin={}", top.width, top.height,
                  known(picture.primaries, AVCOL_PRI_BT2020), transfer,
                  known(picture.matrix, AVCOL_SPC_BT2020_NCL), picture.full_range ? "pc" : "tv");
  if (!picture.hdr()) return from + ":p=709:t=709:m=709:r=tv,format=yuv420p";
  // kWhite is SDR's white in an HDR picture (ITU-R BT.2408); highlights above are rolled off, up to the
  // film's own peak, which not every frame says.
  constexpr double kWhite = 203, kUsualPeak = 1000;
  const double peak = std::max(kWhite, picture.peak_nits > 0 ? picture.peak_nits : kUsualPeak) / kWhite;
  return fmt::format(
      "{}:t=linear:npl={},format=gbrpf32le,zscale=p=709,tonemap=tonemap=mobius:desat=0:peak={},"
      "zscale=p=709:t=709:m=709:r=tv,format=yuv420p",
      from, kWhite, peak);
}

}  // namespace

std::string preparation(const Picture& picture, Size top) {
  std::vector<std::string> filters;
  if (picture.interlaced) filters.emplace_back("bwdif=mode=send_frame:parity=auto:deint=interlaced");
  switch (picture.rotation) {
    case 90:
      filters.emplace_back("transpose=clock");
      break;
    case 180:
      filters.emplace_back("hflip,vflip");
      break;
    case 270:
      filters.emplace_back("transpose=cclock");
      break;
    default:
      break;
  }
  if (picture.mirrored) filters.emplace_back("hflip");
  if (needs_colour_conversion(picture)) filters.push_back(colour_conversion(picture, top));
  return fmt::format("{}", fmt::join(filters, ","));
}

Preparer::Preparer(const Film& film, Size top)
    : description_(preparation(film.picture, top)),
      timescale_(film.clock.timescale),
      out_(av::make_frame()) {}

std::int64_t Preparer::reach(const Film& film) {
  if (!film.picture.interlaced) return 0;
  if (film.clock.frame_ticks > 0) return kFilterReach * film.clock.frame_ticks;
  return static_cast<std::int64_t>(static_cast<double>(kFilterReach * film.clock.timescale) /
                                   std::max(1.0, film.rate.value()));
}

Result<void> Preparer::build(const AVFrame& like) {
  graph_.reset(avfilter_graph_alloc());
  graph_->nb_threads = 1;
  const AVRational aspect = like.sample_aspect_ratio.num > 0 ? like.sample_aspect_ratio : AVRational{1, 1};
  const std::string arguments =
      fmt::format("video_size={}x{}:pix_fmt={}:time_base=1/{}:pixel_aspect={}/{}", like.width, like.height,
                  like.format, timescale_, aspect.num, aspect.den);
  int err = avfilter_graph_create_filter(&source_, avfilter_get_by_name("buffer"), "in", arguments.c_str(),
                                         nullptr, graph_.get());
  if (err < 0) return av::fail_av(err, "filter buffer");
  err = avfilter_graph_create_filter(&sink_, avfilter_get_by_name("buffersink"), "out", nullptr, nullptr,
                                     graph_.get());
  if (err < 0) return av::fail_av(err, "filter buffersink");
  AVFilterInOut* outputs = avfilter_inout_alloc();
  AVFilterInOut* inputs = avfilter_inout_alloc();
  *outputs = {av_strdup("in"), source_, 0, nullptr};
  *inputs = {av_strdup("out"), sink_, 0, nullptr};
  err = avfilter_graph_parse_ptr(graph_.get(), description_.c_str(), &inputs, &outputs, nullptr);
  const av::FilterInOut left_inputs(inputs);
  const av::FilterInOut left_outputs(outputs);
  if (err >= 0) err = avfilter_graph_config(graph_.get(), nullptr);
  if (err < 0) return av::fail_av(err, fmt::format("filters '{}'", description_));
  width_ = like.width;
  height_ = like.height;
  format_ = like.format;
  return {};
}

Result<void> Preparer::drain(const Emit& emit) {
  for (;;) {
    const int err = av_buffersink_get_frame(sink_, out_.get());
    if (err == AVERROR(EAGAIN) || err == AVERROR_EOF) return {};
    if (err < 0) return av::fail_av(err, fmt::format("filters '{}'", description_));
    out_->pts = av_rescale_q(out_->pts, av_buffersink_get_time_base(sink_),
                             AVRational{1, static_cast<int>(timescale_)});
    auto emitted = emit(*out_);
    av_frame_unref(out_.get());
    SPOOL_TRY(emitted);
  }
}

Result<void> Preparer::push(AVFrame* frame, const Emit& emit) {
  if (description_.empty()) return frame != nullptr ? emit(*frame) : Result<void>();
  // A source whose size changes in the middle gets a graph of its own for each part.
  const bool changed =
      frame != nullptr && (frame->width != width_ || frame->height != height_ || frame->format != format_);
  if (graph_ && (changed || frame == nullptr)) {
    if (const int err = av_buffersrc_add_frame_flags(source_, nullptr, 0); err < 0)
      return av::fail_av(err, fmt::format("filters '{}'", description_));
    SPOOL_TRY(drain(emit));
  }
  if (frame == nullptr) return {};
  if (changed) SPOOL_TRY(build(*frame));
  if (const int err = av_buffersrc_add_frame_flags(source_, frame, AV_BUFFERSRC_FLAG_KEEP_REF); err < 0)
    return av::fail_av(err, fmt::format("filters '{}'", description_));
  return drain(emit);
}

}  // namespace spool::media
