// Decoder: a codec opened from a stream's parameters. EAGAIN and EOF are states, damage is an error of one
// packet.
//
// Owns its codec context. One thread may call it at a time; by default it decodes on that thread alone, so
// that what it makes of a damaged stream is the same every time.
#pragma once

#include <cstdint>
#include <string>

#include "av/handles.h"

namespace spool::av {

// 8K twice over; more than this per picture is nobody's film.
inline constexpr std::int64_t kMostPixels = 8192LL * 8192;

// Errors: kLimitExceeded naming the claimed size. What a container claims is checked before a decoder sees
// it.
[[nodiscard]] Result<void> check_dimensions(const AVCodecParameters& parameters, std::int64_t most_pixels,
                                            const std::string& name);

struct DecoderOptions {
  int threads = 1;
  std::int64_t most_pixels = kMostPixels;
  AVDiscard skip_frame = AVDISCARD_DEFAULT;  // AVDISCARD_NONKEY: keyframes only
  int reorder = 0;   // frames held back at least: a decoder that begins in the middle would else drop some
  std::string name;  // of the source, for messages
};

class Decoder {
 public:
  // Errors: kUnsupported for a codec without a decoder; kLimitExceeded beyond most_pixels; kCorruptInput when
  // the codec refuses the parameters.
  [[nodiscard]] static Result<Decoder> open(const AVCodecParameters& parameters, AVRational time_base,
                                            const DecoderOptions& options = {});

  enum class Sent { kTaken, kFull };  // kFull: receive first, then send the same packet again
  // nullptr: the end of the stream. Errors: kCorruptInput for a packet that makes no sense; go on with the
  // next one.
  [[nodiscard]] Result<Sent> send(const AVPacket* packet);

  enum class Received { kFrame, kNeedsInput, kEnd };
  // Errors: kCorruptInput for a frame that cannot be made; go on.
  [[nodiscard]] Result<Received> receive(AVFrame& frame);

  void flush() { avcodec_flush_buffers(context_.get()); }  // after a seek, or to go on after the end
  [[nodiscard]] AVCodecContext* get() const { return context_.get(); }

 private:
  Decoder(CodecContext context, std::string name) : context_(std::move(context)), name_(std::move(name)) {}

  CodecContext context_;
  std::string name_;
};

}  // namespace spool::av
