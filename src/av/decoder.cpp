#include "av/decoder.h"

#include <fmt/format.h>

#include <algorithm>

namespace spool::av {

Result<void> check_dimensions(const AVCodecParameters& parameters, std::int64_t most_pixels,
                              const std::string& name) {
  const std::int64_t pixels = std::int64_t{parameters.width} * parameters.height;
  if (parameters.width < 0 || parameters.height < 0 || pixels > most_pixels)
    return fail(
        Code::kLimitExceeded,
        fmt::format("{}: its pictures claim to be {}x{}, which is more than the {} pixels that are taken",
                    name, parameters.width, parameters.height, most_pixels));
  return {};
}

Result<Decoder> Decoder::open(const AVCodecParameters& parameters, AVRational time_base,
                              const DecoderOptions& options) {
  SPOOL_TRY(check_dimensions(parameters, options.most_pixels, options.name));
  const AVCodec* codec = avcodec_find_decoder(parameters.codec_id);
  if (codec == nullptr)
    return fail(Code::kUnsupported, fmt::format("{}: there is no decoder for {}", options.name,
                                                avcodec_get_name(parameters.codec_id)));
  CodecContext context(avcodec_alloc_context3(codec));
  if (!context) return fail_av(AVERROR(ENOMEM), options.name);
  if (const int err = avcodec_parameters_to_context(context.get(), &parameters); err < 0)
    return fail_av(err, fmt::format("{}: {}", options.name, codec->name));
  context->pkt_timebase = time_base;
  context->thread_count = options.threads;
  context->max_pixels = options.most_pixels;
  context->skip_frame = options.skip_frame;
  context->has_b_frames = std::max(context->has_b_frames, options.reorder);
  if (const int err = avcodec_open2(context.get(), codec, nullptr); err < 0)
    return fail(
        Code::kCorruptInput,
        av_error(err, fmt::format("{}: the {} decoder does not start", options.name, codec->name)).message,
        err);
  return Decoder(std::move(context), options.name);
}

Result<Decoder::Sent> Decoder::send(const AVPacket* packet) {
  const int err = avcodec_send_packet(context_.get(), packet);
  if (err == AVERROR(EAGAIN)) return Sent::kFull;
  if (err == AVERROR_EOF || err >= 0) return Sent::kTaken;
  return fail(Code::kCorruptInput, av_error(err, fmt::format("{}: decoding", name_)).message, err);
}

Result<Decoder::Received> Decoder::receive(AVFrame& frame) {
  const int err = avcodec_receive_frame(context_.get(), &frame);
  if (err == AVERROR(EAGAIN)) return Received::kNeedsInput;
  if (err == AVERROR_EOF) return Received::kEnd;
  if (err >= 0) return Received::kFrame;
  return fail(Code::kCorruptInput, av_error(err, fmt::format("{}: decoding", name_)).message, err);
}

}  // namespace spool::av
