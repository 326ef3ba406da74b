#include "media/audio_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>

#include "av/decoder.h"

namespace spool::media {
namespace {

constexpr double kJumpSeconds = 10;  // a longer step is no pause: the clock was set anew (a splice, a wrap)
constexpr double kSpliceSlack = 1;   // how far video's and audio's jumps at one splice may lie apart

// What is added to a transport stream's times after its clock jumped. Video's jumps count for audio too, so
// that both stay together over a splice; audio makes its own only when it reaches the splice first.
class Jumps {
 public:
  // `step`: how long one frame lasts, as ClockRepair has it for the same packets.
  void video(double seconds, double step) {
    if (last_video_ && std::abs(seconds + video_offset_ - *last_video_) > kJumpSeconds) {
      video_offset_ = *last_video_ + step - seconds;
      known_.push_back(video_offset_);
    }
    last_video_ = seconds + video_offset_;
  }
  // The repaired time, and whether the clock is another one than that of the frame before.
  std::pair<double, bool> audio(double seconds) {
    const double before = offset_;
    if (last_audio_) {
      const auto moved = [&](double offset) { return std::abs(seconds + offset - *last_audio_); };
      const double* best = &*std::ranges::min_element(known_, {}, moved);
      if (moved(*best) < kSpliceSlack) {
        offset_ = *best;
      } else if (moved(offset_) > kJumpSeconds) {
        offset_ = *last_audio_ - seconds;
      }
    }
    last_audio_ = seconds + offset_;
    return {*last_audio_, offset_ != before};
  }

 private:
  std::vector<double> known_{0};
  double video_offset_ = 0, offset_ = 0;
  std::optional<double> last_video_, last_audio_;
};

}  // namespace

struct AudioReader::State {
  explicit State(av::Input opened) : input(std::move(opened)) {}

  av::Input input;
  int index = -1;
  int video_index = -1;  // followed for its clock, where clocks jump
  std::optional<av::Decoder> decoder;
  av::Packet packet = av::make_packet();
  Jumps jumps;
  bool jumping = false;
  bool draining = false;
  std::int64_t damaged = 0;
  std::uint64_t size = 1;
};

AudioReader::AudioReader(std::unique_ptr<State> state) : state_(std::move(state)) {}
AudioReader::AudioReader(AudioReader&&) noexcept = default;
AudioReader& AudioReader::operator=(AudioReader&&) noexcept = default;
AudioReader::~AudioReader() = default;

Result<AudioReader> AudioReader::open(ByteSource source, int stream, std::stop_token stop) {
  const std::uint64_t size = source.size;
  const std::string name = source.name;
  SPOOL_ASSIGN(auto input, av::Input::open(std::move(source), {.stop = std::move(stop)}));
  AVFormatContext* format = input.get();
  const int best = stream >= 0 ? stream : av_find_best_stream(format, AVMEDIA_TYPE_AUDIO, -1, -1, nullptr, 0);
  if (best < 0 || best >= static_cast<int>(format->nb_streams) ||
      format->streams[best]->codecpar->codec_type != AVMEDIA_TYPE_AUDIO)
    return fail(Code::kUnsupported, fmt::format("{}: no audio track {}", name, stream));
  auto state = std::make_unique<State>(std::move(input));
  state->index = best;
  state->size = size;
  state->jumping = (format->iformat->flags & AVFMT_TS_DISCONT) != 0;
  if (state->jumping)
    state->video_index = av_find_best_stream(format, AVMEDIA_TYPE_VIDEO, -1, -1, nullptr, 0);
  for (int i = 0; i < static_cast<int>(format->nb_streams); ++i)
    format->streams[i]->discard = i == best || i == state->video_index ? AVDISCARD_DEFAULT : AVDISCARD_ALL;

  const AVStream& track = *format->streams[best];
  SPOOL_ASSIGN(av::Decoder decoder, av::Decoder::open(*track.codecpar, track.time_base, {.name = name}));
  state->decoder = std::move(decoder);
  return AudioReader(std::move(state));
}

Result<std::optional<AudioReader::Decoded>> AudioReader::next() {
  State& s = *state_;
  for (;;) {
    auto frame = av::make_frame();
    const int err = avcodec_receive_frame(s.decoder->get(), frame.get());
    if (err >= 0) {
      if (frame->nb_samples <= 0 || frame->sample_rate <= 0 || frame->ch_layout.nb_channels <= 0) continue;
      Decoded decoded{std::move(frame), std::nullopt, false};
      const std::int64_t pts = decoded.frame->best_effort_timestamp;
      if (pts != AV_NOPTS_VALUE) decoded.seconds = double(pts) * av_q2d(stream().time_base);
      if (decoded.seconds && s.jumping)
        std::tie(decoded.seconds, decoded.spliced) = s.jumps.audio(*decoded.seconds);
      return decoded;
    }
    if (err == AVERROR_EOF) return std::nullopt;
    if (err != AVERROR(EAGAIN)) {
      ++s.damaged;
      if (s.draining) return std::nullopt;
      continue;
    }
    SPOOL_ASSIGN(const bool more, s.input.read(*s.packet));
    if (!more) {
      s.draining = true;
      avcodec_send_packet(s.decoder->get(), nullptr);
    } else if (s.packet->stream_index == s.index) {
      if (avcodec_send_packet(s.decoder->get(), s.packet.get()) < 0) ++s.damaged;
    } else if (s.packet->stream_index == s.video_index && s.packet->dts != AV_NOPTS_VALUE) {
      const double tick = av_q2d(s.input.get()->streams[s.video_index]->time_base);
      s.jumps.video(double(s.packet->dts) * tick, double(s.packet->duration) * tick);
    }
  }
}

const AVStream& AudioReader::stream() const {
  return *state_->input.get()->streams[state_->index];
}
std::int64_t AudioReader::damaged_packets() const {
  return state_->damaged;
}
double AudioReader::fraction() const {
  const std::int64_t at = avio_tell(state_->input.get()->pb);
  return std::clamp(double(at) / double(std::max<std::uint64_t>(state_->size, 1)), 0.0, 1.0);
}

}  // namespace spool::media
