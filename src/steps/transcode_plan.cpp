// transcode, first phase: looks at the source, plans everything, fans out. Runs in a sandboxed child.
#include <fmt/format.h>

#include <algorithm>

#include "av/file_shape.h"
#include "base/utf8.h"
#include "media/ladder.h"
#include "media/plan.h"
#include "media/probe.h"
#include "media/timeline.h"
#include "steps/remux_choice.h"
#include "steps/source_tracks.h"
#include "steps/transcode.h"
#include "steps/transcode_shapes.h"

namespace spool::steps {
namespace {

using media::Rendition;

constexpr double kBitsOfSample = 8 * 16;  // in the boxes of a segment
constexpr double kBitsOfGop = 8 * 400;    // two moofs
constexpr int kMostChannels = 6;          // of the sound that is encoded
constexpr double kRemuxWeight = 0.2;      // of a second; a 720p second encoded at 25 fps weighs 23

struct Planner {
  const Json& args;
  media::Ladder ladder;
  TranscodePlan plan = {};
  std::vector<NewJob> children = {};
  std::vector<double> borders = {};  // of segments, seconds
  std::size_t early = 0;             // children that stand right behind the first
  bool remuxed = false;              // a rung of video is
  double audio_weight = 0;
  std::optional<double> begin_seconds = {};  // of the film on the source's clock
  double trimmed_seconds = 0;                // of the film, off its start

  NewJob child(std::string kind, std::string name, Json child_args, double weight) const {
    NewJob job;
    job.kind = std::move(kind);
    job.name = std::move(name);
    child_args["input"] = args.at("input");
    job.args = std::move(child_args);
    job.weight = weight;
    return job;
  }

  Result<void> video(const ByteSource& source, av::Input& input, std::stop_token stop) {
    SPOOL_ASSIGN(const media::Timeline timeline, media::scan_timeline(source, input, stop));
    media::PlanOptions options;
    SPOOL_ASSIGN(const RemuxChoice remux, choose_remux(source, timeline, ladder, args, std::move(stop)));
    options.remuxed = remux.rung;
    remuxed = remux.rung.has_value();
    if (!remux.note.empty()) plan.notes.push_back(remux.note);
    options.from_seconds = args.value("start", 0.0);
    if (args.contains("end")) options.until_seconds = args.at("end").get<double>();
    const auto speed =
        args.value("speed", "fast") == "balanced" ? media::Speed::kBalanced : media::Speed::kFast;
    SPOOL_ASSIGN(const media::FilmPlan film, media::plan_film(timeline, ladder, speed, options));
    const auto scale = static_cast<double>(film.film.clock.timescale);
    plan.segments = film.segments;
    plan.target_seconds = film.target_duration;
    plan.seconds = static_cast<double>(film.duration) / scale;
    plan.frames = film.frames;
    begin_seconds = film.film.clock.source_seconds(0);
    trimmed_seconds = static_cast<double>(film.film.clock.origin) / scale;
    for (const media::PlannedRung& rung : film.film.rungs)
      plan.renditions.push_back(video_rendition(film, rung));
    for (const std::int64_t border : film.borders) borders.push_back(static_cast<double>(border) / scale);
    std::vector<media::RemuxTask> stretches;
    if (remux.rung) stretches = media::remux_tasks(remux.plan, timeline, film.film.decode_shift);
    double total = 0;
    auto stretch = stretches.begin();
    for (const media::Chunk& chunk : film.chunks) {
      total += add_chunk(film, chunk);
      while (stretch != stretches.end() && stretch->borders.front() <= chunk.begin)
        add_stretch(film, *remux.rung, *stretch++);
    }
    while (stretch != stretches.end()) add_stretch(film, *remux.rung, *stretch++);
    audio_weight = 0.03 * total;
    return {};
  }

  void add_stretch(const media::FilmPlan& film, const media::RemuxedRung& rung,
                   const media::RemuxTask& stretch) {
    const std::string& name = film.film.rungs[static_cast<std::size_t>(rung.rung)].rung.name;
    const double seconds = static_cast<double>(stretch.end - stretch.borders.front()) /
                           static_cast<double>(film.film.clock.timescale);
    children.push_back(child("transcode.remux", fmt::format("{}-{:05}", name, stretch.first_segment),
                             {{"name", name}, {"task", media::to_json(stretch)}}, kRemuxWeight * seconds));
  }

  // With video, plan_film() knows better.
  Result<void> check_trim() const {
    if (!args.contains("end") || args.value("start", 0.0) < args["end"].get<double>()) return {};
    return fail(Code::kInvalidArgument, fmt::format("nothing is left between {} s and {} s",
                                                    args.value("start", 0.0), args["end"].get<double>()));
  }

  // No run of segments that is measured will be above it: what comes in meanwhile, what the buffer held (it
  // begins half full in each chunk), and the boxes around each frame.
  std::int64_t bandwidth_bound(const media::FilmPlan& film, const media::Rung& rung) const {
    const auto scale = static_cast<double>(film.film.clock.timescale);
    std::vector<int> chunk_begins;
    for (const media::Chunk& chunk : film.chunks) chunk_begins.push_back(chunk.first_segment);
    double buffers = 0;  // a second
    for (std::size_t from = 0; from < film.borders.size(); ++from) {
      double held = 1;
      for (std::size_t to = from; to < film.borders.size(); ++to) {
        const std::int64_t end = to + 1 < film.borders.size() ? film.borders[to + 1] : film.duration;
        const double seconds = static_cast<double>(end - film.borders[from]) / scale;
        if (seconds > media::kLongestRun * film.target_duration) break;
        if (to > from && std::ranges::binary_search(chunk_begins, static_cast<int>(to))) held += 0.5;
        const bool measured = seconds >= media::kShortestRun * film.target_duration;
        if (measured || film.borders.size() == 1) buffers = std::max(buffers, held / seconds);
      }
    }
    const double boxes = kBitsOfSample * film.film.highest_rate.value() + kBitsOfGop / ladder.gop_seconds;
    return static_cast<std::int64_t>(static_cast<double>(rung.max_bits_per_second) + boxes +
                                     buffers * static_cast<double>(rung.buffer_bits));
  }

  Rendition video_rendition(const media::FilmPlan& film, const media::PlannedRung& rung) const {
    Rendition r;
    r.kind = Rendition::Kind::kVideo;
    r.name = rung.rung.name;
    r.timescale = static_cast<std::uint32_t>(film.film.clock.timescale);
    r.width = rung.size.width;
    r.height = rung.size.height;
    const media::Ratio rate = film.film.highest_rate;
    r.frame_rate = {static_cast<int>(rate.num), static_cast<int>(rate.den)};
    r.bandwidth_bound = bandwidth_bound(film, rung.rung);
    return r;
  }

  double add_chunk(const media::FilmPlan& film, const media::Chunk& chunk) {
    double pixels = 0;
    for (const int rung : chunk.rungs) {
      const media::Size size = film.film.rungs[static_cast<std::size_t>(rung)].size;
      pixels += static_cast<double>(size.width) * size.height;
    }
    const double weight = static_cast<double>(chunk.frames) * pixels / 1e6;
    children.push_back(child("transcode.chunk", fmt::format("chunk-{:05}", chunk.index),
                             {{"task", media::to_json(media::ChunkTask{film.film, chunk})}}, weight));
    return weight;
  }

  std::string free_name(const std::string& base) const {
    std::string name = base;
    for (int n = 2; std::any_of(plan.renditions.begin(), plan.renditions.end(),
                                [&](const auto& r) { return r.name == name; });
         ++n)
      name = fmt::format("{}-{}", base, n);
    return name;
  }

  // Right behind the first chunk: playing begins when all that the master playlist names is there. `at_once`:
  // in front of the others there.
  void add_early(NewJob job, bool at_once = false) {
    const auto place = std::min<std::size_t>(children.size(), at_once ? 1 : 1 + early);
    ++early;
    children.insert(children.begin() + static_cast<std::ptrdiff_t>(place), std::move(job));
  }

  void audio(const AudioTrack& track) {
    Rendition r;
    r.kind = Rendition::Kind::kAudio;
    r.name = free_name("audio-" + track.language);
    r.timescale = 48000;
    r.language = track.language;
    r.label = track.title;
    r.is_default = track.is_default;
    r.channels = 2;
    r.sample_rate = 48000;
    r.bandwidth_bound = 2 * ladder.audio_bits_per_second;
    if (args.value("surround", false)) r.bandwidth_bound *= kMostChannels / 2;
    Json task = {{"name", r.name},
                 {"stream", track.stream},
                 {"bits_per_second", ladder.audio_bits_per_second},
                 {"keep_channels", args.value("surround", false)},
                 {"language", track.language},
                 {"cut", args.contains("end")},
                 {"borders", borders},
                 {"segment_seconds", ladder.segment_seconds},
                 {"remux", remux_wanted(args) && (plan.segments == 0 || remuxed)}};
    if (args.contains("loudness")) task["loudness"] = args["loudness"];
    if (begin_seconds) {
      task["begin_seconds"] = *begin_seconds;
      task["film_seconds"] = plan.seconds;
    } else {
      task["from_seconds"] = args.value("start", 0.0);
      if (args.contains("end")) task["until_seconds"] = args["end"];
    }
    NewJob job = child("transcode.audio", r.name, std::move(task), std::max(audio_weight, 1.0));
    add_early(std::move(job), track.is_default);
    plan.renditions.push_back(std::move(r));
  }

  // An embedded track that cannot be made stands there empty: it must not cost the film.
  void subtitles(const TextTrack& track, Json from, bool optional) {
    Rendition r;
    r.kind = Rendition::Kind::kSubtitles;
    r.name = free_name("subtitles-" + track.language);
    r.language = track.language;
    r.label = track.title;
    r.is_default = track.is_default;
    r.forced = track.forced;
    const Json input = from.contains("input") ? from["input"] : args.at("input");
    from.update({{"name", r.name}, {"borders", borders}, {"film_seconds", plan.seconds}});
    NewJob job = child("transcode.subtitles", r.name, std::move(from), 1);
    job.args["input"] = input;
    job.optional = optional;
    add_early(std::move(job));
    plan.renditions.push_back(std::move(r));
  }

  void all_subtitles(const std::vector<TextTrack>& embedded) {
    const Json given = args.value("subtitles", Json::array());
    if (plan.segments == 0) {
      if (!given.empty() || !embedded.empty())
        plan.notes.push_back("there is no video: subtitles were left out");
      return;
    }
    for (const TextTrack& track : embedded)
      subtitles(track, {{"stream", track.stream}, {"begin_seconds", begin_seconds.value_or(0)}}, true);
    for (const Json& file : given) {
      TextTrack track;
      track.language = file.value("language", "und");
      track.title = clean_text(file.value("label", ""), 100);
      subtitles(track, {{"input", file.at("input")}, {"trimmed_seconds", trimmed_seconds}}, false);
    }
  }
};

// Half a film must not pass for the film: its uploader can send it again.
Result<void> check_whole(const ByteSource& source) {
  SPOOL_ASSIGN(const std::uint64_t missing, av::missing_bytes(source));
  if (missing == 0) return {};
  return fail(Code::kCorruptInput,
              fmt::format("{}: the file is cut off: at least {} bytes of it are missing; upload it again (or "
                          "keep what is there by `ffmpeg -i FILE -c copy REST.mkv`)",
                          source.name, missing));
}

Result<FanOut> run(Attempt& attempt) {
  const Claim& claim = attempt.claim();
  SPOOL_ASSIGN(const ByteSource source,
               attempt.open_input(claim.args.at("input").get_ref<const std::string&>()));
  SPOOL_ASSIGN(av::Input input, av::Input::open(source, {attempt.stop_token()}));
  SPOOL_TRY(check_whole(source));
  SPOOL_ASSIGN(const SourceTracks found, find_tracks(source, input));
  SPOOL_ASSIGN(media::Ladder ladder, media::ladder_from_json(claim.args.at("ladder")));
  Planner planner{claim.args, std::move(ladder)};
  planner.plan.notes = found.notes;
  if (found.video) {
    SPOOL_TRY(planner.video(source, input, attempt.stop_token()));
  } else {
    planner.plan.notes.push_back("there is no video: only audio was made");
    planner.plan.target_seconds = static_cast<int>(planner.ladder.segment_seconds + 0.5);
    SPOOL_TRY(planner.check_trim());
  }
  for (const AudioTrack& track : found.audio) planner.audio(track);
  planner.all_subtitles(found.text);
  SPOOL_TRY(attempt.checkpoint(to_json(planner.plan)));
  return FanOut{std::move(planner.children), kAssemblePhase, false};
}

}  // namespace

Ending plan_transcode(Attempt& attempt) {
  auto fan_out = run(attempt);
  if (fan_out) return std::move(*fan_out);
  if (disposition(fan_out.error().code) == Disposition::kGiveUp) return Failed{std::move(fan_out).error()};
  return RetryLater{std::move(fan_out).error(), {}};
}

}  // namespace spool::steps
