#include "media/remux.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "av/input.h"
#include "media/nal.h"

namespace spool::media {
namespace {

constexpr int kIdr = 5, kSps = 7, kPps = 8;

struct Obstacle {
  std::string words;
};

std::span<const std::byte> bytes_of(const std::uint8_t* data, int size) {
  return std::as_bytes(std::span(data, static_cast<std::size_t>(std::max(size, 0))));
}

// The NAL units of a length-prefixed sample. nullopt: lengths that do not fit.
std::optional<std::vector<std::span<const std::byte>>> units_of(std::span<const std::byte> sample) {
  std::vector<std::span<const std::byte>> units;
  while (!sample.empty()) {
    if (sample.size() < 4) return std::nullopt;
    std::size_t length = 0;
    for (std::size_t i = 0; i < 4; ++i) length = length << 8 | std::to_integer<std::size_t>(sample[i]);
    if (length > sample.size() - 4) return std::nullopt;
    if (length > 0) units.push_back(sample.subspan(4, length));
    sample = sample.subspan(4 + length);
  }
  return units;
}

int type_of(std::span<const std::byte> unit) {
  return std::to_integer<int>(unit[0]) & 0x1f;
}

bool contains(std::span<const std::byte> whole, std::span<const std::byte> part) {
  return std::ranges::search(whole, part).begin() != whole.end();
}

// What a keyframe's packet is: an IDR whose in-band parameter sets are those of the init segment.
std::string keyframe_obstacle(std::span<const std::byte> sample, std::span<const std::byte> configuration) {
  const auto units = units_of(sample);
  if (!units) return "its frames are not stored with lengths of four bytes";
  bool idr = false;
  for (const auto& unit : *units) {
    const int type = type_of(unit);
    idr = idr || type == kIdr;
    if ((type == kSps || type == kPps) && !contains(configuration, unit))
      return "its parameter sets change within the film";
  }
  return idr ? "" : "a keyframe of it is no IDR";
}

std::string codec_obstacle(const AVStream& stream, const Timeline& timeline) {
  const AVCodecParameters& codec = *stream.codecpar;
  const Picture& picture = timeline.picture;
  if (codec.codec_id != AV_CODEC_ID_H264)
    return fmt::format("it is {}, not H.264", avcodec_get_name(codec.codec_id));
  if (codec.format != AV_PIX_FMT_YUV420P && codec.format != AV_PIX_FMT_YUVJ420P)
    return "it is not 4:2:0 with 8 bits";
  if (picture.rotation != 0 || picture.mirrored) return "it is not upright";
  if (picture.sample_aspect.num != picture.sample_aspect.den && picture.sample_aspect.num != 0)
    return "its pixels are not square";
  if (picture.interlaced) return "it is interlaced";
  if (picture.width % 2 != 0 || picture.height % 2 != 0) return "its size is odd";
  if (codec.extradata_size < 7 || codec.extradata[0] != 1)
    return "its parameter sets are not in the container";
  if ((codec.extradata[4] & 3) != 3) return "its frames are not stored with lengths of four bytes";
  if ((codec.extradata[5] & 0x1f) != 1) return "it has several SPS";
  if (timeline.dropped > 0) return "some of its frames have the same time";
  if (timeline.clock.origin != 0) return "only a part of it is wanted";
  if (timeline.clock.jumps) return "its clock may jump";
  return "";
}

// Borders among the closed keyframes: the first at or behind the wanted length, never further than the
// longest.
std::vector<std::int64_t> choose_borders(const Timeline& timeline, const RemuxRules& rules) {
  const auto ticks = [&](double seconds) {
    return static_cast<std::int64_t>(seconds * double(timeline.clock.timescale));
  };
  std::vector<std::int64_t> candidates;
  for (const Keyframe& k : timeline.keyframes)
    if (!k.open && k.pts >= 0 && k.pts < timeline.end) candidates.push_back(k.pts);
  if (candidates.empty() || candidates.front() != 0) return {};
  std::vector<std::int64_t> borders{0};
  // A hair of slack: IDRs every 4 s of a film at a 1001 rate are no reason for segments of 8 s.
  while (timeline.end - borders.back() > ticks(rules.longest_seconds) ||
         candidates.back() - borders.back() >= ticks(rules.segment_seconds * 0.95)) {
    std::int64_t chosen = -1;
    for (auto at = std::ranges::upper_bound(candidates, borders.back()); at != candidates.end(); ++at) {
      if (*at - borders.back() > ticks(rules.longest_seconds)) break;
      chosen = *at;
      if (chosen - borders.back() >= ticks(rules.segment_seconds * 0.95)) break;
    }
    if (chosen < 0) return {};
    borders.push_back(chosen);
  }
  return borders;
}

// Largest rate of any segment, from the index where it is complete (MP4), else the film's mean.
std::int64_t peak_rate(const AVStream& stream, std::uint64_t file_bytes, const Timeline& timeline,
                       const std::vector<std::int64_t>& borders) {
  const double whole = double(timeline.end) / double(timeline.clock.timescale);
  const int entries = avformat_index_get_entries_count(&stream);
  if (static_cast<std::size_t>(entries) < timeline.pts.size())
    return static_cast<std::int64_t>(8.0 * double(file_bytes) / std::max(whole, 0.1));
  std::vector<std::int64_t> bytes(borders.size());
  std::size_t segment = 0;
  for (int i = 0; i < entries; ++i) {
    const AVIndexEntry* entry = avformat_index_get_entry(const_cast<AVStream*>(&stream), i);
    // By order: decode times are not far from pts, and closed GOPs hold all of theirs.
    const std::int64_t tick = timeline.clock.tick(entry->timestamp);
    while (segment + 1 < borders.size() && tick >= borders[segment + 1]) ++segment;
    bytes[segment] += entry->size;
  }
  double peak = 0;
  for (std::size_t i = 0; i < borders.size(); ++i) {
    const std::int64_t end = i + 1 < borders.size() ? borders[i + 1] : timeline.end;
    const double seconds = double(end - borders[i]) / double(timeline.clock.timescale);
    if (seconds > 0.5) peak = std::max(peak, 8.0 * double(bytes[i]) / seconds);
  }
  return static_cast<std::int64_t>(peak);
}

bool edited_inside(const AVStream& stream) {
  for (int i = 0; i < avformat_index_get_entries_count(&stream); ++i) {
    if ((avformat_index_get_entry(const_cast<AVStream*>(&stream), i)->flags & AVINDEX_DISCARD_FRAME) != 0)
      return true;
  }
  return false;
}

// A frame cannot be shown earlier than that many places before its turn to be decoded.
std::int64_t reorder_shift(const Timeline& timeline, int delay) {
  const auto places = static_cast<std::size_t>(std::max(delay, 0));
  std::int64_t shift = 0;
  for (std::size_t i = places; i < timeline.pts.size(); ++i)
    shift = std::max(shift, timeline.pts[i] - timeline.pts[i - places]);
  return shift;
}

Result<std::string> borders_obstacle(av::Input& input, const Timeline& timeline,
                                     const std::vector<std::int64_t>& borders) {
  const AVStream& stream = *input.get()->streams[timeline.picture.stream];
  const auto packet = av::make_packet();
  for (const std::int64_t border : borders) {
    // libavformat's MP4 and Matroska demuxers seek by presentation times.
    SPOOL_TRY(input.seek(timeline.picture.stream, timeline.clock.source_pts(border)));
    do {
      SPOOL_ASSIGN(const bool more, input.read(*packet));
      if (!more) return "its index does not lead to its keyframes";
    } while (packet->stream_index != timeline.picture.stream);
    if (timeline.clock.tick(packet->pts) != border) return "its index does not lead to its keyframes";
    std::string obstacle =
        keyframe_obstacle(bytes_of(packet->data, packet->size),
                          bytes_of(stream.codecpar->extradata, stream.codecpar->extradata_size));
    if (!obstacle.empty()) return obstacle;
  }
  return "";
}

void only_stream(AVFormatContext& format, int wanted) {
  for (int i = 0; i < static_cast<int>(format.nb_streams); ++i)
    format.streams[i]->discard = i == wanted ? AVDISCARD_DEFAULT : AVDISCARD_ALL;
}

// The packets of one segment, in decode order, until its bytes are written.
class OpenSegment {
 public:
  void add(av::Packet packet, std::int64_t pts, bool idr) {
    views_.push_back({pts, 0, 0, idr, bytes_of(packet->data, packet->size)});
    packets_.push_back(std::move(packet));
  }
  [[nodiscard]] bool empty() const { return views_.empty(); }

  Result<Segment> close(const CmafTrack& track, std::uint32_t sequence, std::int64_t end) {
    std::vector<std::int64_t> sorted;
    for (const auto& view : views_) sorted.push_back(view.pts);
    std::ranges::sort(sorted);
    for (std::size_t i = 0; i < views_.size(); ++i) {
      SampleView& view = views_[i];
      view.dts = sorted[i] - track.shift;
      const auto next = std::ranges::upper_bound(sorted, view.pts);
      view.duration = (next == sorted.end() ? end : *next) - view.pts;
      if (view.pts < view.dts || view.duration <= 0)
        return fail(Code::kUnsupported, fmt::format("the frame at tick {} is out of its order", view.pts));
    }
    auto segment = cmaf_segment(track, true, sequence, views_);
    views_.clear();
    packets_.clear();
    return segment;
  }

 private:
  std::vector<av::Packet> packets_;
  std::vector<SampleView> views_;
};

bool is_idr(std::span<const std::byte> sample) {
  const auto units = units_of(sample);
  return units && std::ranges::any_of(*units, [](const auto& unit) { return type_of(unit) == kIdr; });
}

}  // namespace

Result<RemuxPlan> plan_remux(ByteSource source, const Timeline& timeline, const RemuxRules& rules,
                             std::stop_token stop) {
  RemuxPlan plan;
  const std::uint64_t file_bytes = source.size;
  if (timeline.format.find("mp4") == std::string::npos &&
      timeline.format.find("matroska") == std::string::npos) {
    plan.obstacle = fmt::format("it is {}, not MP4 or Matroska", timeline.format);
    return plan;
  }
  SPOOL_ASSIGN(auto input, av::Input::open(std::move(source), {.stop = stop}));
  const AVStream& stream = *input.get()->streams[timeline.picture.stream];
  only_stream(*input.get(), timeline.picture.stream);
  plan.obstacle = codec_obstacle(stream, timeline);
  if (plan.fits() && edited_inside(stream)) plan.obstacle = "an edit lies inside a GOP";
  if (!plan.fits()) return plan;
  plan.borders = choose_borders(timeline, rules);
  if (plan.borders.empty()) {
    plan.obstacle = fmt::format("its closed IDRs are further apart than {} s", rules.longest_seconds);
    return plan;
  }
  plan.peak_bits_per_second = peak_rate(stream, file_bytes, timeline, plan.borders);
  if (rules.max_bits_per_second > 0 && plan.peak_bits_per_second > rules.max_bits_per_second) {
    plan.obstacle = fmt::format("its peak of {} kbit/s is above the rung's {}",
                                plan.peak_bits_per_second / 1000, rules.max_bits_per_second / 1000);
    return plan;
  }
  plan.shift = reorder_shift(timeline, std::max(timeline.picture.delay, stream.codecpar->video_delay));
  SPOOL_ASSIGN(plan.obstacle, borders_obstacle(input, timeline, plan.borders));
  return plan;
}

RemuxTask remux_task(const RemuxPlan& plan, const Timeline& timeline) {
  return {timeline.picture.stream, timeline.clock, plan.borders, timeline.end, plan.shift, "und"};
}

Result<void> remux_video(ByteSource source, const RemuxTask& task, const RemuxSink& sink,
                         std::stop_token stop) {
  const std::string name = source.name;
  SPOOL_ASSIGN(auto input, av::Input::open(std::move(source), {.stop = stop}));
  if (task.borders.empty() || task.stream < 0 || task.stream >= static_cast<int>(input.get()->nb_streams))
    return fail(Code::kInvalidArgument, fmt::format("{}: no stream {} to remux", name, task.stream));
  only_stream(*input.get(), task.stream);
  const AVCodecParameters& codec = *input.get()->streams[task.stream]->codecpar;
  const CmafTrack track{.timescale = static_cast<std::uint32_t>(task.clock.timescale),
                        .language = task.language,
                        .shift = task.shift};
  SPOOL_ASSIGN(const Bytes init, cmaf_init_segment(codec, track));
  SPOOL_ASSIGN(const std::string codecs, codec_string(codec));
  SPOOL_TRY(sink.init(init, codecs));

  OpenSegment open;
  std::size_t index = 0;
  std::uint32_t sequence = 1;
  const auto end_of = [&](std::size_t i) {
    return i + 1 < task.borders.size() ? task.borders[i + 1] : task.end;
  };
  const auto deliver = [&]() -> Result<void> {
    SPOOL_ASSIGN(const Segment segment, open.close(track, sequence, end_of(index)));
    sequence += static_cast<std::uint32_t>(segment.fragments.size());
    if (sink.progress) sink.progress(double(end_of(index)) / double(task.end));
    return sink.segment(index++, segment);
  };
  for (;;) {
    auto packet = av::make_packet();
    SPOOL_ASSIGN(const bool more, input.read(*packet));
    if (!more) break;
    if (packet->stream_index != task.stream) continue;
    const std::int64_t pts = packet->pts == AV_NOPTS_VALUE ? -1 : task.clock.tick(packet->pts);
    const bool discarded = (packet->flags & AV_PKT_FLAG_DISCARD) != 0;
    if (pts < 0 || pts >= task.end || discarded ||
        av_packet_get_side_data(packet.get(), AV_PKT_DATA_NEW_EXTRADATA, nullptr))
      return fail(Code::kUnsupported, fmt::format("{}: the frame at tick {} cannot be remuxed", name, pts));
    const bool idr = (packet->flags & AV_PKT_FLAG_KEY) != 0 && is_idr(bytes_of(packet->data, packet->size));
    if (!open.empty() && pts >= end_of(index)) {
      if (!idr || pts != end_of(index))
        return fail(Code::kUnsupported,
                    fmt::format("{}: no IDR at the border at tick {}", name, end_of(index)));
      SPOOL_TRY(deliver());
    }
    open.add(std::move(packet), pts, idr);
  }
  if (open.empty() || index + 1 != task.borders.size())
    return fail(Code::kCorruptInput, fmt::format("{}: ends before its last segment", name));
  return deliver();
}

}  // namespace spool::media
