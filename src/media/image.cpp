#include "media/image.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <span>

namespace spool::media {
namespace {

Result<av::Frame> to_rgb(const AVFrame& frame) {
  const av::Scaler scaler(sws_getContext(
      frame.width, frame.height, AV_PIX_FMT_YUVJ420P, frame.width, frame.height, AV_PIX_FMT_RGB24,
      SWS_BICUBIC | SWS_ACCURATE_RND | SWS_BITEXACT, nullptr, nullptr, nullptr));
  av::Frame rgb = av::make_frame();
  rgb->format = AV_PIX_FMT_RGB24;
  rgb->width = frame.width;
  rgb->height = frame.height;
  if (!scaler) return fail(Code::kInternal, "cannot convert a picture to RGB");
  if (const int err = av_frame_get_buffer(rgb.get(), 0); err < 0) return av::fail_av(err, "a picture");
  sws_scale(scaler.get(), frame.data, frame.linesize, 0, frame.height, rgb->data, rgb->linesize);
  return rgb;
}

}  // namespace

const char* extension(ImageFormat format) {
  return format == ImageFormat::kJpeg ? "jpg" : "png";
}

Result<Bytes> encode_image(const AVFrame& frame, ImageFormat format, int quality) {
  const bool jpeg = format == ImageFormat::kJpeg;
  av::Frame picture(av_frame_clone(&frame));
  if (!jpeg) {
    SPOOL_ASSIGN(picture, to_rgb(frame));
  }
  const AVCodec* codec = avcodec_find_encoder(jpeg ? AV_CODEC_ID_MJPEG : AV_CODEC_ID_PNG);
  if (codec == nullptr || !picture) return fail(Code::kInternal, "there is no encoder for images");
  const av::CodecContext encoder(avcodec_alloc_context3(codec));
  encoder->width = frame.width;
  encoder->height = frame.height;
  encoder->pix_fmt = jpeg ? AV_PIX_FMT_YUVJ420P : AV_PIX_FMT_RGB24;
  encoder->color_range = AVCOL_RANGE_JPEG;
  encoder->time_base = {1, 25};
  encoder->thread_count = 1;
  encoder->flags |= AV_CODEC_FLAG_BITEXACT;
  // Quantisers 2 (best) to 31.
  const int quantiser = 2 + (100 - std::clamp(quality, 1, 100)) * 29 / 99;
  if (jpeg) {
    encoder->flags |= AV_CODEC_FLAG_QSCALE;
    encoder->global_quality = quantiser * FF_QP2LAMBDA;
    picture->quality = encoder->global_quality;
  }
  int err = avcodec_open2(encoder.get(), codec, nullptr);
  const av::Packet packet = av::make_packet();
  picture->pts = 0;
  picture->pict_type = AV_PICTURE_TYPE_NONE;
  if (err >= 0) err = avcodec_send_frame(encoder.get(), picture.get());
  if (err >= 0) err = avcodec_send_frame(encoder.get(), nullptr);
  if (err >= 0) err = avcodec_receive_packet(encoder.get(), packet.get());
  if (err < 0)
    return fail(Code::kInternal, av::av_error(err, fmt::format("encoding a {}", codec->name)).message, err);
  const auto bytes = std::as_bytes(std::span(packet->data, static_cast<std::size_t>(packet->size)));
  return Bytes(bytes.begin(), bytes.end());
}

double telling(const AVFrame& frame) {
  std::array<std::int64_t, 64> histogram{};
  double sum = 0;
  for (int y = 0; y < frame.height; ++y)
    for (int x = 0; x < frame.width; ++x) {
      const std::uint8_t value = frame.data[0][static_cast<std::ptrdiff_t>(y) * frame.linesize[0] + x];
      ++histogram[value / 4];
      sum += value;
    }
  const double pixels = std::max(1.0, static_cast<double>(frame.width) * frame.height);
  double entropy = 0;
  for (const std::int64_t count : histogram)
    if (count > 0)
      entropy -= static_cast<double>(count) / pixels * std::log2(static_cast<double>(count) / pixels);
  const double mean = sum / pixels;
  return mean < 24 || mean > 240 ? entropy / 4 : entropy;
}

}  // namespace spool::media
