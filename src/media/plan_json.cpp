// ChunkTask and RemuxTask as a job's arguments. Frame times go as differences: a few bytes a frame, and none
// at a constant rate.
#include <fmt/format.h>

#include <algorithm>

#include "media/plan.h"
#include "media/remux.h"

namespace spool::media {
namespace {

Json to_json(Ratio ratio) {
  return {ratio.num, ratio.den};
}
Ratio ratio_from(const Json& j) {
  return {read_value<std::int64_t>(j.at(0)), read_value<std::int64_t>(j.at(1))};
}

Json to_json(const SourceClock& c) {
  return {{"time_base", to_json(c.time_base)}, {"zero", c.zero},     {"timescale", c.timescale},
          {"frame_ticks", c.frame_ticks},      {"origin", c.origin}, {"jumps", c.jumps}};
}
SourceClock clock_from(const Json& j) {
  SourceClock c;
  c.time_base = ratio_from(j.at("time_base"));
  read_value(j.at("zero"), c.zero);
  read_value(j.at("timescale"), c.timescale);
  read_value(j.at("frame_ticks"), c.frame_ticks);
  read_value(j.at("origin"), c.origin);
  read_value(j.at("jumps"), c.jumps);
  return c;
}

Json to_json(const Keyframe& k) {
  return {{"pts", k.pts},
          {"dts", k.dts},
          {"position", k.position},
          {"clock", {k.clock.offset, k.clock.last_dts, k.clock.started ? 1 : 0}},
          {"open", k.open}};
}
Keyframe keyframe_from(const Json& j) {
  Keyframe k;
  read_value(j.at("pts"), k.pts);
  read_value(j.at("dts"), k.dts);
  read_value(j.at("position"), k.position);
  const Json& clock = j.at("clock");
  k.clock = {read_value<std::int64_t>(clock.at(0)), read_value<std::int64_t>(clock.at(1)),
             read_value<int>(clock.at(2)) != 0};
  read_value(j.at("open"), k.open);
  return k;
}

Json differences(const std::vector<std::int64_t>& times, std::int64_t from) {
  Json list = Json::array();
  for (const std::int64_t t : times) {
    list.push_back(t - from);
    from = t;
  }
  return list;
}
std::vector<std::int64_t> times_from(const Json& list, std::int64_t from) {
  std::vector<std::int64_t> times;
  for (const Json& step : list) {
    if (__builtin_add_overflow(from, read_value<std::int64_t>(step), &from))
      throw Json::out_of_range::create(406, "a time is too large", &step);
    times.push_back(from);
  }
  return times;
}

Json to_json(const Chunk& c) {
  Json segments = Json::array();
  for (const PlannedSegment& s : c.segments)
    segments.push_back({{"pts", s.pts}, {"duration", s.duration}, {"idr", differences(s.idr, s.pts)}});
  return {{"index", c.index},
          {"rungs", c.rungs},
          {"begin", c.begin},
          {"end", c.end},
          {"frames", c.frames},
          {"pts", differences(c.pts, c.begin)},
          {"preroll", c.preroll},
          {"seek", c.seek ? to_json(*c.seek) : Json()},
          {"first_segment", c.first_segment},
          {"first_fragment", c.first_fragment},
          {"alone", c.alone},
          {"segments", std::move(segments)}};
}
Chunk chunk_from(const Json& j) {
  Chunk c;
  read_value(j.at("index"), c.index);
  read_value(j.at("rungs"), c.rungs);
  read_value(j.at("begin"), c.begin);
  read_value(j.at("end"), c.end);
  read_value(j.at("frames"), c.frames);
  c.pts = times_from(j.at("pts"), c.begin);
  read_value(j.at("preroll"), c.preroll);
  if (!j.at("seek").is_null()) c.seek = keyframe_from(j.at("seek"));
  read_value(j.at("first_segment"), c.first_segment);
  read_value(j.at("first_fragment"), c.first_fragment);
  read_value(j.at("alone"), c.alone);
  for (const Json& s : j.at("segments")) {
    PlannedSegment segment{
        read_value<std::int64_t>(s.at("pts")), read_value<std::int64_t>(s.at("duration")), {}};
    segment.idr = times_from(s.at("idr"), segment.pts);
    c.segments.push_back(std::move(segment));
  }
  return c;
}

Film film_from(const Json& j) {
  Film film;
  film.picture = picture_from_json(j.at("picture"));
  read_value(j.at("format"), film.format);
  film.clock = clock_from(j.at("clock"));
  film.rate = ratio_from(j.at("rate"));
  film.highest_rate = ratio_from(j.at("highest_rate"));
  film.speed = j.at("speed").get<std::string>() == "balanced" ? Speed::kBalanced : Speed::kFast;
  read_value(j.at("decode_shift"), film.decode_shift);
  return film;
}

bool makes_sense(const SourceClock& clock) {
  return clock.time_base.num > 0 && clock.time_base.den > 0 && clock.timescale > 0 && clock.frame_ticks >= 0;
}

// A task comes from a job's arguments: what would make the encoder wander is refused.
Result<void> check(const ChunkTask& task) {
  const auto wrong = [](std::string_view what) {
    return fail(Code::kInvalidArgument, fmt::format("chunk task: {} make no sense", what));
  };
  const Chunk& c = task.chunk;
  const SourceClock& clock = task.film.clock;
  if (!makes_sense(clock)) return wrong("clock");
  if (c.frames <= 0 || c.segments.empty() || c.end <= c.begin || c.segments.front().pts != c.begin)
    return wrong("frames");
  if (c.pts.empty() ? clock.frame_ticks <= 0 : static_cast<std::int64_t>(c.pts.size()) != c.frames)
    return wrong("frame times");
  if (c.rungs.empty()) return wrong("rungs");
  for (const int rung : c.rungs)
    if (rung < 0 || static_cast<std::size_t>(rung) >= task.film.rungs.size()) return wrong("rungs");
  for (const PlannedSegment& s : c.segments)
    if (s.idr.empty() || s.idr.front() != s.pts || s.duration <= 0) return wrong("segments");
  return {};
}

}  // namespace

Json to_json(const Film& film) {
  Json rungs = Json::array();
  for (const PlannedRung& r : film.rungs)
    rungs.push_back({{"rung", to_json(r.rung)}, {"width", r.size.width}, {"height", r.size.height}});
  return {{"picture", to_json(film.picture)},
          {"format", film.format},
          {"clock", to_json(film.clock)},
          {"rate", to_json(film.rate)},
          {"highest_rate", to_json(film.highest_rate)},
          {"speed", film.speed == Speed::kBalanced ? "balanced" : "fast"},
          {"decode_shift", film.decode_shift},
          {"rungs", std::move(rungs)}};
}

Json to_json(const ChunkTask& task) {
  return {{"film", to_json(task.film)}, {"chunk", to_json(task.chunk)}};
}

Result<Film> film_from_json(const Json& document) try {
  Film film = film_from(document);
  for (const Json& item : document.at("rungs")) {
    SPOOL_ASSIGN(Rung rung, rung_from_json(item.at("rung"), film.rungs.size()));
    film.rungs.push_back(
        {std::move(rung), {read_value<int>(item.at("width")), read_value<int>(item.at("height"))}});
  }
  return film;
} catch (const Json::exception& e) {
  return fail(Code::kInvalidArgument, fmt::format("film: {}", e.what()));
}

Result<ChunkTask> chunk_task_from_json(const Json& document) try {
  ChunkTask task;
  SPOOL_ASSIGN(task.film, film_from_json(document.at("film")));
  task.chunk = chunk_from(document.at("chunk"));
  SPOOL_TRY(check(task));
  return task;
} catch (const Json::exception& e) {
  return fail(Code::kInvalidArgument, fmt::format("chunk task: {}", e.what()));
}

Json to_json(const RemuxTask& task) {
  return {{"stream", task.stream},
          {"clock", to_json(task.clock)},
          {"borders", differences(task.borders, 0)},
          {"end", task.end},
          {"shift", task.shift},
          {"seek", task.seek},
          {"first_segment", task.first_segment},
          {"first_fragment", task.first_fragment},
          {"language", task.language}};
}

Result<RemuxTask> remux_task_from_json(const Json& document) try {
  RemuxTask task;
  read_value(document.at("stream"), task.stream);
  task.clock = clock_from(document.at("clock"));
  task.borders = times_from(document.at("borders"), 0);
  read_value(document.at("end"), task.end);
  read_value(document.at("shift"), task.shift);
  read_value(document.at("seek"), task.seek);
  read_value(document.at("first_segment"), task.first_segment);
  read_value(document.at("first_fragment"), task.first_fragment);
  read_value(document.at("language"), task.language);
  if (!makes_sense(task.clock) || task.borders.empty() || task.end <= task.borders.back() ||
      !std::ranges::is_sorted(task.borders) || task.shift < 0 || task.first_segment < 0 ||
      task.first_fragment == 0)
    return fail(Code::kInvalidArgument, "remux task: it makes no sense");
  return task;
} catch (const Json::exception& e) {
  return fail(Code::kInvalidArgument, fmt::format("remux task: {}", e.what()));
}

}  // namespace spool::media
