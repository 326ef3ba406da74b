// Input: a container opened from bytes, by allow-list. The only way media is opened.
//
// Demuxers that open other files (hls, dash, concat, image2, ...) and every protocol are shut out: bytes come
// through a ByteSource alone. One thread at a time.
#pragma once

#include <memory>
#include <stop_token>

#include "av/decoder.h"
#include "av/handles.h"
#include "base/file.h"

namespace spool::av {

struct OpenOptions {
  std::stop_token stop;
  bool find_stream_info = true;
  std::int64_t probe_bytes = 10 << 20;
  std::int64_t most_pixels = kMostPixels;  // a stream that claims more is refused before anything is decoded
};

class Input {
 public:
  // Errors: kCorruptInput or kUnsupported with a message that names the source and says what it looks like;
  // kLimitExceeded for claimed dimensions beyond most_pixels; kCancelled when stopped.
  [[nodiscard]] static Result<Input> open(ByteSource source, const OpenOptions& options = {});
  Input(Input&&) noexcept;
  Input& operator=(Input&&) noexcept;
  ~Input();

  [[nodiscard]] AVFormatContext* get() const;
  [[nodiscard]] const std::string& name() const;
  // false at the end. Errors of the reading source come out as they are, and are final: a demuxer may go on
  // after one as if the file were damaged.
  [[nodiscard]] Result<bool> read(AVPacket& packet);
  // To the last keyframe at or before `timestamp` (time base of the stream). Errors: kUnsupported.
  [[nodiscard]] Result<void> seek(int stream, std::int64_t timestamp);

 private:
  struct State;
  explicit Input(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace spool::av
