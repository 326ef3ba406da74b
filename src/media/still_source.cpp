#include "media/still_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "av/rational.h"
#include "media/colour.h"
#include "media/prepare.h"

extern "C" {
#include <libavfilter/buffersink.h>
#include <libavfilter/buffersrc.h>
}

namespace spool::media {
namespace {

// Into a box, even sides, never larger than the source.
Size fit(Size shown, StillSource::Box box) {
  double scale = std::min(1.0, static_cast<double>(box.width) / shown.width);
  if (box.height > 0) scale = std::min(scale, static_cast<double>(box.height) / shown.height);
  const auto even = [](double value) { return std::max(2, 2 * static_cast<int>((value + 0.5) / 2)); };
  return {std::min(even(shown.width * scale), 8192), std::min(even(shown.height * scale), 8192)};
}

const char* scale_matrix(int matrix) {
  return matrix == AVCOL_SPC_BT709 ? "bt709" : "bt601";
}

}  // namespace

Result<StillSource> StillSource::open(const ByteSource& source, Box box, std::stop_token stop) {
  av::OpenOptions opening;
  opening.stop = std::move(stop);
  SPOOL_ASSIGN(av::Input input, av::Input::open(source, opening));
  const auto video = pick_video_stream(*input.get());
  if (!video) return fail(Code::kUnsupported, fmt::format("{}: there is no video in it", source.name));
  for (unsigned i = 0; i < input.get()->nb_streams; ++i)
    if (static_cast<int>(i) != *video) input.get()->streams[i]->discard = AVDISCARD_ALL;
  SPOOL_ASSIGN(Picture picture, describe_picture(*input.get(), *video, source.name, av::kMostPixels));
  const AVStream& stream = *input.get()->streams[*video];
  av::DecoderOptions decoding;
  decoding.name = source.name;
  SPOOL_ASSIGN(av::Decoder decoder, av::Decoder::open(*stream.codecpar, stream.time_base, decoding));
  // A keyframe of an open GOP, decoded alone, is whole though the decoder cannot know it.
  decoder.get()->flags |= AV_CODEC_FLAG_OUTPUT_CORRUPT;
  StillSource stills(std::move(input), std::move(decoder));
  stills.picture_ = std::move(picture);
  stills.size_ = fit(stills.picture_.shown(), box);
  const AVFormatContext& format = *stills.input_.get();
  stills.zero_ =
      std::abs(av::seconds(stream.start_time, stream.time_base).value_or(1e9)) < 1e8 ? stream.start_time : 0;
  const auto own = av::seconds(stream.duration, stream.time_base);
  const auto whole = av::seconds(format.duration, AV_TIME_BASE_Q);
  stills.duration_ = own && *own > 0 ? *own : whole && *whole > 0 ? *whole : 0;
  // Looking at the first frames has read some of it.
  static_cast<void>(stills.input_.seek(*video, stills.zero_));
  return stills;
}

double StillSource::seconds_of(std::int64_t ticks) const {
  constexpr std::int64_t kMostTicks = std::int64_t{1} << 60;  // beyond it a difference could overflow
  if (ticks < -kMostTicks || ticks > kMostTicks) return 0;
  return av::seconds(ticks - zero_, stream().time_base).value_or(0);
}

Result<bool> StillSource::read_packet() {
  for (;;) {
    SPOOL_ASSIGN(const bool more, input_.read(*packet_));
    if (!more || packet_->stream_index == picture_.stream) return more;
  }
}

Result<bool> StillSource::next_frame() {
  for (;;) {
    const auto got = decoder_.receive(*frame_);
    if (got && *got == av::Decoder::Received::kFrame) return true;
    if (got && *got == av::Decoder::Received::kEnd) return false;
    if (!got && draining_) continue;
    SPOOL_ASSIGN(const bool more, read_packet());
    // A damaged packet is skipped; so are the frames that an edit list hides.
    draining_ = !more;
    static_cast<void>(decoder_.send(more ? packet_.get() : nullptr));
  }
}

Result<bool> StillSource::keyframe_from(double at) {
  const std::int64_t ticks = zero_ + av::ticks_of(std::min(at, 1e9), stream().time_base);
  // Nothing before it: then the first one behind it. What cannot seek at all goes on from where it stands.
  if (!input_.seek(picture_.stream, ticks))
    static_cast<void>(avformat_seek_file(input_.get(), picture_.stream, ticks, ticks, INT64_MAX, 0));
  decoder_.flush();
  draining_ = false;
  for (;;) {
    SPOOL_ASSIGN(const bool more, read_packet());
    if (!more) return false;
    if ((packet_->flags & AV_PKT_FLAG_KEY) != 0) return true;
  }
}

Result<bool> StillSource::decode_alone() {
  if (!decoder_.send(packet_.get())) return false;
  if (!decoder_.send(nullptr)) return false;
  for (;;) {
    const auto got = decoder_.receive(*frame_);
    if (!got) continue;
    decoder_.flush();
    return *got == av::Decoder::Received::kFrame;
  }
}

// In a transport stream a seek finds any frame, and the keyframe behind that may be late: then from farther
// and farther before.
Result<bool> StillSource::keyframe_before(double at) {
  for (double back = 0;; back = back > 0 ? 2 * back : 1) {
    SPOOL_ASSIGN(const bool found, keyframe_from(at - back));
    if (back > at || (found && seconds_of(key_time()) <= at + 1e-6)) return found;
  }
}

std::int64_t StillSource::key_time() const {
  return packet_->pts != AV_NOPTS_VALUE ? packet_->pts : packet_->dts;
}

Result<StillSource::Still> StillSource::at(double at, double tolerance) {
  at = std::clamp(at, 0.0, std::max(0.0, duration_));
  SPOOL_ASSIGN(const bool found, keyframe_before(at));
  if (!found)
    return fail(Code::kCorruptInput, fmt::format("{}: no keyframe is left at {:.3f} s", input_.name(), at));
  const std::int64_t key = key_time();
  if (seconds_of(key) + tolerance > at) {
    if (shown_key_ == key && frame_->buf[0] != nullptr) return render(*frame_);
    SPOOL_ASSIGN(const bool decoded, decode_alone());
    if (decoded) {
      shown_key_ = key;
      return render(*frame_);
    }
  }
  shown_key_.reset();
  // Onward to the last frame that is shown at that time or before.
  static_cast<void>(decoder_.send(packet_.get()));
  const av::Frame last = av::make_frame();
  for (;;) {
    SPOOL_ASSIGN(const bool more, next_frame());
    if (!more) break;
    const bool late = seconds_of(frame_->best_effort_timestamp) > at + 1e-6;
    if (late && last->buf[0] != nullptr) break;
    av_frame_unref(last.get());
    av_frame_move_ref(last.get(), frame_.get());
    if (late) break;
  }
  if (last->buf[0] == nullptr)
    return fail(Code::kCorruptInput,
                fmt::format("{}: nothing can be decoded at {:.3f} s", input_.name(), at));
  return render(*last);
}

Result<StillSource::Still> StillSource::next(const std::function<bool(std::int64_t)>& wanted) {
  for (;;) {
    SPOOL_ASSIGN(const bool more, next_frame());
    if (!more) return Still{};
    if (wanted(count_++)) return render(*frame_);
  }
}

std::string StillSource::filters() const {
  Picture plain = picture_;
  plain.interlaced = false;
  // One field has no comb, and needs no neighbours.
  const std::string chain = picture_.interlaced ? "field=type=top," : "";
  const bool convert = needs_colour_conversion(plain);
  const bool turned = !convert && plain.rotation % 180 != 0;
  const std::string scale = fmt::format(
      "scale={}:{}:flags=bicubic+accurate_rnd+full_chroma_int+bitexact:in_color_matrix={}:in_range={}:"
      "out_color_matrix=bt601:out_range=full,format=yuvj420p",
      turned ? size_.height : size_.width, turned ? size_.width : size_.height,
      scale_matrix(output_colour(plain).matrix), plain.full_range && !convert ? "full" : "limited");
  const std::string prepared = preparation(plain, size_);
  // Small pictures turn fast; but high dynamic range must be converted first.
  if (convert) return chain + prepared + "," + scale + ",setsar=1";
  return chain + scale + (prepared.empty() ? "" : "," + prepared) + ",setsar=1";
}

Result<void> StillSource::build_graph(const AVFrame& like) {
  graph_.reset(avfilter_graph_alloc());
  graph_->nb_threads = 1;
  const std::string arguments = fmt::format("video_size={}x{}:pix_fmt={}:time_base=1/1000:pixel_aspect=1/1",
                                            like.width, like.height, like.format);
  int err = avfilter_graph_create_filter(&in_, avfilter_get_by_name("buffer"), "in", arguments.c_str(),
                                         nullptr, graph_.get());
  if (err >= 0)
    err = avfilter_graph_create_filter(&out_, avfilter_get_by_name("buffersink"), "out", nullptr, nullptr,
                                       graph_.get());
  if (err < 0) return av::fail_av(err, "filter buffer");
  AVFilterInOut* outputs = avfilter_inout_alloc();
  AVFilterInOut* inputs = avfilter_inout_alloc();
  *outputs = {av_strdup("in"), in_, 0, nullptr};
  *inputs = {av_strdup("out"), out_, 0, nullptr};
  const std::string chain = filters();
  err = avfilter_graph_parse_ptr(graph_.get(), chain.c_str(), &inputs, &outputs, nullptr);
  const av::FilterInOut left_inputs(inputs);
  const av::FilterInOut left_outputs(outputs);
  if (err >= 0) err = avfilter_graph_config(graph_.get(), nullptr);
  if (err < 0) return av::fail_av(err, fmt::format("{}: filters '{}'", input_.name(), chain));
  width_ = like.width;
  height_ = like.height;
  format_ = like.format;
  return {};
}

Result<StillSource::Still> StillSource::render(const AVFrame& frame) {
  if (!graph_ || frame.width != width_ || frame.height != height_ || frame.format != format_)
    SPOOL_TRY(build_graph(frame));
  const av::Frame copy(av_frame_clone(&frame));
  if (!copy) return av::fail_av(AVERROR(ENOMEM), input_.name());
  Still still{av::make_frame(), seconds_of(frame.best_effort_timestamp)};
  copy->pts = count_;
  copy->interlaced_frame = 0;
  int err = av_buffersrc_add_frame(in_, copy.get());
  if (err >= 0) err = av_buffersink_get_frame(out_, still.frame.get());
  if (err < 0) return av::fail_av(err, fmt::format("{}: scaling a picture", input_.name()));
  if (still.frame->format != AV_PIX_FMT_YUVJ420P || still.frame->width != size_.width ||
      still.frame->height != size_.height)
    return fail(Code::kInternal, fmt::format("{}: a picture came out in another shape", input_.name()));
  return still;
}

}  // namespace spool::media
