#include "media/timeline.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <numeric>

#include "av/input.h"
#include "media/field_pairs.h"

extern "C" {
#include <libavutil/mathematics.h>
}

namespace spool::media {

std::int64_t SourceClock::tick(std::int64_t source_pts) const {
  const AVRational from{static_cast<int>(time_base.num), static_cast<int>(time_base.den)};
  const std::int64_t offset = source_pts - zero;
  if (frame_ticks == 0)
    return av_rescale_q(offset, from, AVRational{1, static_cast<int>(timescale)}) - origin;
  return av_rescale_q(offset, from, av_make_q(static_cast<int>(frame_ticks), static_cast<int>(timescale))) *
             frame_ticks -
         origin;
}

std::int64_t SourceClock::source_pts(std::int64_t tick) const {
  const AVRational to{static_cast<int>(time_base.num), static_cast<int>(time_base.den)};
  return zero + av_rescale_q(tick + origin, AVRational{1, static_cast<int>(timescale)}, to);
}

double SourceClock::source_seconds(std::int64_t tick) const {
  return static_cast<double>(zero) * time_base.value() +
         static_cast<double>(tick + origin) / static_cast<double>(timescale);
}

bool is_shown(const AVStream& stream, const AVPacket& packet) {
  if ((packet.flags & AV_PKT_FLAG_DISCARD) != 0) return false;
  if (stream.codecpar->codec_id == AV_CODEC_ID_VP8 && packet.size > 0) return (packet.data[0] >> 4 & 1) != 0;
  return true;
}

namespace {

std::uint32_t big_endian_32(const std::byte* p) {
  std::uint32_t value = 0;
  for (int i = 0; i < 4; ++i) value = value << 8 | std::to_integer<std::uint32_t>(p[i]);
  return value;
}

// Does an MP4 have movie fragments? Walks its outermost boxes (ISO/IEC 14496-12 4.2).
Result<bool> has_fragments(const ByteSource& source) {
  constexpr int kMostBoxes = 1000;
  std::uint64_t at = 0;
  for (int boxes = 0; at + 8 <= source.size; ++boxes) {
    std::byte header[16] = {};
    SPOOL_ASSIGN(const std::size_t got, source.read_at(at, header));
    if (got < 8 || boxes == kMostBoxes) return true;  // no ordinary file: read it all
    std::uint64_t size = big_endian_32(header);
    if (std::memcmp(header + 4, "moof", 4) == 0) return true;
    if (size == 1 && got == sizeof header)
      size = static_cast<std::uint64_t>(big_endian_32(header + 8)) << 32 | big_endian_32(header + 12);
    if (size < 8) return size != 0;
    at += size;
  }
  return false;
}

// The same source, but once `hollow` is set it gives zeros: the demuxer then walks its index without reading
// media.
ByteSource hollow_source(const ByteSource& source, std::shared_ptr<bool> hollow) {
  ByteSource wrapped = source;
  wrapped.read_at = [read = source.read_at, hollow = std::move(hollow), size = source.size](
                        std::uint64_t offset, std::span<std::byte> into) -> Result<std::size_t> {
    if (!*hollow) return read(offset, into);
    if (offset >= size) return std::size_t{0};
    const std::size_t bytes = std::min<std::uint64_t>(into.size(), size - offset);
    std::memset(into.data(), 0, bytes);
    return bytes;
  };
  return wrapped;
}

bool is_mov(const AVFormatContext& format) {
  return std::strstr(format.iformat->name, "mp4") != nullptr;
}
bool is_matroska(const AVFormatContext& format) {
  return std::strstr(format.iformat->name, "matroska") != nullptr;
}

Result<std::vector<ScannedPacket>> scan_packets(av::Input& input, const AVStream& stream,
                                                const SourceClock& clock, bool seek_by_bytes,
                                                bool stored_times, const ScanOptions& options) {
  for (unsigned i = 0; i < input.get()->nb_streams; ++i)
    if (static_cast<int>(i) != stream.index) input.get()->streams[i]->discard = AVDISCARD_ALL;
  ClockRepair repair(clock.jumps, clock.time_base);
  FieldPairs fields(stream);
  const av::Packet packet = av::make_packet();
  const std::string_view format = input.get()->iformat->name;
  const bool seeks_by_pts = format.find("mp4") != format.npos || format.find("matroska") != format.npos;
  std::vector<ScannedPacket> packets;
  for (;;) {
    auto more = input.read(*packet);
    if (!more && !packets.empty() && more.error().code == Code::kCorruptInput)
      break;  // what was there is kept
    if (!more) return fail(std::move(more).error());
    if (!*more) break;
    if (packet->stream_index != stream.index) continue;
    if (static_cast<std::int64_t>(packets.size()) >= options.most_frames)
      return fail(Code::kLimitExceeded,
                  fmt::format("{}: more than {} frames", input.name(), options.most_frames));
    ScannedPacket scanned{
        packet->pts, packet->dts, packet->duration, (packet->flags & AV_PKT_FLAG_KEY) != 0, {}};
    if (scanned.dts == AV_NOPTS_VALUE && stored_times) scanned.dts = scanned.pts;
    const std::int64_t time = scanned.dts != AV_NOPTS_VALUE ? scanned.dts : scanned.pts;
    // These demuxers take what they seek to for a presentation time: a decode time would lead to the GOP
    // before.
    scanned.place.dts = seeks_by_pts && packet->pts != AV_NOPTS_VALUE ? packet->pts : time;
    scanned.place.position = seek_by_bytes ? packet->pos : -1;
    scanned.place.clock = repair.state();
    if (time != AV_NOPTS_VALUE) {
      const std::int64_t offset = repair.offset_for(time, packet->duration);
      if (scanned.pts != AV_NOPTS_VALUE) scanned.pts += offset;
      if (scanned.dts != AV_NOPTS_VALUE) scanned.dts += offset;
    }
    if (!stored_times && fields.is_second(*packet)) continue;
    // A keyframe that is not shown (before an edit's start) is still a place to begin.
    if (!is_shown(stream, *packet)) {
      if (!scanned.key) continue;
      scanned.duration = -1;
    }
    packets.push_back(scanned);
  }
  return packets;
}

// Where a format stores no presentation times: the n-th frame shown has the n-th smallest decode time.
void present_by_decode_times(std::vector<ScannedPacket>& packets) {
  std::vector<std::int64_t> times;
  for (const auto& p : packets)
    if (p.dts != AV_NOPTS_VALUE) times.push_back(p.dts);
  std::erase_if(packets, [](const auto& p) { return p.dts == AV_NOPTS_VALUE; });
  std::sort(times.begin(), times.end());
  for (std::size_t i = 0; i < packets.size(); ++i) packets[i].pts = times[i];
}

std::vector<std::int64_t> shown_times(const std::vector<ScannedPacket>& packets) {
  std::vector<std::int64_t> times;
  times.reserve(packets.size());
  for (const auto& p : packets)
    if (p.duration >= 0) times.push_back(p.pts);
  std::sort(times.begin(), times.end());
  return times;
}

std::int64_t last_step(const std::vector<ScannedPacket>& packets, const Timeline& timeline,
                       std::int64_t last_pts) {
  for (const auto& p : packets)
    if (p.pts == last_pts && p.duration > 0)
      return std::max<std::int64_t>(1, av_rescale(p.duration * timeline.clock.time_base.num,
                                                  timeline.clock.timescale, timeline.clock.time_base.den));
  const auto& pts = timeline.pts;
  if (pts.size() > 1) return pts.back() - pts[pts.size() - 2];
  return timeline.clock.timescale / 25;
}

// RFC 8216 section 4.3.4.2 declares the highest rate, and decoders must keep up with it.
Ratio highest_rate_of(const Timeline& timeline) {
  if (timeline.constant_rate()) return timeline.rate;
  std::int64_t step = timeline.end - timeline.pts.back();
  for (std::size_t i = 1; i < timeline.pts.size(); ++i)
    step = std::min(step, timeline.pts[i] - timeline.pts[i - 1]);
  step = std::max({step, timeline.clock.timescale / kHighestRate, std::int64_t{1}});
  const std::int64_t divisor = std::gcd(timeline.clock.timescale, step);
  return {timeline.clock.timescale / divisor, step / divisor};
}

std::int64_t reorder_of(const std::vector<ScannedPacket>& packets, const Timeline& timeline) {
  std::int64_t reorder = 0;
  std::size_t turn = 0;
  for (const auto& p : packets) {
    if (p.duration < 0) continue;
    if (turn < timeline.pts.size())
      reorder = std::max(reorder, timeline.pts[turn] - timeline.clock.tick(p.pts));
    ++turn;
  }
  return reorder;
}

void add_keyframes(const std::vector<ScannedPacket>& packets, Timeline& timeline) {
  for (std::size_t i = 0; i < packets.size(); ++i) {
    if (!packets[i].key) continue;
    Keyframe keyframe = packets[i].place;
    keyframe.pts = timeline.clock.tick(packets[i].pts);
    for (std::size_t j = i + 1; j < packets.size() && !packets[j].key; ++j)
      if (packets[j].pts < packets[i].pts) keyframe.open = true;
    timeline.keyframes.push_back(keyframe);
  }
  std::stable_sort(timeline.keyframes.begin(), timeline.keyframes.end(),
                   [](const Keyframe& a, const Keyframe& b) { return a.pts < b.pts; });
}

}  // namespace

Result<Timeline> timeline_of(Picture picture, SourceClock clock, std::vector<ScannedPacket> packets,
                             std::span<const Ratio> rate_hints, const std::string& name) {
  const auto without_pts =
      std::count_if(packets.begin(), packets.end(), [](const auto& p) { return p.pts == AV_NOPTS_VALUE; });
  if (2 * without_pts > static_cast<std::ptrdiff_t>(packets.size()))
    present_by_decode_times(packets);
  else
    std::erase_if(packets, [](const auto& p) { return p.pts == AV_NOPTS_VALUE; });

  std::vector<std::int64_t> times = shown_times(packets);
  const std::size_t all = times.size();
  times.erase(std::unique(times.begin(), times.end()), times.end());
  if (times.empty()) return fail(Code::kCorruptInput, fmt::format("{}: its video has no frames", name));

  Timeline timeline;
  timeline.picture = std::move(picture);
  timeline.clock = clock;
  timeline.clock.zero = times.front();
  timeline.dropped = static_cast<std::int64_t>(all - times.size());
  if (const auto grid = frame_grid(times, clock.time_base, rate_hints)) {
    timeline.rate = grid->rate;
    timeline.clock.timescale = exact_timescale(grid->rate);
    timeline.clock.frame_ticks = timeline.clock.timescale * grid->rate.den / grid->rate.num;
    // Program streams leave some frames without a time: they belong where there are gaps.
    const std::int64_t gaps = grid->position.back() + 1 - std::ssize(grid->position);
    if (gaps > 0 && gaps <= without_pts) {
      for (std::int64_t k = 0; k <= grid->position.back(); ++k)
        timeline.pts.push_back(k * timeline.clock.frame_ticks);
    } else {
      for (const std::int64_t k : grid->position) timeline.pts.push_back(k * timeline.clock.frame_ticks);
    }
  } else {
    for (const std::int64_t t : times) {
      const std::int64_t tick = timeline.clock.tick(t);
      if (timeline.pts.empty() || tick > timeline.pts.back())
        timeline.pts.push_back(tick);
      else
        ++timeline.dropped;
    }
  }
  timeline.end =
      timeline.pts.back() +
      (timeline.constant_rate() ? timeline.clock.frame_ticks : last_step(packets, timeline, times.back()));
  if (!timeline.constant_rate()) {
    const std::int64_t frames = static_cast<std::int64_t>(timeline.pts.size());
    const std::int64_t divisor =
        std::max<std::int64_t>(1, std::gcd(frames * timeline.clock.timescale, timeline.end));
    timeline.rate = {frames * timeline.clock.timescale / divisor, timeline.end / divisor};
  }
  timeline.highest_rate = highest_rate_of(timeline);
  add_keyframes(packets, timeline);
  timeline.reorder = reorder_of(packets, timeline);
  return timeline;
}

Result<Timeline> scan_timeline(const ByteSource& source, std::stop_token stop, const ScanOptions& options) {
  SPOOL_ASSIGN(av::Input described, av::Input::open(source, {stop, true}));
  return scan_timeline(source, described, std::move(stop), options);
}

Result<Timeline> scan_timeline(const ByteSource& source, av::Input& described, std::stop_token stop,
                               const ScanOptions& options) {
  const std::optional<int> index = pick_video_stream(*described.get());
  if (!index) return fail(Code::kUnsupported, fmt::format("{}: it has no video", source.name));
  SPOOL_ASSIGN(Picture picture, describe_picture(*described.get(), *index, source.name, options.most_pixels));

  // A second look from the start; where the container knows all times, without parsers and guesses.
  const bool mov = is_mov(*described.get());
  const bool stored_times = mov || is_matroska(*described.get());
  const auto hollow = std::make_shared<bool>(false);
  SPOOL_ASSIGN(av::Input input, av::Input::open(hollow_source(source, hollow), {stop, !stored_times}));
  if (static_cast<unsigned>(*index) >= input.get()->nb_streams)
    return fail(Code::kCorruptInput, fmt::format("{}: its streams change while it is read", source.name));
  if (stored_times) input.get()->flags |= AVFMT_FLAG_NOPARSE | AVFMT_FLAG_NOFILLIN;
  if (mov) {
    SPOOL_ASSIGN(const bool fragmented, has_fragments(source));
    *hollow = !fragmented;
  }
  const AVStream& stream = *input.get()->streams[*index];
  SourceClock clock;
  clock.time_base = {stream.time_base.num, stream.time_base.den};
  clock.jumps = (input.get()->iformat->flags & AVFMT_TS_DISCONT) != 0;
  SPOOL_ASSIGN(auto packets, scan_packets(input, stream, clock, clock.jumps, stored_times, options));
  const AVStream& told = *described.get()->streams[*index];
  const Ratio hints[] = {{told.avg_frame_rate.num, told.avg_frame_rate.den},
                         {told.r_frame_rate.num, told.r_frame_rate.den}};
  SPOOL_ASSIGN(Timeline timeline,
               timeline_of(std::move(picture), clock, std::move(packets), hints, source.name));
  timeline.format = described.get()->iformat->name;
  return timeline;
}

}  // namespace spool::media
