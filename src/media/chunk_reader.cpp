#include "media/chunk_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace spool::media {

Result<ChunkReader> ChunkReader::open(const ByteSource& source, const Film& film, const Chunk& chunk,
                                      std::int64_t reach, int threads, std::stop_token stop) {
  // What MP4 and Matroska say up front is enough; other formats have to be looked at to find their streams.
  const bool told =
      film.format.find("mp4") != std::string::npos || film.format.find("matroska") != std::string::npos;
  SPOOL_ASSIGN(av::Input input, av::Input::open(source, {stop, !told}));
  if (static_cast<unsigned>(film.picture.stream) >= input.get()->nb_streams)
    return fail(Code::kCorruptInput, fmt::format("{}: it has changed since it was planned", source.name));
  const AVCodecParameters& parameters = *input.get()->streams[film.picture.stream]->codecpar;
  const Ratio base = film.clock.time_base;
  SPOOL_ASSIGN(av::Decoder decoder,
               av::Decoder::open(parameters, {static_cast<int>(base.num), static_cast<int>(base.den)},
                                 {.threads = threads, .reorder = film.picture.delay, .name = source.name}));
  ChunkReader reader(std::move(input), std::move(decoder), film, chunk, reach);
  SPOOL_TRY(reader.seek());
  return reader;
}

ChunkReader::ChunkReader(av::Input input, av::Decoder decoder, const Film& film, const Chunk& chunk,
                         std::int64_t reach)
    : input_(std::move(input)),
      decoder_(std::move(decoder)),
      clock_(film.clock),
      picture_(film.picture),
      seek_(chunk.seek),
      repair_(clock_.jumps, clock_.time_base, chunk.seek ? chunk.seek->clock : ClockState{}),
      first_(chunk.begin - reach),
      last_(chunk.end + reach),
      begin_(chunk.begin),
      end_(chunk.end),
      owned_(chunk.frames),
      last_tick_(chunk.begin - 1),
      packet_(av::make_packet()),
      frame_(av::make_frame()) {
  for (unsigned i = 0; i < input_.get()->nb_streams; ++i)
    if (static_cast<int>(i) != picture_.stream) input_.get()->streams[i]->discard = AVDISCARD_ALL;
}

Result<void> ChunkReader::seek() {
  if (!seek_) return {};
  if (seek_->position >= 0) {
    if (const int err = av_seek_frame(input_.get(), picture_.stream, seek_->position, AVSEEK_FLAG_BYTE);
        err < 0)
      return av::fail_av(err, fmt::format("{}: seeking", input_.name()));
    return {};
  }
  // What cannot seek is read from its start: slow, and right.
  if (auto sought = input_.seek(picture_.stream, seek_->dts); !sought) seek_.reset();
  return {};
}

bool ChunkReader::retime(AVPacket& packet) {
  if (!synchronised_) {
    if ((packet.flags & AV_PKT_FLAG_KEY) == 0) return false;
    synchronised_ = true;
  }
  const std::int64_t time = packet.dts != AV_NOPTS_VALUE ? packet.dts : packet.pts;
  if (time == AV_NOPTS_VALUE) return true;
  const std::int64_t offset = repair_.offset_for(time, packet.duration);
  if (packet.pts != AV_NOPTS_VALUE) packet.pts += offset;
  if (packet.dts != AV_NOPTS_VALUE) packet.dts += offset;
  return true;
}

// Frames shown before `last_` are all decoded before any packet whose decode time is later than that. Where
// clocks jump (transport and program streams) a packet may be half a frame: they are not counted.
bool ChunkReader::all_sent(const AVPacket& packet) const {
  if (!clock_.jumps && std::ssize(owned_sent_) >= owned_ && last_ == end_) return true;
  return packet.dts != AV_NOPTS_VALUE && clock_.tick(packet.dts) >= last_;
}

Result<void> ChunkReader::feed() {
  for (;;) {
    SPOOL_ASSIGN(const bool more, input_.read(*packet_));
    if (!more) break;
    if (packet_->stream_index != picture_.stream || !retime(*packet_)) continue;
    const std::int64_t pts = packet_->pts;
    const std::int64_t tick = pts == AV_NOPTS_VALUE ? first_ : clock_.tick(pts);
    // On the way to the chunk, what nothing refers to need not be decoded.
    decoder_.get()->skip_frame = tick < first_ ? AVDISCARD_NONREF : AVDISCARD_DEFAULT;
    if (pts != AV_NOPTS_VALUE && tick >= begin_ && tick < end_ &&
        is_shown(*input_.get()->streams[picture_.stream], *packet_))
      owned_sent_.insert(tick);
    const bool last = all_sent(*packet_);
    // A packet that cannot be decoded leaves a hole; whoever places the frames sees it.
    if (avcodec_send_packet(decoder_.get(), packet_.get()) < 0) {
      spotless_ = false;
      hurt_from_ = std::min(hurt_from_, tick);
    }
    if (!last) return {};
    break;
  }
  draining_ = true;
  static_cast<void>(avcodec_send_packet(decoder_.get(), nullptr));
  return {};
}

Result<ChunkReader::Decoded> ChunkReader::next() {
  for (;;) {
    const int err = avcodec_receive_frame(decoder_.get(), frame_.get());
    if (err < 0 && err != AVERROR_EOF && err != AVERROR(EAGAIN)) spotless_ = false;
    if (err == AVERROR_EOF || (err < 0 && draining_)) return Decoded{};
    if (err < 0) {  // EAGAIN, or a frame that could not be decoded
      SPOOL_TRY(feed());
      continue;
    }
    const std::int64_t stamp = frame_->best_effort_timestamp;
    const std::int64_t tick = stamp == AV_NOPTS_VALUE
                                  ? last_tick_ + std::max<std::int64_t>(1, clock_.frame_ticks)
                                  : clock_.tick(stamp);
    last_tick_ = tick;
    const bool made_up = frame_->decode_error_flags != 0 || (frame_->flags & AV_FRAME_FLAG_CORRUPT) != 0;
    if (frame_->key_frame != 0 && tick > hurt_from_) hurt_from_ = kNever;
    if (made_up) {
      spotless_ = false;
      hurt_from_ = std::min(hurt_from_, tick);
    }
    const bool damaged = tick >= hurt_from_;
    // The first damaged one beyond: those before it may have been predicted from it.
    if (tick < first_ || (tick >= last_ && !damaged)) continue;
    frame_->pts = tick;
    return Decoded{frame_.get(), damaged};
  }
}

}  // namespace spool::media
