#include "media/encode.h"

#include <fmt/format.h>

#include <algorithm>

#include "media/chunk_reader.h"
#include "media/prepare.h"
#include "media/rung_encoders.h"
#include "media/rung_scaler.h"

namespace spool::media {
namespace {

constexpr int kQuickDecoderThreads = 4;

// Puts frames where they were planned: a hole is filled with the frame before it, a surplus one is dropped.
class Placement {
 public:
  using Emit = std::function<Result<void>(const AVFrame& frame, std::int64_t pts)>;

  Placement(const Chunk& chunk, std::int64_t frame_ticks, Emit emit)
      : chunk_(chunk), frame_ticks_(frame_ticks), emit_(std::move(emit)), last_(av::make_frame()) {}

  Result<void> place(const AVFrame& frame, bool damaged) {
    if (frame.pts < chunk_.begin) return {};
    if (frame.pts >= chunk_.end) {
      if (damaged) note_bidirectional();
      return {};
    }
    const std::int64_t position = nearest(frame.pts);
    if (position < next_) return {};
    // At the very start there is nothing to show on: the first good frame is shown early.
    if (last_->data[0] == nullptr) SPOOL_TRY(keep(frame));
    after_hole_ = frame.key_frame == 0 && (after_hole_ || next_ < position);
    SPOOL_TRY(fill(position));
    SPOOL_TRY(keep(frame));
    if (damaged || after_hole_) {
      note_bidirectional();
      note(position);
    }
    bidirectional_ = frame.pict_type == AV_PICTURE_TYPE_B ? bidirectional_ + 1 : 0;
    ++next_;
    return emit_(frame, pts(position));
  }

  Result<void> finish(const Film& film) {
    if (last_->data[0] == nullptr) SPOOL_TRY(make_black(film));
    return fill(chunk_.frames);
  }

  std::vector<Damage> damage() && { return std::move(damage_); }

 private:
  [[nodiscard]] std::int64_t pts(std::int64_t i) const { return chunk_.frame_pts(i, frame_ticks_); }

  [[nodiscard]] std::int64_t nearest(std::int64_t tick) const {
    if (chunk_.pts.empty()) return std::min((tick - chunk_.begin) / frame_ticks_, chunk_.frames - 1);
    const auto& all = chunk_.pts;
    const auto after = std::lower_bound(all.begin(), all.end(), tick);
    if (after == all.end()) return chunk_.frames - 1;
    if (after != all.begin() && tick - *std::prev(after) < *after - tick) return after - all.begin() - 1;
    return after - all.begin();
  }

  // Those just placed may have been predicted from the frame that comes now.
  void note_bidirectional() {
    for (; bidirectional_ > 0; --bidirectional_) note(next_ - bidirectional_);
  }

  void note(std::int64_t position) {
    if (!damage_.empty() && pts(position) < damage_.back().to) return;
    add_damaged_frame(damage_, pts(position), position + 1 < chunk_.frames ? pts(position + 1) : chunk_.end);
  }

  Result<void> fill(std::int64_t until) {
    if (next_ < until) note_bidirectional();
    for (; next_ < until; ++next_) {
      note(next_);
      SPOOL_TRY(emit_(*last_, pts(next_)));
    }
    return {};
  }

  Result<void> keep(const AVFrame& frame) {
    av_frame_unref(last_.get());
    if (const int err = av_frame_ref(last_.get(), &frame); err < 0) return av::fail_av(err, "a frame");
    return {};
  }

  Result<void> make_black(const Film& film) {
    last_->format = AV_PIX_FMT_YUV420P;
    last_->width = film.rungs.front().size.width;
    last_->height = film.rungs.front().size.height;
    last_->color_range = AVCOL_RANGE_MPEG;
    if (const int err = av_frame_get_buffer(last_.get(), 0); err < 0) return av::fail_av(err, "a frame");
    for (int plane = 0; plane < 3; ++plane) {
      const int lines = plane == 0 ? last_->height : (last_->height + 1) / 2;
      std::fill_n(last_->data[plane], static_cast<std::ptrdiff_t>(last_->linesize[plane]) * lines,
                  plane == 0 ? 16 : 128);
    }
    return {};
  }

  const Chunk& chunk_;
  std::int64_t frame_ticks_;
  Emit emit_;
  av::Frame last_;
  std::int64_t next_ = 0;
  std::int64_t bidirectional_ = 0;  // B-frames, the last that were placed
  bool after_hole_ = false;         // frames may be predicted from one that is missing, until a keyframe
  std::vector<Damage> damage_;
};

struct Encoded {
  ChunkOutput output;
  bool spotless = false;  // nothing of the source was damaged
};

Result<Encoded> encode_once(const ByteSource& source, const ChunkTask& task, const ChunkHooks& hooks,
                            int decoder_threads, std::stop_token stop) {
  const Film& film = task.film;
  const Chunk& chunk = task.chunk;
  SPOOL_ASSIGN(ChunkReader reader,
               ChunkReader::open(source, film, chunk, Preparer::reach(film), decoder_threads, stop));
  SPOOL_ASSIGN(const std::unique_ptr<RungEncoders> encoders, RungEncoders::start(film, chunk, hooks.segment));
  Preparer preparer(film, film.rungs.front().size);
  RungScaler scaler(film, chunk.rungs.back());
  ChunkOutput output;

  const auto encode = [&](const AVFrame& frame, std::int64_t pts) -> Result<void> {
    SPOOL_ASSIGN(const std::vector<AVFrame*> sizes, scaler.scale(frame));
    std::vector<AVFrame*> wanted;
    for (const int rung : chunk.rungs) wanted.push_back(sizes[static_cast<std::size_t>(rung)]);
    SPOOL_TRY(encoders->encode(wanted, pts));
    ++output.frames;
    if (hooks.progress) hooks.progress(output.frames);
    if (stop.stop_requested()) return fail(Code::kCancelled, "stopped while encoding");
    return {};
  };
  Placement placement(chunk, film.clock.frame_ticks, encode);
  std::vector<std::int64_t> damaged;  // decoded, but partly made up; ticks
  const auto place = [&](const AVFrame& frame) {
    return placement.place(frame, std::find(damaged.begin(), damaged.end(), frame.pts) != damaged.end());
  };
  for (;;) {
    SPOOL_ASSIGN(const ChunkReader::Decoded decoded, reader.next());
    if (decoded.frame != nullptr && decoded.damaged) damaged.push_back(decoded.frame->pts);
    SPOOL_TRY(preparer.push(decoded.frame, place));
    if (decoded.frame == nullptr) break;
  }
  SPOOL_TRY(placement.finish(film));
  SPOOL_TRY(encoders->finish());
  output.bytes = encoders->bytes();
  output.damage = std::move(placement).damage();
  const bool spotless = reader.spotless() && output.damage.empty();
  return Encoded{std::move(output), spotless};
}

}  // namespace

// A single segment that somebody waits for is decoded by several threads. Where the source is damaged it is
// done again by one, whose result is the same every time.
Result<ChunkOutput> encode_chunk(const ByteSource& source, const ChunkTask& task, const ChunkHooks& hooks,
                                 std::stop_token stop) {
  if (task.chunk.alone && task.chunk.segments.size() == 1) {
    std::vector<EncodedSegment> segments;
    ChunkHooks held = hooks;
    held.segment = [&](EncodedSegment segment) -> Result<void> {
      segments.push_back(std::move(segment));
      return {};
    };
    SPOOL_ASSIGN(Encoded quick, encode_once(source, task, held, kQuickDecoderThreads, stop));
    if (quick.spotless) {
      for (EncodedSegment& segment : segments) SPOOL_TRY(hooks.segment(std::move(segment)));
      return std::move(quick.output);
    }
  }
  SPOOL_ASSIGN(Encoded whole, encode_once(source, task, hooks, 1, std::move(stop)));
  return std::move(whole.output);
}

}  // namespace spool::media
