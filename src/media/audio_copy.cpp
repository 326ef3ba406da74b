// AAC packets of the source, packaged as they are.
#include <fmt/format.h>

#include <cmath>

#include "av/input.h"
#include "media/audio_segments.h"
#include "media/remux.h"

namespace spool::media {
namespace {

constexpr double kGapSeconds = 0.005;
constexpr double kLateSeconds = 0.02;
constexpr double kShortSeconds = 0.5;
constexpr double kRateSlack = 1.1;  // encoders overshoot what they are asked for

struct Opened {
  av::Input input;
  int stream = 0;
  [[nodiscard]] const AVStream& track() const { return *input.get()->streams[stream]; }
};

Result<Opened> open_track(ByteSource source, int wanted, const std::stop_token& stop) {
  const std::string name = source.name;
  SPOOL_ASSIGN(auto input, av::Input::open(std::move(source), {.stop = stop}));
  AVFormatContext* format = input.get();
  const int stream =
      wanted >= 0 ? wanted : av_find_best_stream(format, AVMEDIA_TYPE_AUDIO, -1, -1, nullptr, 0);
  if (stream < 0 || stream >= static_cast<int>(format->nb_streams) ||
      format->streams[stream]->codecpar->codec_type != AVMEDIA_TYPE_AUDIO)
    return fail(Code::kUnsupported, fmt::format("{}: no audio track {}", name, wanted));
  for (int i = 0; i < static_cast<int>(format->nb_streams); ++i)
    format->streams[i]->discard = i == stream ? AVDISCARD_DEFAULT : AVDISCARD_ALL;
  return Opened{std::move(input), stream};
}

std::string codec_obstacle(const AVCodecParameters& codec, bool keep_channels) {
  if (codec.codec_id != AV_CODEC_ID_AAC)
    return fmt::format("it is {}, not AAC", avcodec_get_name(codec.codec_id));
  if (codec.extradata_size < 2) return "its configuration is not in the container";
  if (codec.profile != FF_PROFILE_AAC_LOW || codec.frame_size != 1024) return "it is not AAC-LC";
  if (codec.sample_rate != 44100 && codec.sample_rate != 48000)
    return fmt::format("its rate is {} Hz", codec.sample_rate);
  if (codec.ch_layout.nb_channels > 2 && !keep_channels) return "it has more than two channels";
  return "";
}

// Where a packet stands, in samples from the film's first moment.
std::int64_t position(const AVPacket& packet, const AVStream& track, const AudioTask& task) {
  return std::llround((double(packet.pts) * av_q2d(track.time_base) - task.begin_seconds.value_or(0)) *
                      track.codecpar->sample_rate);
}

// Whether a decoder makes sound of a packet: what is copied is not looked at again.
bool decodes(av::Decoder& decoder, const AVPacket& packet, AVFrame& frame) {
  for (bool taken = false; !taken;) {
    const auto sent = decoder.send(&packet);
    if (!sent) return false;
    taken = *sent == av::Decoder::Sent::kTaken;
    for (;;) {
      const auto received = decoder.receive(frame);
      if (!received) return false;
      if (*received != av::Decoder::Received::kFrame) break;
    }
  }
  return true;
}

}  // namespace

Result<std::string> audio_copy_obstacle(ByteSource source, const AudioTask& task, std::stop_token stop) {
  SPOOL_ASSIGN(auto opened, open_track(std::move(source), task.stream, stop));
  const AVCodecParameters& codec = *opened.track().codecpar;
  std::string obstacle = codec_obstacle(codec, task.keep_channels);
  if (!obstacle.empty()) return obstacle;
  if (task.cut) return "only a part of it is wanted";
  if (task.gain_db != 0) return "its loudness is changed";
  const auto packet = av::make_packet();
  const auto frame = av::make_frame();
  SPOOL_ASSIGN(av::Decoder decoder,
               av::Decoder::open(codec, opened.track().time_base, {.name = opened.input.name()}));
  std::int64_t expected = INT64_MIN, bytes = 0, packets = 0;
  for (;;) {
    SPOOL_ASSIGN(const bool more, opened.input.read(*packet));
    if (!more) break;
    if (packet->stream_index != opened.stream) continue;
    if (packet->pts == AV_NOPTS_VALUE) return "some of its packets have no time";
    if (av_packet_get_side_data(packet.get(), AV_PKT_DATA_NEW_EXTRADATA, nullptr))
      return "its configuration changes";
    if (!decodes(decoder, *packet, *frame)) return "it is damaged";
    const std::int64_t at = position(*packet, opened.track(), task);
    if (expected == INT64_MIN) {
      expected = at;
      if (double(at) > kLateSeconds * codec.sample_rate) return "it begins later than the film";
    }
    if (std::abs(double(at - expected)) > kGapSeconds * codec.sample_rate) return "it has gaps or drifts";
    expected += 1024;
    bytes += packet->size;
    ++packets;
  }
  if (expected == INT64_MIN) return "it has no packets";
  const double rate = 8.0 * double(bytes) * codec.sample_rate / (1024.0 * double(packets));
  if (rate > kRateSlack * double(task.bits_per_second))
    return fmt::format("its {:.0f} kbit/s are above the ladder's {}", rate / 1000,
                       task.bits_per_second / 1000);
  if (task.film_seconds && double(expected) < (*task.film_seconds - kShortSeconds) * codec.sample_rate)
    return "it ends before the film";
  return "";
}

Result<AudioReport> copy_audio(ByteSource source, const AudioTask& task, const AudioSink& sink,
                               std::stop_token stop) {
  const std::string name = source.name;
  const std::uint64_t size = source.size;
  SPOOL_ASSIGN(auto opened, open_track(std::move(source), task.stream, stop));
  const AVCodecParameters& codec = *opened.track().codecpar;
  if (const auto obstacle = codec_obstacle(codec, task.keep_channels); !obstacle.empty())
    return fail(Code::kUnsupported, fmt::format("{}: its audio cannot be copied: {}", name, obstacle));
  const auto packet = av::make_packet();
  const auto next = [&]() -> Result<bool> {
    do {
      SPOOL_ASSIGN(const bool more, opened.input.read(*packet));
      if (!more) return false;
      // One packet before the first moment is decoded for its successor's sake; earlier ones are for nobody.
    } while (packet->stream_index != opened.stream || packet->pts == AV_NOPTS_VALUE ||
             position(*packet, opened.track(), task) <= -2048);
    return true;
  };
  SPOOL_ASSIGN(bool more, next());
  if (!more) return fail(Code::kCorruptInput, fmt::format("{}: its audio track is empty", name));
  std::int64_t at = std::min<std::int64_t>(position(*packet, opened.track(), task), 0);
  CmafTrack track{
      .timescale = static_cast<std::uint32_t>(codec.sample_rate), .language = task.language, .shift = -at};

  AudioFormat format;
  format.sample_rate = codec.sample_rate;
  format.channels = codec.ch_layout.nb_channels;
  format.priming = -at;
  format.bits_per_second = codec.bit_rate;
  SPOOL_ASSIGN(format.codecs, codec_string(codec));
  SPOOL_ASSIGN(format.init, cmaf_init_segment(codec, track));
  SPOOL_TRY(sink.format(format));
  AudioSegments segments(task.borders, task.segment_seconds, task.film_seconds, sink.segment, track);
  while (more) {
    Sample sample{.pts = at, .dts = at, .duration = 1024, .sync = true, .data = {}};
    const auto bytes = std::as_bytes(std::span(packet->data, static_cast<std::size_t>(packet->size)));
    sample.data.assign(bytes.begin(), bytes.end());
    at += 1024;
    SPOOL_TRY(segments.add(std::move(sample)));
    if (sink.progress && size > 0)
      sink.progress(std::min(1.0, double(avio_tell(opened.input.get()->pb)) / double(size)));
    SPOOL_ASSIGN(more, next());
  }
  SPOOL_TRY(segments.deliver());
  AudioReport report;
  report.samples = at;
  return report;
}

}  // namespace spool::media
