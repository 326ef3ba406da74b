// AudioReader: one audio track of a source, decoded, each frame with the time it says on the source's clock.
// Damaged packets are skipped and counted: their time becomes a gap, which whoever places the frames fills.
// One thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <vector>

#include "av/input.h"
#include "base/error.h"

namespace spool::media {

class AudioReader {
 public:
  // `stream` < 0: the best one. Errors: kUnsupported when there is no such audio track or no decoder for it.
  [[nodiscard]] static Result<AudioReader> open(ByteSource source, int stream, std::stop_token stop);
  AudioReader(AudioReader&&) noexcept;
  AudioReader& operator=(AudioReader&&) noexcept;
  ~AudioReader();

  struct Decoded {
    av::Frame frame;
    std::optional<double> seconds;  // nullopt: follows what came before
    bool spliced = false;           // the source's clock was set anew in front of it
  };
  // nullopt at the end.
  [[nodiscard]] Result<std::optional<Decoded>> next();

  [[nodiscard]] const AVStream& stream() const;
  [[nodiscard]] std::int64_t damaged_packets() const;
  // 0..1, by what has been read.
  [[nodiscard]] double fraction() const;

 private:
  struct State;
  explicit AudioReader(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace spool::media
