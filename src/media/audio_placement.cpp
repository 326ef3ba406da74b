#include "media/audio_placement.h"

#include <algorithm>
#include <cmath>

extern "C" {
#include <libavutil/channel_layout.h>
#include <libavutil/opt.h>
}

namespace spool::media {
namespace {

constexpr double kOverlapSeconds =
    0.1;  // an overlap this long is cut at once; shorter ones are jitter or drift
constexpr double kHoleSeconds = 0.015;                  // and a hole of nearly a frame is a lost frame
constexpr double kDriftSeconds = 0.005;                 // what is stretched away when it stays
constexpr std::size_t kDriftFrames = 24;                // about half a second
constexpr std::int64_t kMostHoleSeconds = 24LL * 3600;  // a lying timestamp must not fill the disk
constexpr std::size_t kCompactAt = 1 << 16;

int rate_for(int source_rate) {
  if (source_rate == 44100 || source_rate == 48000) return source_rate;
  return source_rate > 11025 && source_rate % 11025 == 0 ? 44100 : 48000;
}

int channels_for(int source_channels, bool keep) {
  if (source_channels <= 2) return std::max(source_channels, 1);
  return keep ? std::min(source_channels == 4 ? 4 : source_channels, 6) : 2;
}

}  // namespace

AudioShape shape_for(const AVFrame& sound, bool keep_channels) {
  return {rate_for(sound.sample_rate), channels_for(sound.ch_layout.nb_channels, keep_channels), 1};
}

AudioPlacement::AudioPlacement(AudioShape shape, double begin_seconds)
    : shape_(shape), begin_(begin_seconds), samples_(static_cast<std::size_t>(shape.channels)) {}

// Where the next sample that goes in will come out.
std::int64_t AudioPlacement::position() const {
  return placed_ + (resampler_ ? swr_get_delay(resampler_.get(), shape_.rate) : 0);
}

Result<void> AudioPlacement::prepare(const AVFrame& frame) {
  AVChannelLayout layout{};
  // Decoders that do not know the layout say only how many.
  if (frame.ch_layout.order == AV_CHANNEL_ORDER_UNSPEC)
    av_channel_layout_default(&layout, frame.ch_layout.nb_channels);
  else
    av_channel_layout_copy(&layout, &frame.ch_layout);
  if (resampler_ && frame.sample_rate == in_rate_ && frame.format == in_format_ &&
      av_channel_layout_compare(&layout, &in_layout_) == 0) {
    av_channel_layout_uninit(&layout);
    return {};
  }
  if (resampler_) SPOOL_TRY(flush());
  av_channel_layout_uninit(&in_layout_);
  in_layout_ = layout;
  in_rate_ = frame.sample_rate;
  in_format_ = frame.format;
  AVChannelLayout out{};
  av_channel_layout_default(&out, shape_.channels);
  SwrContext* context = nullptr;
  swr_alloc_set_opts2(&context, &out, AV_SAMPLE_FMT_FLTP, shape_.rate, &in_layout_,
                      static_cast<AVSampleFormat>(in_format_), in_rate_, 0, nullptr);
  resampler_.reset(context);
  // A downmix of full-scale channels must not clip.
  av_opt_set_double(context, "rematrix_maxval", 1.0, 0);
  if (const int err = swr_init(context); err < 0)
    return av::fail_av(err, "audio: this channel layout cannot be converted");
  return {};
}

Result<void> AudioPlacement::add(const AudioReader::Decoded& decoded) {
  const AVFrame& frame = *decoded.frame;
  SPOOL_TRY(prepare(frame));
  int skip = 0;
  realign_ = realign_ || decoded.spliced;
  if (decoded.seconds) {
    const auto wanted = std::llround((*decoded.seconds - begin_) * shape_.rate);
    const std::int64_t late = wanted - position();  // > 0: a hole in front of this frame
    const double frame_seconds = double(frame.nb_samples) / in_rate_;
    if (late > kMostHoleSeconds * shape_.rate)
      return fail(Code::kCorruptInput, "audio: its timestamps jump by more than a day");
    if (double(late) >= std::max(kHoleSeconds, 0.75 * frame_seconds) * shape_.rate ||
        ((placed_ == 0 || realign_) && late > 0)) {
      SPOOL_TRY(flush());
      filled_.push_back({double(placed_) / shape_.rate, double(wanted - placed_) / shape_.rate});
      silence(wanted - placed_);
      lateness_.clear();
    } else if (double(-late) >= kOverlapSeconds * shape_.rate ||
               ((position() == 0 || realign_) && late < 0)) {
      skip = static_cast<int>(
          std::min<std::int64_t>(std::llround(double(-late) * in_rate_ / shape_.rate), frame.nb_samples));
      if (position() > 0) cut_ += -late;
      lateness_.clear();
      if (skip == frame.nb_samples) return {};
    } else {
      correct_drift(late);
    }
    realign_ = false;
  }
  return convert(&frame, skip);
}

// Jitter goes both ways; what stays on one side for half a second is drift, and is stretched away over a
// second.
void AudioPlacement::correct_drift(std::int64_t late) {
  if (placed_ < stretching_until_) return;
  lateness_.push_back(late);
  if (lateness_.size() < kDriftFrames) return;
  const auto [least, most] = std::ranges::minmax(lateness_);
  const std::int64_t stays = least > 0 ? least : most < 0 ? most : 0;
  lateness_.pop_front();
  if (std::abs(stays) < std::llround(kDriftSeconds * shape_.rate)) return;
  if (swr_set_compensation(resampler_.get(), static_cast<int>(stays), shape_.rate) < 0) return;
  longest_stretch_ = std::max(longest_stretch_, std::abs(stays));
  stretching_until_ = placed_ + shape_.rate;
  lateness_.clear();
}

// What the resampler holds comes out; it begins anew.
Result<void> AudioPlacement::flush() {
  SPOOL_TRY(convert(nullptr, 0));
  if (const int err = swr_init(resampler_.get()); err < 0) return av::fail_av(err, "audio: resampling");
  return {};
}

Result<void> AudioPlacement::convert(const AVFrame* frame, int skip) {
  const std::uint8_t* in[AV_NUM_DATA_POINTERS * 8] = {};
  int count = 0;
  if (frame != nullptr) {
    const auto format = static_cast<AVSampleFormat>(frame->format);
    const bool planar = av_sample_fmt_is_planar(format) != 0;
    const int planes = planar ? frame->ch_layout.nb_channels : 1;
    if (planes > static_cast<int>(std::size(in)))
      return fail(Code::kUnsupported, "audio: more than 64 channels");
    const int stride = av_get_bytes_per_sample(format) * (planar ? 1 : frame->ch_layout.nb_channels);
    for (int i = 0; i < planes; ++i)
      in[i] = frame->extended_data[i] + static_cast<std::ptrdiff_t>(skip) * stride;
    count = frame->nb_samples - skip;
  }
  const int room = swr_get_out_samples(resampler_.get(), count);
  if (room < 0) return av::fail_av(room, "audio: resampling");
  if (room == 0) return {};
  const std::size_t before = samples_.front().size();
  std::vector<std::uint8_t*> out;
  for (auto& channel : samples_) {
    channel.resize(before + static_cast<std::size_t>(room));
    out.push_back(reinterpret_cast<std::uint8_t*>(channel.data() + before));
  }
  const int made = swr_convert(resampler_.get(), out.data(), room, frame != nullptr ? in : nullptr, count);
  if (made < 0) return av::fail_av(made, "audio: resampling");
  for (auto& channel : samples_) {
    channel.resize(before + static_cast<std::size_t>(made));
    if (shape_.gain != 1)
      for (std::size_t i = before; i < channel.size(); ++i) channel[i] *= static_cast<float>(shape_.gain);
  }
  placed_ += made;
  return {};
}

void AudioPlacement::silence(std::int64_t count) {
  if (count <= 0) return;
  for (auto& channel : samples_) channel.resize(channel.size() + static_cast<std::size_t>(count));
  placed_ += count;
}

Result<void> AudioPlacement::finish(std::int64_t at_least, std::int64_t at_most) {
  if (resampler_) SPOOL_TRY(flush());
  if (placed_ < at_least) {
    filled_.push_back({double(placed_) / shape_.rate, double(at_least - placed_) / shape_.rate});
    silence(at_least - placed_);
  }
  if (placed_ > at_most) {
    const auto over = static_cast<std::size_t>(std::min(placed_ - at_most, ready()));
    for (auto& channel : samples_) channel.resize(channel.size() - over);
    placed_ -= static_cast<std::int64_t>(over);
  }
  return {};
}

void AudioPlacement::take(int count, AVFrame& into) {
  for (std::size_t c = 0; c < samples_.size(); ++c)
    std::copy_n(samples_[c].begin() + static_cast<std::ptrdiff_t>(taken_), count,
                reinterpret_cast<float*>(into.extended_data[c]));
  taken_ += static_cast<std::size_t>(count);
  if (taken_ < kCompactAt) return;
  for (auto& channel : samples_)
    channel.erase(channel.begin(), channel.begin() + static_cast<std::ptrdiff_t>(taken_));
  taken_ = 0;
}

}  // namespace spool::media
