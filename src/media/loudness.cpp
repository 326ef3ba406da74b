#include "media/loudness.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "media/audio_placement.h"

extern "C" {
#include <libavfilter/buffersink.h>
#include <libavfilter/buffersrc.h>
#include <libavutil/channel_layout.h>
}

namespace spool::media {
namespace {

constexpr int kBlock = 4800;
constexpr double kSilence = -69.9;

// abuffer -> ebur128 -> abuffersink; the filter writes its running results on its frames.
class Meter {
 public:
  Result<void> open(const AudioShape& shape) {
    channels_ = shape.channels;
    AVChannelLayout layout{};
    av_channel_layout_default(&layout, shape.channels);
    char layout_name[64] = {};
    av_channel_layout_describe(&layout, layout_name, sizeof layout_name);
    graph_.reset(avfilter_graph_alloc());
    graph_->nb_threads = 1;
    AVFilterContext* meter = nullptr;
    const std::string format = fmt::format(
        "sample_rate={0}:sample_fmt=fltp:channel_layout={1}:time_base=1/{0}", shape.rate, layout_name);
    int err = avfilter_graph_create_filter(&in_, avfilter_get_by_name("abuffer"), "in", format.c_str(),
                                           nullptr, graph_.get());
    if (err >= 0)
      err = avfilter_graph_create_filter(&meter, avfilter_get_by_name("ebur128"), "meter",
                                         "peak=true:metadata=1:framelog=verbose", nullptr, graph_.get());
    if (err >= 0)
      err = avfilter_graph_create_filter(&out_, avfilter_get_by_name("abuffersink"), "out", nullptr, nullptr,
                                         graph_.get());
    // The filter takes doubles; libavfilter puts a converter in between.
    if (err >= 0) err = avfilter_link(in_, 0, meter, 0);
    if (err >= 0) err = avfilter_link(meter, 0, out_, 0);
    if (err >= 0) err = avfilter_graph_config(graph_.get(), nullptr);
    if (err < 0) return av::fail_av(err, "the loudness meter");
    return {};
  }

  // nullptr: the end.
  Result<void> feed(AVFrame* frame) {
    if (const int err = av_buffersrc_add_frame(in_, frame); err < 0)
      return av::fail_av(err, "the loudness meter");
    const auto got = av::make_frame();
    for (;;) {
      const int err = av_buffersink_get_frame(out_, got.get());
      if (err == AVERROR(EAGAIN) || err == AVERROR_EOF) return {};
      if (err < 0) return av::fail_av(err, "the loudness meter");
      read(*got);
      av_frame_unref(got.get());
    }
  }
  [[nodiscard]] const Loudness& result() const { return result_; }

 private:
  void read(const AVFrame& frame) {
    const auto value = [&](const char* key, double otherwise) {
      const AVDictionaryEntry* entry = av_dict_get(frame.metadata, key, nullptr, 0);
      return entry == nullptr ? otherwise : std::strtod(entry->value, nullptr);
    };
    result_.integrated_lufs = value("lavfi.r128.I", result_.integrated_lufs);
    result_.range_lu = value("lavfi.r128.LRA", result_.range_lu);
    double peak = 0;
    for (int i = 0; i < channels_; ++i)
      peak = std::max(peak, value(fmt::format("lavfi.r128.true_peaks_ch{}", i).c_str(), 0));
    if (peak > 0) result_.true_peak_dbtp = std::max(result_.true_peak_dbtp, 20 * std::log10(peak));
  }

  av::FilterGraph graph_;
  AVFilterContext *in_ = nullptr, *out_ = nullptr;
  int channels_ = 2;
  Loudness result_;
};

// Whole blocks of what is ready, or with `all` the rest too; nothing beyond the window.
Result<void> measure(AudioPlacement& placement, const AudioShape& shape, Meter& meter, std::int64_t& at,
                     bool all) {
  while (placement.ready() >= kBlock || (all && placement.ready() > 0)) {
    const auto frame = av::make_frame();
    frame->nb_samples = static_cast<int>(std::min<std::int64_t>(placement.ready(), kBlock));
    frame->format = AV_SAMPLE_FMT_FLTP;
    frame->sample_rate = shape.rate;
    frame->pts = at;
    av_channel_layout_default(&frame->ch_layout, shape.channels);
    if (const int err = av_frame_get_buffer(frame.get(), 0); err < 0)
      return av::fail_av(err, "the loudness meter");
    placement.take(frame->nb_samples, *frame);
    at += frame->nb_samples;
    SPOOL_TRY(meter.feed(frame.get()));
  }
  return {};
}

}  // namespace

Result<Loudness> measure_loudness(ByteSource source, int stream, std::stop_token stop) {
  AudioTask task;
  task.stream = stream;
  return measure_loudness(std::move(source), task, {}, std::move(stop));
}

Result<Loudness> measure_loudness(ByteSource source, const AudioTask& task,
                                  const std::function<void(double fraction)>& progress,
                                  std::stop_token stop) {
  const std::string name = source.name;
  SPOOL_ASSIGN(auto reader, AudioReader::open(std::move(source), task.stream, stop));
  SPOOL_ASSIGN(auto decoded, reader.next());
  if (!decoded)
    return fail(Code::kCorruptInput, fmt::format("{}: no sound could be decoded from its audio track", name));
  const AudioShape shape = shape_for(*decoded->frame, task.keep_channels);
  const AudioWindow window = window_of(task, decoded->seconds.value_or(0), shape.rate);
  Meter meter;
  SPOOL_TRY(meter.open(shape));
  AudioPlacement placement(shape, window.begin_seconds);
  std::int64_t at = 0;
  while (decoded && placement.placed() < window.most) {
    if (stop.stop_requested())
      return fail(Code::kCancelled, fmt::format("{}: stopped while measuring loudness", name));
    SPOOL_TRY(placement.add(*decoded));
    if (placement.placed() < window.most) SPOOL_TRY(measure(placement, shape, meter, at, false));
    if (progress) progress(reader.fraction());
    SPOOL_ASSIGN(decoded, reader.next());
  }
  SPOOL_TRY(placement.finish(0, window.most));
  SPOOL_TRY(measure(placement, shape, meter, at, true));
  SPOOL_TRY(meter.feed(nullptr));
  return meter.result();
}

double normalising_gain_db(const Loudness& loudness, double target_lufs, double ceiling_dbtp) {
  if (loudness.integrated_lufs <= kSilence) return 0;
  return std::min(target_lufs - loudness.integrated_lufs, ceiling_dbtp - loudness.true_peak_dbtp);
}

}  // namespace spool::media
