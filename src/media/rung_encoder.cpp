#include "media/rung_encoder.h"

#include <fmt/format.h>

#include <algorithm>

#include "media/encoder_options.h"
#include "media/nal.h"

namespace spool::media {
namespace {

// One access unit as a file stores it, without the encoder's self-description (SEI user data, unregistered),
// which would stand at the start of each chunk.
Bytes stored_form(const AVPacket& packet, bool hevc) {
  const std::span<const std::byte> stream(reinterpret_cast<const std::byte*>(packet.data),
                                          static_cast<std::size_t>(packet.size));
  constexpr unsigned kAvcSei = 6, kHevcPrefixSei = 39, kUserDataUnregistered = 5;
  Bytes out;
  out.reserve(stream.size() + 16);
  for (const auto unit : nal_units(stream)) {
    const auto byte = [&](std::size_t i) {
      return i < unit.size() ? std::to_integer<unsigned>(unit[i]) : 0u;
    };
    if (hevc ? (byte(0) >> 1 & 0x3f) == kHevcPrefixSei && byte(2) == kUserDataUnregistered
             : (byte(0) & 0x1f) == kAvcSei && byte(1) == kUserDataUnregistered)
      continue;
    for (int shift = 24; shift >= 0; shift -= 8)
      out.push_back(static_cast<std::byte>(unit.size() >> shift & 0xff));
    out.insert(out.end(), unit.begin(), unit.end());
  }
  return out;
}

}  // namespace

Result<RungEncoder> RungEncoder::open(const Film& film, const Chunk& chunk, int rung,
                                      const SegmentSink& sink) {
  SPOOL_ASSIGN(av::CodecContext encoder, open_encoder(film, film.rungs[static_cast<std::size_t>(rung)]));
  return RungEncoder(film, chunk, rung, sink, std::move(encoder));
}

RungEncoder::RungEncoder(const Film& film, const Chunk& chunk, int rung, const SegmentSink& sink,
                         av::CodecContext encoder)
    : film_(&film),
      chunk_(&chunk),
      sink_(&sink),
      rung_(rung),
      encoder_(std::move(encoder)),
      packet_(av::make_packet()),
      frame_(av::make_frame()),
      fragment_(chunk.first_fragment) {}

Result<void> RungEncoder::encode(AVFrame& frame, std::int64_t pts) {
  av_frame_unref(frame_.get());
  if (const int err = av_frame_ref(frame_.get(), &frame); err < 0) return av::fail_av(err, "a frame");
  const auto& segments = chunk_->segments;
  const bool idr = next_idr_segment_ < segments.size() && segments[next_idr_segment_].idr[next_idr_] == pts;
  if (idr && ++next_idr_ == segments[next_idr_segment_].idr.size()) {
    next_idr_ = 0;
    ++next_idr_segment_;
  }
  frame_->pict_type = idr ? AV_PICTURE_TYPE_I : AV_PICTURE_TYPE_NONE;
  frame_->key_frame = 0;
  frame_->interlaced_frame = 0;
  frame_->top_field_first = 0;
  frame_->sample_aspect_ratio = {1, 1};
  frame_->pts = pts / encoder_ticks(*film_);
  const int err = avcodec_send_frame(encoder_.get(), frame_.get());
  av_frame_unref(frame_.get());
  if (err < 0) return av::fail_av(err, "encoding");
  return receive();
}

Result<void> RungEncoder::receive() {
  for (;;) {
    const int err = avcodec_receive_packet(encoder_.get(), packet_.get());
    if (err == AVERROR(EAGAIN) || err == AVERROR_EOF) return {};
    if (err < 0) return av::fail_av(err, "encoding");
    auto taken = take(*packet_);
    av_packet_unref(packet_.get());
    SPOOL_TRY(taken);
  }
}

Result<void> RungEncoder::take(const AVPacket& packet) {
  Sample sample;
  sample.pts = packet.pts * encoder_ticks(*film_);
  sample.sync = (packet.flags & AV_PKT_FLAG_KEY) != 0;
  sample.data =
      stored_form(packet, film_->rungs[static_cast<std::size_t>(rung_)].rung.codec == VideoCodec::kHevc);
  bytes_ += static_cast<std::int64_t>(sample.data.size());
  const PlannedSegment& segment = chunk_->segments[segment_];
  if (sample.sync && sample.pts >= segment.pts + segment.duration) SPOOL_TRY(end_segment());
  samples_.push_back(std::move(sample));
  return {};
}

Result<void> RungEncoder::end_segment() {
  if (segment_ >= chunk_->segments.size())
    return fail(Code::kInternal, "the encoder gave more than was planned");
  const PlannedSegment& planned = chunk_->segments[segment_];
  std::vector<std::int64_t> pts, idr;
  for (const Sample& sample : samples_) {
    pts.push_back(sample.pts);
    if (sample.sync) idr.push_back(sample.pts);
  }
  std::sort(pts.begin(), pts.end());
  if (idr != planned.idr)
    return fail(Code::kInternal, fmt::format("segment {}: {} keyframes where {} were planned",
                                             chunk_->first_segment + static_cast<int>(segment_), idr.size(),
                                             planned.idr.size()));
  // The encoder's own decode times know nothing of the frames in other chunks: these come from the plan.
  for (std::size_t i = 0; i < samples_.size(); ++i) {
    samples_[i].dts = pts[i] - film_->decode_shift;
    const auto next = std::upper_bound(pts.begin(), pts.end(), samples_[i].pts);
    samples_[i].duration = (next != pts.end() ? *next : planned.pts + planned.duration) - samples_[i].pts;
    if (samples_[i].pts < samples_[i].dts)
      return fail(Code::kInternal, "the encoder reorders by more frames than was planned");
  }
  EncodedSegment segment{rung_, chunk_->first_segment + static_cast<int>(segment_), fragment_, planned,
                         std::move(samples_)};
  samples_.clear();
  fragment_ += static_cast<std::uint32_t>(idr.size());
  ++segment_;
  return (*sink_)(std::move(segment));
}

Result<void> RungEncoder::finish() {
  if (const int err = avcodec_send_frame(encoder_.get(), nullptr); err < 0)
    return av::fail_av(err, "encoding");
  SPOOL_TRY(receive());
  SPOOL_TRY(end_segment());
  if (segment_ != chunk_->segments.size())
    return fail(Code::kInternal, "the encoder gave fewer segments than were planned");
  return {};
}

Bytes RungEncoder::extradata() const {
  const auto* extra = reinterpret_cast<const std::byte*>(encoder_->extradata);
  return {extra, extra + encoder_->extradata_size};
}

Result<av::CodecParameters> encoder_parameters(const Film& film, int rung) {
  if (rung < 0 || static_cast<std::size_t>(rung) >= film.rungs.size())
    return fail(Code::kInvalidArgument, fmt::format("there is no rung {}", rung));
  SPOOL_ASSIGN(const av::CodecContext encoder,
               open_encoder(film, film.rungs[static_cast<std::size_t>(rung)]));
  av::CodecParameters parameters(avcodec_parameters_alloc());
  if (const int err = avcodec_parameters_from_context(parameters.get(), encoder.get()); err < 0)
    return av::fail_av(err, "encoder parameters");
  return parameters;
}

}  // namespace spool::media
