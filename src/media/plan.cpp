#include "media/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <span>

namespace spool::media {
namespace {

constexpr int kReorderDepth = 2;          // of x264 and x265 with B-pyramids
constexpr std::int64_t kFilterReach = 3;  // frames that a deinterlacer looks around
constexpr double kFirstSeconds = 1;  // of the first GOP, where a GOP is much longer: playing waits for it

// Costs, in units of one frame encoded for all rungs.
constexpr double kPrerollFrame = 0.25;    // decoded for nothing, save what nothing refers to
constexpr double kChunkStart = 10;        // opening encoders; a rate control that knows nothing yet
constexpr double kOddSegment = 2;         // a segment of less than its length
constexpr double kLengthDeviation = 1.5;  // per squared GOP
constexpr double kIdleFrame = 0.3;        // of the last chunk: other cores have nothing left to do meanwhile

// Chunks that are encoded while other cores may have nothing to do.
constexpr std::size_t kFirstAlone = 2;
constexpr std::size_t kLastAlone = 3;

// Frames [first, last) of the film, all in one GOP; beside a remuxed rung, in one segment.
struct Gop {
  std::size_t first = 0;
  std::size_t last = 0;
};

struct Planner {
  std::span<const std::int64_t> pts;
  std::span<const std::int64_t> before;  // frames that a trim took off the start, on the film's clock
  std::int64_t end = 0;
  std::vector<Keyframe> keyframes;
  bool interlaced = false;
  bool given = false;  // `gops` are segments that a remuxed rung gives
  std::vector<Gop> gops;
  std::int64_t gop_ticks = 0;
  int gops_per_segment = 1;
  int gops_per_chunk = 4;

  [[nodiscard]] std::int64_t begin_of(std::size_t gop) const {
    return gop < gops.size() ? pts[gops[gop].first] : end;
  }
  // Of a frame, counted from the film's first; negative before a trim.
  [[nodiscard]] std::int64_t position(std::int64_t tick) const {
    if (!pts.empty() && tick >= pts.front())
      return std::lower_bound(pts.begin(), pts.end(), tick) - pts.begin();
    return std::lower_bound(before.begin(), before.end(), tick) - before.end();
  }
};

// A cell of the grid each, the first one cut in two at `split`.
std::vector<Gop> gops_of(std::span<const std::int64_t> pts, std::int64_t gop_ticks, std::int64_t split) {
  std::vector<Gop> gops;
  std::int64_t cell = -1;
  for (std::size_t i = 0; i < pts.size(); ++i) {
    const std::int64_t here = pts[i] < split ? -1 : pts[i] / gop_ticks;
    if (gops.empty() || here != cell) {
      gops.push_back({i, i});
      cell = here;
    }
    gops.back().last = i + 1;
  }
  return gops;
}

std::vector<Gop> segments_between(std::span<const std::int64_t> pts, std::span<const std::int64_t> borders) {
  std::vector<Gop> segments;
  for (std::size_t i = 0; i < borders.size(); ++i) {
    const auto place = [&](std::size_t border) {
      return border < borders.size()
                 ? static_cast<std::size_t>(std::lower_bound(pts.begin(), pts.end(), borders[border]) -
                                            pts.begin())
                 : pts.size();
    };
    segments.push_back({place(i), place(i + 1)});
  }
  return segments;
}

// The latest place from which every frame at and after `frame` can be decoded.
const Keyframe* seek_for(const Planner& p, std::size_t frame) {
  if (p.interlaced) frame -= std::min<std::size_t>(frame, kFilterReach);
  const auto after = std::upper_bound(p.keyframes.begin(), p.keyframes.end(), p.pts[frame],
                                      [](std::int64_t t, const Keyframe& k) { return t < k.pts; });
  return after == p.keyframes.begin() ? nullptr : &*std::prev(after);
}

std::int64_t preroll_of(const Planner& p, std::size_t frame) {
  const Keyframe* keyframe = seek_for(p, frame);
  return static_cast<std::int64_t>(frame) -
         (keyframe != nullptr ? p.position(keyframe->pts) : -std::ssize(p.before));
}

// Where chunks begin: the cheapest cut of the GOPs after the first one.
std::vector<std::size_t> cut(const Planner& p) {
  const std::size_t count = p.gops.size();
  const std::size_t longest = static_cast<std::size_t>(p.gops_per_chunk) * 3 / 2;
  std::vector<double> cost(count + 1, std::numeric_limits<double>::infinity());
  std::vector<std::size_t> next(count + 1, count);
  cost[count] = 0;
  for (std::size_t a = count; a-- > 1;) {
    const double start = kChunkStart + kPrerollFrame * static_cast<double>(preroll_of(p, p.gops[a].first));
    for (std::size_t length = 1; length <= std::min(count - a, longest); ++length) {
      const double off = static_cast<double>(length) - p.gops_per_chunk;
      const double odd = length % static_cast<std::size_t>(p.gops_per_segment) != 0 ? kOddSegment : 0;
      const bool last = a + length == count;
      const double shape = last ? kIdleFrame * static_cast<double>(p.gops[count - 1].last - p.gops[a].first)
                                : kLengthDeviation * off * off + odd;
      const double total = start + shape + cost[a + length];
      if (total < cost[a]) {
        cost[a] = total;
        next[a] = a + length;
      }
    }
  }
  std::vector<std::size_t> begins{0};
  for (std::size_t a = 1; a < count; a = next[a]) begins.push_back(a);
  begins.push_back(count);
  return begins;
}

// A GOP of the grid has one; a given segment is cut into equal parts.
void add_idrs(const Planner& p, std::size_t gop, std::vector<std::int64_t>& idrs) {
  const std::int64_t begin = p.begin_of(gop), length = p.begin_of(gop + 1) - begin;
  const std::int64_t parts =
      p.given ? std::max<std::int64_t>(1, (length + p.gop_ticks / 2) / p.gop_ticks) : 1;
  for (std::int64_t part = 0; part < parts; ++part) {
    const auto frame = std::lower_bound(p.pts.begin() + static_cast<std::ptrdiff_t>(p.gops[gop].first),
                                        p.pts.begin() + static_cast<std::ptrdiff_t>(p.gops[gop].last),
                                        begin + length * part / parts);
    if (frame - p.pts.begin() == static_cast<std::ptrdiff_t>(p.gops[gop].last)) break;
    if (idrs.empty() || *frame > idrs.back()) idrs.push_back(*frame);
  }
}

std::vector<PlannedSegment> segments_of(const Planner& p, std::size_t first, std::size_t last) {
  std::vector<PlannedSegment> segments;
  for (std::size_t g = first; g < last;) {
    const std::size_t stop = std::min(last, g + static_cast<std::size_t>(p.gops_per_segment));
    PlannedSegment segment{p.begin_of(g), p.begin_of(stop) - p.begin_of(g), {}};
    for (; g < stop; ++g) add_idrs(p, g, segment.idr);
    segments.push_back(std::move(segment));
  }
  return segments;
}

Chunk chunk_of(const Planner& p, std::size_t first_gop, std::size_t last_gop, std::int64_t frame_ticks) {
  Chunk chunk;
  const std::size_t first = p.gops[first_gop].first;
  const std::size_t last = p.gops[last_gop - 1].last;
  chunk.begin = p.pts[first];
  chunk.end = p.begin_of(last_gop);
  chunk.frames = static_cast<std::int64_t>(last - first);
  if (frame_ticks == 0 || chunk.end - chunk.begin != chunk.frames * frame_ticks)
    chunk.pts.assign(p.pts.begin() + static_cast<std::ptrdiff_t>(first),
                     p.pts.begin() + static_cast<std::ptrdiff_t>(last));
  chunk.preroll = preroll_of(p, first);
  if (const Keyframe* keyframe = seek_for(p, first)) chunk.seek = *keyframe;
  chunk.segments = segments_of(p, first_gop, last_gop);
  return chunk;
}

// The smallest constant by which decode times can precede: encoders reorder within a GOP, by kReorderDepth at
// most.
std::int64_t decode_shift(const Planner& p) {
  std::int64_t shift = 0;
  for (const Gop& gop : p.gops)
    for (std::size_t i = gop.first; i < gop.last; ++i)
      shift = std::max(
          shift,
          p.pts[i] - p.pts[std::max<std::size_t>(gop.first, i - std::min<std::size_t>(i, kReorderDepth))]);
  return shift;
}

// The first GOP twice: the lowest rung alone, so that playing can begin, and the others.
void add_chunks(const Planner& p, int remuxed, FilmPlan& plan) {
  std::vector<int> all(plan.film.rungs.size());
  std::iota(all.begin(), all.end(), 0);
  std::erase(all, remuxed);
  const std::vector<std::size_t> begins = cut(p);
  std::uint32_t fragment = 1;
  for (std::size_t i = 0; i + 1 < begins.size(); ++i) {
    Chunk chunk = chunk_of(p, begins[i], begins[i + 1], plan.film.clock.frame_ticks);
    chunk.first_segment = plan.segments;
    chunk.first_fragment = fragment;
    plan.segments += static_cast<int>(chunk.segments.size());
    for (const PlannedSegment& segment : chunk.segments) {
      plan.borders.push_back(segment.pts);
      fragment += static_cast<std::uint32_t>(segment.idr.size());
      const double seconds =
          static_cast<double>(segment.duration) / static_cast<double>(plan.film.clock.timescale);
      plan.target_duration = std::max(plan.target_duration, static_cast<int>(std::lround(seconds)));
    }
    const auto add = [&](Chunk part, std::vector<int> rungs) {
      part.index = static_cast<int>(plan.chunks.size());
      part.rungs = std::move(rungs);
      plan.chunks.push_back(std::move(part));
    };
    if (all.empty()) continue;
    if (i == 0 && all.size() > 1 && begins.size() > 2) {
      add(chunk, {all.back()});
      add(chunk, {all.begin(), std::prev(all.end())});
    } else {
      add(std::move(chunk), all);
    }
  }
  const auto count = plan.chunks.size();
  for (std::size_t i = 0; i < count; ++i) plan.chunks[i].alone = i < kFirstAlone || i + kLastAlone >= count;
}

// A GOP is what the ladder says, in whole frames; a chunk is a run of them. False: the remuxed rung does not
// fit.
bool lay_grid(const Ladder& ladder, const FilmPlan& plan, const PlanOptions& options, Planner& planner) {
  const SourceClock& clock = plan.film.clock;
  planner.gop_ticks =
      static_cast<std::int64_t>(std::ceil(ladder.gop_seconds * static_cast<double>(clock.timescale) - 0.5));
  if (clock.frame_ticks > 0)
    planner.gop_ticks = std::max<std::int64_t>(1, std::llround(ladder.gop_seconds * plan.film.rate.value())) *
                        clock.frame_ticks;
  double gop_seconds = ladder.gop_seconds;
  if (options.remuxed) {
    const std::vector<std::int64_t>& borders = options.remuxed->borders;
    planner.given = true;
    planner.gops = segments_between(planner.pts, borders);
    bool fits = !borders.empty() && borders.front() == planner.pts.front() && planner.before.empty() &&
                options.remuxed->rung >= 0 && options.remuxed->rung < std::ssize(plan.film.rungs);
    for (std::size_t i = 0; i < planner.gops.size(); ++i)
      fits = fits && planner.gops[i].first < planner.gops[i].last && planner.begin_of(i) == borders[i];
    if (!fits) return false;
    gop_seconds = static_cast<double>(planner.end) / static_cast<double>(clock.timescale) /
                  static_cast<double>(borders.size());
  } else {
    const auto first = static_cast<std::int64_t>(kFirstSeconds * static_cast<double>(clock.timescale));
    const bool splits = planner.gop_ticks >= first * 3 / 2 && planner.end > planner.gop_ticks;
    planner.gops = gops_of(planner.pts, planner.gop_ticks, splits ? first : 0);
    planner.gops_per_segment =
        std::max(1, static_cast<int>(std::lround(ladder.segment_seconds / ladder.gop_seconds)));
  }
  planner.gops_per_chunk =
      std::max(planner.gops_per_segment, static_cast<int>(std::lround(options.chunk_seconds / gop_seconds)));
  return true;
}

}  // namespace

std::vector<PlannedRung> planned_rungs(const Ladder& ladder, Size source) {
  std::vector<PlannedRung> rungs;
  for (const Rung& rung : rungs_for(ladder, source.width, source.height))
    rungs.push_back({rung, size_for(rung, source)});
  return rungs;
}

Result<FilmPlan> plan_film(const Timeline& timeline, const Ladder& ladder, Speed speed,
                           const PlanOptions& options) {
  FilmPlan plan;
  plan.film.picture = timeline.picture;
  plan.film.format = timeline.format;
  plan.film.clock = timeline.clock;
  plan.film.rate = timeline.rate;
  plan.film.highest_rate = timeline.highest_rate;
  plan.film.speed = speed;
  plan.film.rungs = planned_rungs(ladder, timeline.picture.shown());
  if (plan.film.rungs.empty()) return fail(Code::kInvalidArgument, "the ladder has no rungs");

  // A frame belongs to a trim when its time begins in it.
  const auto timescale = static_cast<double>(timeline.clock.timescale);
  const auto tick = [&](double seconds) {
    return static_cast<std::int64_t>(std::ceil(seconds * timescale - 0.5));
  };
  const auto first = std::lower_bound(timeline.pts.begin(), timeline.pts.end(), tick(options.from_seconds));
  const auto last = options.until_seconds
                        ? std::lower_bound(first, timeline.pts.end(), tick(*options.until_seconds))
                        : timeline.pts.end();
  if (first == last)
    return fail(
        Code::kInvalidArgument,
        fmt::format("nothing is left between {} s and {}: the video lasts {:.3f} s", options.from_seconds,
                    options.until_seconds ? fmt::format("{} s", *options.until_seconds) : "its end",
                    static_cast<double>(timeline.end) / timescale));
  const std::int64_t origin = *first;
  plan.film.clock.origin += origin;
  std::vector<std::int64_t> pts(timeline.pts.begin(), last);
  for (std::int64_t& t : pts) t -= origin;
  const auto skipped = static_cast<std::size_t>(first - timeline.pts.begin());

  Planner planner;
  planner.pts = std::span(pts).subspan(skipped);
  planner.before = std::span(pts).first(skipped);
  planner.end = (last == timeline.pts.end() ? timeline.end : *last) - origin;
  planner.keyframes = timeline.keyframes;
  for (Keyframe& keyframe : planner.keyframes) keyframe.pts -= origin;
  planner.interlaced = timeline.picture.interlaced;
  if (!lay_grid(ladder, plan, options, planner))
    return fail(Code::kInternal, "the remuxed rung's segments do not fit the film");
  plan.film.decode_shift = std::max(decode_shift(planner), options.remuxed ? options.remuxed->shift : 0);
  plan.frames = std::ssize(planner.pts);
  plan.duration = planner.end;
  plan.target_duration = std::max(1, static_cast<int>(std::lround(ladder.segment_seconds)));
  add_chunks(planner, options.remuxed ? options.remuxed->rung : -1, plan);
  return plan;
}

}  // namespace spool::media
