#include "media/remux.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <set>

#include "av/input.h"
#include "media/nal.h"

namespace spool::media {
namespace {

constexpr int kIdr = 5, kSps = 7, kPps = 8;
constexpr std::uint8_t kProfiles[] = {66, 77, 100};  // Baseline, Main, High (ITU-T H.264 annex A)

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
  return std::search(whole.begin(), whole.end(), part.begin(), part.end()) != whole.end();
}

// A keyframe's in-band parameter sets are those of the init segment; at a border it is an IDR.
std::string keyframe_obstacle(const AVPacket& packet, const AVStream& stream, bool border) {
  const auto units = units_of(bytes_of(packet.data, packet.size));
  if (!units) return "its frames are not stored with lengths of four bytes";
  if (av_packet_get_side_data(&packet, AV_PKT_DATA_NEW_EXTRADATA, nullptr))
    return "its parameter sets change within the film";
  const auto configuration = bytes_of(stream.codecpar->extradata, stream.codecpar->extradata_size);
  bool idr = false;
  for (const auto& unit : *units) {
    const int type = type_of(unit);
    idr = idr || type == kIdr;
    if ((type == kSps || type == kPps) && !contains(configuration, unit))
      return "its parameter sets change within the film";
  }
  return idr || !border ? "" : "a keyframe of it is no IDR";
}

std::string codec_obstacle(const AVStream& stream, const Timeline& timeline) {
  const AVCodecParameters& codec = *stream.codecpar;
  const Picture& picture = timeline.picture;
  if (codec.codec_id != AV_CODEC_ID_H264)
    return fmt::format("it is {}, not H.264", avcodec_get_name(codec.codec_id));
  if (picture.format != "yuv420p" && picture.format != "yuvj420p") return "it is not 4:2:0 with 8 bits";
  if (picture.rotation != 0 || picture.mirrored) return "it is not upright";
  if (picture.sample_aspect.num != picture.sample_aspect.den && picture.sample_aspect.num != 0)
    return "its pixels are not square";
  if (picture.interlaced) return "it is interlaced";
  if (picture.width % 2 != 0 || picture.height % 2 != 0) return "its size is odd";
  if (codec.extradata_size < 7 || codec.extradata[0] != 1)
    return "its parameter sets are not in the container";
  if (!std::ranges::count(kProfiles, codec.extradata[1])) return "its H.264 profile is not played everywhere";
  if ((codec.extradata[4] & 3) != 3) return "its frames are not stored with lengths of four bytes";
  if ((codec.extradata[5] & 0x1f) != 1) return "it has several SPS";
  if (timeline.dropped > 0) return "some of its frames have the same time";
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

bool cut_off(const AVStream& stream, std::uint64_t file_bytes) {
  for (int i = 0; i < avformat_index_get_entries_count(&stream); ++i) {
    const AVIndexEntry* entry = avformat_index_get_entry(const_cast<AVStream*>(&stream), i);
    if (entry->pos < 0 ||
        static_cast<std::uint64_t>(entry->pos) + static_cast<std::uint64_t>(entry->size) > file_bytes)
      return true;
  }
  return false;
}

bool edited_inside(const AVStream& stream) {
  for (int i = 0; i < avformat_index_get_entries_count(&stream); ++i) {
    if ((avformat_index_get_entry(const_cast<AVStream*>(&stream), i)->flags & AVINDEX_DISCARD_FRAME) != 0)
      return true;
  }
  return false;
}

Result<std::string> keyframes_obstacle(av::Input& input, const Timeline& timeline,
                                       const std::vector<std::int64_t>& borders) {
  const AVStream& stream = *input.get()->streams[timeline.picture.stream];
  const auto packet = av::make_packet();
  for (const Keyframe& keyframe : timeline.keyframes) {
    SPOOL_TRY(input.seek(timeline.picture.stream, keyframe.dts));
    do {
      SPOOL_ASSIGN(const bool more, input.read(*packet));
      if (!more) return "its index does not lead to its keyframes";
    } while (packet->stream_index != timeline.picture.stream);
    if (packet->pts != keyframe.dts) return "its index does not lead to its keyframes";
    std::string obstacle =
        keyframe_obstacle(*packet, stream, std::ranges::binary_search(borders, keyframe.pts));
    if (!obstacle.empty()) return obstacle;
  }
  return "";
}

void only_stream(AVFormatContext& format, int wanted) {
  for (int i = 0; i < static_cast<int>(format.nb_streams); ++i)
    format.streams[i]->discard = i == wanted ? AVDISCARD_DEFAULT : AVDISCARD_ALL;
}

// As scan_timeline() reads: what the container says, without parsers and guesses.
Result<av::Input> open_stream(ByteSource source, int stream, std::stop_token stop) {
  const std::string name = source.name;
  SPOOL_ASSIGN(auto input,
               av::Input::open(std::move(source), {.stop = std::move(stop), .find_stream_info = false}));
  if (stream < 0 || stream >= static_cast<int>(input.get()->nb_streams))
    return fail(Code::kInvalidArgument, fmt::format("{}: no stream {} to remux", name, stream));
  input.get()->flags |= AVFMT_FLAG_NOPARSE | AVFMT_FLAG_NOFILLIN;
  only_stream(*input.get(), stream);
  return input;
}

bool is_idr(std::span<const std::byte> sample) {
  const auto units = units_of(sample);
  return units && std::ranges::any_of(*units, [](const auto& unit) { return type_of(unit) == kIdr; });
}

// Units that fit, begin with forbidden_zero_bit (ITU-T H.264 7.4.1), and hold a slice: types 1 to 5.
bool looks_whole(const AVPacket& packet) {
  const auto units = units_of(bytes_of(packet.data, packet.size));
  if ((packet.flags & AV_PKT_FLAG_CORRUPT) != 0 || !units) return false;
  const auto forbidden = [](const auto& unit) { return (std::to_integer<int>(unit[0]) & 0x80) != 0; };
  const auto slice = [](const auto& unit) { return type_of(unit) >= 1 && type_of(unit) <= kIdr; };
  return std::ranges::none_of(*units, forbidden) && std::ranges::any_of(*units, slice);
}

// The packets of one segment, in decode order, until its bytes are written.
class OpenSegment {
 public:
  void add(av::Packet packet, std::int64_t pts, bool idr) {
    views_.push_back({pts, 0, 0, idr, bytes_of(packet->data, packet->size)});
    if (!looks_whole(*packet)) damaged_.insert(pts);
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
    for (const std::int64_t pts : damaged_) {
      const auto next = std::ranges::upper_bound(sorted, pts);
      add_damaged_frame(damage_, pts, next == sorted.end() ? end : *next);
    }
    auto segment = cmaf_segment(track, true, sequence, views_);
    views_.clear();
    packets_.clear();
    damaged_.clear();
    return segment;
  }
  // Of all segments that were closed.
  std::vector<Damage> damage() && { return std::move(damage_); }

 private:
  std::vector<av::Packet> packets_;
  std::vector<SampleView> views_;
  std::set<std::int64_t> damaged_;
  std::vector<Damage> damage_;
};

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
  SPOOL_ASSIGN(auto input, open_stream(std::move(source), timeline.picture.stream, std::move(stop)));
  const AVStream& stream = *input.get()->streams[timeline.picture.stream];
  plan.obstacle = codec_obstacle(stream, timeline);
  if (plan.fits() && edited_inside(stream)) plan.obstacle = "an edit lies inside a GOP";
  if (plan.fits() && cut_off(stream, file_bytes)) plan.obstacle = "the file is cut off";
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
  SPOOL_ASSIGN(plan.obstacle, keyframes_obstacle(input, timeline, plan.borders));
  return plan;
}

std::vector<RemuxTask> remux_tasks(const RemuxPlan& plan, const Timeline& timeline, std::int64_t shift,
                                   double seconds) {
  const auto length = static_cast<std::int64_t>(seconds * double(timeline.clock.timescale));
  std::vector<RemuxTask> tasks;
  for (std::size_t i = 0; i < plan.borders.size(); ++i) {
    const std::int64_t border = plan.borders[i];
    if (tasks.empty() || border - tasks.back().borders.front() >= length) {
      RemuxTask task{timeline.picture.stream, timeline.clock, {}, timeline.end, shift};
      const auto keyframe = std::ranges::lower_bound(timeline.keyframes, border, {}, &Keyframe::pts);
      task.seek = keyframe->dts;
      task.first_segment = static_cast<int>(i);
      // A GOP has a frame at least: no number comes twice.
      task.first_fragment = static_cast<std::uint32_t>(std::ranges::lower_bound(timeline.pts, border) -
                                                       timeline.pts.begin() + 1);
      if (!tasks.empty()) tasks.back().end = border;
      tasks.push_back(std::move(task));
    }
    tasks.back().borders.push_back(border);
  }
  return tasks;
}

namespace {

// The packets of a stretch, one after the other, from its first border on.
class Stretch {
 public:
  static Result<Stretch> open(ByteSource source, const RemuxTask& task, std::stop_token stop) {
    Stretch stretch(task, source.name);
    SPOOL_ASSIGN(av::Input input, open_stream(std::move(source), task.stream, std::move(stop)));
    if (task.first_segment > 0) SPOOL_TRY(input.seek(task.stream, task.seek));
    stretch.input_ = std::make_unique<av::Input>(std::move(input));
    return stretch;
  }
  [[nodiscard]] const AVCodecParameters& codec() const {
    return *input_->get()->streams[task_->stream]->codecpar;
  }
  struct Frame {
    av::Packet packet;  // null: the end
    std::int64_t pts = 0;
    bool idr = false;
  };
  Result<Frame> next() {
    Frame frame{av::make_packet()};
    do {
      auto more = input_->read(*frame.packet);
      if (!more && more.error().code != Code::kCorruptInput) return fail(std::move(more).error());
      if (!more || !*more) return Frame{};  // the timeline, too, ends where nothing more can be read
    } while (frame.packet->stream_index != task_->stream);
    const AVPacket& packet = *frame.packet;
    frame.pts = packet.pts == AV_NOPTS_VALUE ? -1 : task_->clock.tick(packet.pts);
    frame.idr = (packet.flags & AV_PKT_FLAG_KEY) != 0 && is_idr(bytes_of(packet.data, packet.size));
    if (frame.idr && frame.pts == task_->end) return Frame{};
    if (frame.pts < task_->borders.front() || frame.pts >= task_->end ||
        (packet.flags & AV_PKT_FLAG_DISCARD) != 0 ||
        av_packet_get_side_data(&packet, AV_PKT_DATA_NEW_EXTRADATA, nullptr))
      return fail(Code::kUnsupported,
                  fmt::format("{}: the frame at tick {} cannot be remuxed", name_, frame.pts));
    return frame;
  }

 private:
  Stretch(const RemuxTask& task, std::string name) : task_(&task), name_(std::move(name)) {}
  const RemuxTask* task_;
  std::string name_;
  std::unique_ptr<av::Input> input_;
};

Result<void> begin(const Stretch& stretch, const RemuxTask& task, const CmafTrack& track,
                   const RemuxSink& sink) {
  if (task.first_segment > 0) return {};
  SPOOL_ASSIGN(const Bytes init, cmaf_init_segment(stretch.codec(), track));
  SPOOL_ASSIGN(const std::string codecs, codec_string(stretch.codec()));
  return sink.init(init, codecs);
}

}  // namespace

Result<std::vector<Damage>> remux_video(ByteSource source, const RemuxTask& task, const RemuxSink& sink,
                                        std::stop_token stop) {
  const std::string name = source.name;
  if (task.borders.empty() || task.end <= task.borders.back())
    return fail(Code::kInvalidArgument, fmt::format("{}: nothing to remux", name));
  SPOOL_ASSIGN(Stretch stretch, Stretch::open(std::move(source), task, std::move(stop)));
  const CmafTrack track{.timescale = static_cast<std::uint32_t>(task.clock.timescale),
                        .language = task.language,
                        .shift = task.shift};
  SPOOL_TRY(begin(stretch, task, track, sink));
  OpenSegment open;
  std::size_t index = 0;
  std::uint32_t sequence = task.first_fragment;
  const auto end_of = [&](std::size_t i) {
    return i + 1 < task.borders.size() ? task.borders[i + 1] : task.end;
  };
  const auto deliver = [&]() -> Result<void> {
    SPOOL_ASSIGN(const Segment segment, open.close(track, sequence, end_of(index)));
    sequence += static_cast<std::uint32_t>(segment.fragments.size());
    const std::int64_t begin = task.borders.front();
    if (sink.progress) sink.progress(double(end_of(index) - begin) / double(task.end - begin));
    return sink.segment(static_cast<std::size_t>(task.first_segment) + index++, segment);
  };
  for (;;) {
    SPOOL_ASSIGN(Stretch::Frame frame, stretch.next());
    if (!frame.packet) break;
    const std::int64_t border = open.empty() ? task.borders.front() : end_of(index);
    if (frame.pts >= border) {
      if (!frame.idr || frame.pts != border)
        return fail(Code::kUnsupported, fmt::format("{}: no IDR at the border at tick {}", name, border));
      if (!open.empty()) SPOOL_TRY(deliver());
    } else if (open.empty()) {
      return fail(Code::kUnsupported, fmt::format("{}: no IDR at the border at tick {}", name, border));
    }
    open.add(std::move(frame.packet), frame.pts, frame.idr);
  }
  if (open.empty() || index + 1 != task.borders.size())
    return fail(Code::kCorruptInput, fmt::format("{}: ends before its last segment", name));
  SPOOL_TRY(deliver());
  return std::move(open).damage();
}

}  // namespace spool::media
