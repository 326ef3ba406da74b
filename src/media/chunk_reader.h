// ChunkReader: decodes the frames that a chunk owns, and those around its borders that filters look at.
// Seeks to the planned keyframe, decodes, throws away by PTS. One thread at a time.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <set>
#include <stop_token>

#include "av/decoder.h"
#include "av/handles.h"
#include "av/input.h"
#include "base/error.h"
#include "media/plan.h"

namespace spool::media {

class ChunkReader {
 public:
  // `reach`: ticks beyond each border that are wanted too. `threads`: of the decoder; with more than one,
  // what it makes of damage may differ from time to time.
  [[nodiscard]] static Result<ChunkReader> open(const ByteSource& source, const Film& film,
                                                const Chunk& chunk, std::int64_t reach, int threads,
                                                std::stop_token stop);

  struct Decoded {
    AVFrame* frame = nullptr;  // valid until the next call; its pts is a tick
    bool damaged = false;      // made up in part, or may be predicted from what was, or from what is missing
  };
  // In order of display; frame == nullptr at the end. Damage of the source is no error: frames are missing,
  // or marked; of those beyond the border only marked ones come. Errors: of the reading source; kCancelled;
  // kCorruptInput when it no longer opens.
  [[nodiscard]] Result<Decoded> next();
  // The decoder has complained of nothing so far.
  [[nodiscard]] bool spotless() const { return spotless_; }

 private:
  ChunkReader(av::Input input, av::Decoder decoder, const Film& film, const Chunk& chunk, std::int64_t reach);
  Result<void> seek();
  Result<void> feed();            // one packet, or the end, into the decoder
  bool retime(AVPacket& packet);  // false: the packet is not wanted
  [[nodiscard]] bool all_sent(const AVPacket& packet) const;

  av::Input input_;
  av::Decoder decoder_;
  SourceClock clock_;
  Picture picture_;
  std::optional<Keyframe> seek_;
  ClockRepair repair_;
  std::int64_t first_ = 0;  // wanted: [first_, last_)
  std::int64_t last_ = 0;
  std::int64_t begin_ = 0;  // owned: [begin_, end_)
  std::int64_t end_ = 0;
  std::int64_t owned_ = 0;             // frames
  std::set<std::int64_t> owned_sent_;  // ticks: two packets with one time are one frame
  std::int64_t last_tick_ = 0;
  static constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();
  std::int64_t hurt_from_ = kNever;  // until the next keyframe that is shown later
  bool spotless_ = true;
  bool draining_ = false;
  bool synchronised_ = false;  // a keyframe was met
  av::Packet packet_;
  av::Frame frame_;
};

}  // namespace spool::media
