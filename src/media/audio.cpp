#include "media/audio.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "media/audio_segments.h"

extern "C" {
#include <libavutil/channel_layout.h>
}

namespace spool::media {
namespace {

constexpr double kFillUpSeconds = 0.5;

std::int64_t bits_for(const AudioTask& task, int channels) {
  if (channels == 1) return task.bits_per_second * 3 / 4;
  return task.bits_per_second * channels / 2;
}

Result<av::CodecContext> open_encoder(int rate, int channels, std::int64_t bits_per_second) {
  const AVCodec* codec = avcodec_find_encoder_by_name("aac");
  if (codec == nullptr) return fail(Code::kUnsupported, "this build of FFmpeg has no AAC encoder");
  av::CodecContext encoder(avcodec_alloc_context3(codec));
  encoder->sample_rate = rate;
  encoder->sample_fmt = AV_SAMPLE_FMT_FLTP;
  encoder->bit_rate = bits_per_second;
  encoder->time_base = {1, rate};
  av_channel_layout_default(&encoder->ch_layout, channels);
  encoder->thread_count = 1;
  // Bit-exact: without it the first packet names the library's version.
  encoder->flags |= AV_CODEC_FLAG_GLOBAL_HEADER | AV_CODEC_FLAG_BITEXACT;
  if (const int err = avcodec_open2(encoder.get(), codec, nullptr); err < 0)
    return av::fail_av(err, "opening the AAC encoder");
  return encoder;
}

class Encoding {
 public:
  Encoding(const AudioTask& task, const AudioSink& sink, av::CodecContext encoder)
      : encoder_(std::move(encoder)),
        segmenter_(task.borders, task.segment_seconds, task.film_seconds, sink.segment,
                   {.timescale = static_cast<std::uint32_t>(encoder_->sample_rate),
                    .language = task.language,
                    .shift = encoder_->initial_padding}) {}

  Result<AudioFormat> format(const AudioTask& task) const {
    const av::CodecParameters parameters(avcodec_parameters_alloc());
    avcodec_parameters_from_context(parameters.get(), encoder_.get());
    AudioFormat format;
    format.sample_rate = encoder_->sample_rate;
    format.channels = encoder_->ch_layout.nb_channels;
    format.priming = encoder_->initial_padding;
    format.bits_per_second = encoder_->bit_rate;
    SPOOL_ASSIGN(format.codecs, codec_string(*parameters));
    SPOOL_ASSIGN(
        format.init,
        cmaf_init_segment(*parameters, {.timescale = static_cast<std::uint32_t>(encoder_->sample_rate),
                                        .language = task.language,
                                        .shift = encoder_->initial_padding}));
    return format;
  }

  // Whole frames; at the end also the rest.
  Result<void> drain(AudioPlacement& placement, bool all) {
    for (;;) {
      const int count = static_cast<int>(std::min<std::int64_t>(placement.ready(), encoder_->frame_size));
      if (count == 0 || (count < encoder_->frame_size && !all)) return {};
      auto frame = av::make_frame();
      frame->nb_samples = count;
      frame->format = AV_SAMPLE_FMT_FLTP;
      frame->sample_rate = encoder_->sample_rate;
      av_channel_layout_copy(&frame->ch_layout, &encoder_->ch_layout);
      if (const int err = av_frame_get_buffer(frame.get(), 0); err < 0)
        return av::fail_av(err, "audio: a frame");
      placement.take(count, *frame);
      frame->pts = sent_;
      sent_ += count;
      SPOOL_TRY(send(frame.get()));
    }
  }

  Result<std::int64_t> finish() {
    SPOOL_TRY(send(nullptr));
    // The last packet is whole, what it shows is not: its duration says where the sound ends.
    auto& pending = segmenter_.pending();
    while (!pending.empty() && pending.back().pts >= sent_) pending.pop_back();
    if (!pending.empty()) pending.back().duration = sent_ - pending.back().pts;
    SPOOL_TRY(segmenter_.deliver());
    return sent_;
  }

 private:
  Result<void> send(const AVFrame* frame) {
    if (const int err = avcodec_send_frame(encoder_.get(), frame); err < 0)
      return av::fail_av(err, "encoding audio");
    for (;;) {
      const auto packet = av::make_packet();
      const int err = avcodec_receive_packet(encoder_.get(), packet.get());
      if (err == AVERROR(EAGAIN) || err == AVERROR_EOF) return {};
      if (err < 0) return av::fail_av(err, "encoding audio");
      Sample sample;
      sample.pts = sample.dts = next_pts_;
      sample.duration = encoder_->frame_size;
      sample.sync = true;
      const auto bytes = std::as_bytes(std::span(packet->data, static_cast<std::size_t>(packet->size)));
      sample.data.assign(bytes.begin(), bytes.end());
      next_pts_ += encoder_->frame_size;
      if (sample.pts < sent_ || frame != nullptr) SPOOL_TRY(segmenter_.add(std::move(sample)));
    }
  }

  av::CodecContext encoder_;
  AudioSegments segmenter_;
  std::int64_t sent_ = 0;
  std::int64_t next_pts_ = -std::int64_t(encoder_->initial_padding);
};

}  // namespace

AudioWindow window_of(const AudioTask& task, double first_seconds, int rate) {
  AudioWindow window;
  window.begin_seconds = task.begin_seconds.value_or(first_seconds) + task.from_seconds;
  if (task.cut && task.film_seconds) window.most = std::llround(*task.film_seconds * rate);
  if (task.until_seconds) window.most = std::llround((*task.until_seconds - task.from_seconds) * rate);
  return window;
}

namespace {

// Where packets did not decode: from the end of the sound before them to the beginning of the next.
class DamageLog {
 public:
  explicit DamageLog(double begin_seconds) : begin_(begin_seconds) {}

  // `packets` were damaged until now; sound was decoded of [seconds, until).
  void decoded(double seconds, double until, std::int64_t packets) {
    ended(seconds, packets);
    end_ = until;
  }
  // Nothing was until then.
  void ended(double seconds, std::int64_t packets) {
    const double from = std::max(0.0, end_ - begin_), to = std::max(from, seconds - begin_);
    if (packets > packets_ && to > 0) damage_.push_back({from, to});
    packets_ = packets;
  }
  std::vector<DamagedSound> stretches() && { return std::move(damage_); }

 private:
  double begin_;
  double end_ = begin_;
  std::int64_t packets_ = 0;
  std::vector<DamagedSound> damage_;
};

Error nothing_left(const AudioTask& task, double seconds, const std::string& name) {
  if (task.from_seconds == 0)
    return {Code::kCorruptInput, fmt::format("{}: its audio track has no sound in the film's time", name)};
  return {Code::kInvalidArgument,
          fmt::format("{}: nothing is left between {} s and {}: the sound lasts {:.3f} s", name,
                      task.from_seconds,
                      task.until_seconds ? fmt::format("{} s", *task.until_seconds) : "its end", seconds)};
}

}  // namespace

Result<AudioReport> encode_audio(ByteSource source, const AudioTask& task, const AudioSink& sink,
                                 std::stop_token stop) {
  const std::string name = source.name;
  SPOOL_ASSIGN(auto reader, AudioReader::open(std::move(source), task.stream, stop));
  SPOOL_ASSIGN(auto first, reader.next());
  if (!first)
    return fail(Code::kCorruptInput, fmt::format("{}: no sound could be decoded from its audio track", name));

  AudioShape shape = shape_for(*first->frame, task.keep_channels);
  shape.gain = std::pow(10.0, task.gain_db / 20);
  SPOOL_ASSIGN(auto encoder, open_encoder(shape.rate, shape.channels, bits_for(task, shape.channels)));
  Encoding encoding(task, sink, std::move(encoder));
  SPOOL_ASSIGN(const AudioFormat format, encoding.format(task));
  SPOOL_TRY(sink.format(format));

  const double first_seconds = first->seconds.value_or(0);
  double decoded_until = first_seconds;
  const AudioWindow window = window_of(task, first_seconds, shape.rate);
  const std::int64_t most = window.most;
  AudioPlacement placement(shape, window.begin_seconds);
  DamageLog damage(window.begin_seconds);
  const auto film = [&](double seconds) { return std::llround(seconds * shape.rate); };
  for (auto decoded = std::move(first); decoded && placement.placed() < most;) {
    if (stop.stop_requested())
      return fail(Code::kCancelled, fmt::format("{}: stopped while encoding audio", name));
    SPOOL_TRY(placement.add(*decoded));
    const double begins = decoded->seconds.value_or(decoded_until);
    decoded_until = begins + double(decoded->frame->nb_samples) / decoded->frame->sample_rate;
    damage.decoded(begins, decoded_until, reader.damaged_packets());
    if (placement.placed() < most) SPOOL_TRY(encoding.drain(placement, false));
    if (sink.progress) sink.progress(reader.fraction());
    SPOOL_ASSIGN(decoded, reader.next());
    if (!decoded)
      damage.ended(window.begin_seconds + task.film_seconds.value_or(0), reader.damaged_packets());
  }
  const std::int64_t film_end = task.film_seconds ? film(*task.film_seconds) : 0;
  const bool short_of = task.film_seconds && placement.placed() < film(*task.film_seconds - kFillUpSeconds);
  SPOOL_TRY(placement.finish(short_of ? film_end : 0, most));
  if (placement.placed() == 0) return fail(nothing_left(task, decoded_until - first_seconds, name));
  SPOOL_TRY(encoding.drain(placement, true));
  AudioReport report;
  SPOOL_ASSIGN(report.samples, encoding.finish());
  report.filled = placement.filled();
  report.cut_seconds = placement.cut_seconds();
  report.damage = std::move(damage).stretches();
  return report;
}

}  // namespace spool::media
