// transcode, first phase: looks at the source, plans everything, fans out. Runs in a sandboxed child.
#include <fmt/format.h>

#include <algorithm>

#include "av/input.h"
#include "media/ladder.h"
#include "media/plan.h"
#include "media/timeline.h"
#include "steps/transcode.h"
#include "steps/transcode_shapes.h"

namespace spool::steps {
namespace {

using media::Rendition;

struct AudioTrack {
  int stream = 0;
  std::string language = "und";
  std::string title;
  bool is_default = false;
};

struct Found {
  bool video = false;
  std::vector<AudioTrack> audio;
};

constexpr std::size_t kMostAudioTracks = 16;

std::string tag(const AVDictionary* metadata, const char* key) {
  const AVDictionaryEntry* entry = av_dict_get(metadata, key, nullptr, 0);
  return entry == nullptr ? "" : entry->value;
}

// Three letters or nothing: it becomes part of a folder's name.
std::string language_of(const AVStream& stream) {
  const std::string language = tag(stream.metadata, "language");
  const bool plain = language.size() == 3 && std::all_of(language.begin(), language.end(),
                                                         [](char c) { return c >= 'a' && c <= 'z'; });
  return plain ? language : "und";
}

Result<Found> look(const ByteSource& source, std::stop_token stop) {
  av::OpenOptions options;
  options.stop = std::move(stop);
  SPOOL_ASSIGN(const av::Input input, av::Input::open(source, options));
  Found found;
  found.video = media::pick_video_stream(*input.get()).has_value();
  for (unsigned i = 0; i < input.get()->nb_streams; ++i) {
    const AVStream& stream = *input.get()->streams[i];
    if (stream.codecpar->codec_type != AVMEDIA_TYPE_AUDIO || stream.codecpar->codec_id == AV_CODEC_ID_NONE)
      continue;
    if (found.audio.size() == kMostAudioTracks) break;
    found.audio.push_back({static_cast<int>(i), language_of(stream), tag(stream.metadata, "title"),
                           (stream.disposition & AV_DISPOSITION_DEFAULT) != 0});
  }
  // One default, the first that says so.
  const auto chosen =
      std::find_if(found.audio.begin(), found.audio.end(), [](const AudioTrack& t) { return t.is_default; });
  const auto first = chosen == found.audio.end() ? found.audio.begin() : chosen;
  for (auto it = found.audio.begin(); it != found.audio.end(); ++it) it->is_default = it == first;
  if (!found.video && found.audio.empty())
    return fail(Code::kUnsupported,
                fmt::format("{}: there is no video and no audio in it that can be decoded", source.name));
  return found;
}

struct Planner {
  const Json& args;
  media::Ladder ladder;
  TranscodePlan plan;
  std::vector<NewJob> children;
  std::vector<double> borders;  // of segments, seconds
  double audio_weight = 0;
  std::optional<double> begin_seconds;  // of the film on the source's clock

  NewJob child(std::string kind, std::string name, Json child_args, double weight) const {
    NewJob job;
    job.kind = std::move(kind);
    job.name = std::move(name);
    child_args["input"] = args.at("input");
    job.args = std::move(child_args);
    job.weight = weight;
    return job;
  }

  Result<void> video(const ByteSource& source, std::stop_token stop) {
    SPOOL_ASSIGN(const media::Timeline timeline, media::scan_timeline(source, std::move(stop)));
    media::PlanOptions options;
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
    for (const media::PlannedRung& rung : film.film.rungs)
      plan.renditions.push_back(video_rendition(film, rung));
    double total = 0;
    for (const media::Chunk& chunk : film.chunks) total += add_chunk(film, chunk, scale);
    audio_weight = 0.03 * total;
    return {};
  }

  static Rendition video_rendition(const media::FilmPlan& film, const media::PlannedRung& rung) {
    Rendition r;
    r.kind = Rendition::Kind::kVideo;
    r.name = rung.rung.name;
    r.timescale = static_cast<std::uint32_t>(film.film.clock.timescale);
    r.width = rung.size.width;
    r.height = rung.size.height;
    r.frame_rate = {static_cast<int>(film.film.rate.num), static_cast<int>(film.film.rate.den)};
    r.bandwidth_bound = rung.rung.max_bits_per_second;
    return r;
  }

  double add_chunk(const media::FilmPlan& film, const media::Chunk& chunk, double scale) {
    double pixels = 0;
    for (const int rung : chunk.rungs) {
      const media::Size size = film.film.rungs[static_cast<std::size_t>(rung)].size;
      pixels += static_cast<double>(size.width) * size.height;
    }
    // Segments of the lowest rung are the film's: every segment is in exactly one chunk with that rung.
    if (!chunk.rungs.empty() && chunk.rungs.back() + 1 == static_cast<int>(film.film.rungs.size()))
      for (const media::PlannedSegment& s : chunk.segments)
        borders.push_back(static_cast<double>(s.pts) / scale);
    const double weight = static_cast<double>(chunk.frames) * pixels / 1e6;
    children.push_back(child("transcode.chunk", fmt::format("chunk-{:05}", chunk.index),
                             {{"task", media::to_json(media::ChunkTask{film.film, chunk})}}, weight));
    return weight;
  }

  std::string audio_name(const AudioTrack& track) const {
    const std::string base = "audio-" + track.language;
    std::string name = base;
    for (int n = 2; std::any_of(plan.renditions.begin(), plan.renditions.end(),
                                [&](const auto& r) { return r.name == name; });
         ++n)
      name = fmt::format("{}-{}", base, n);
    return name;
  }

  // Beside the first chunk, for playing begins when both are there.
  void audio(const AudioTrack& track) {
    Rendition r;
    r.kind = Rendition::Kind::kAudio;
    r.name = audio_name(track);
    r.timescale = 48000;
    r.language = track.language;
    r.label = track.title.substr(0, 100);
    r.is_default = track.is_default;
    r.channels = 2;
    r.sample_rate = 48000;
    r.bandwidth_bound = 2 * ladder.audio_bits_per_second;
    Json task = {{"name", r.name},
                 {"stream", track.stream},
                 {"bits_per_second", ladder.audio_bits_per_second},
                 {"keep_channels", args.value("surround", false)},
                 {"language", track.language},
                 {"cut", args.contains("end")},
                 {"borders", borders},
                 {"segment_seconds", ladder.segment_seconds}};
    if (begin_seconds) {
      task["begin_seconds"] = *begin_seconds;
      task["film_seconds"] = plan.seconds;
    }
    NewJob job = child("transcode.audio", r.name, std::move(task), std::max(audio_weight, 1.0));
    const auto after_first = children.begin() + (children.empty() ? 0 : 1);
    children.insert(track.is_default ? after_first : children.end(), std::move(job));
    plan.renditions.push_back(std::move(r));
  }
};

Result<FanOut> run(Attempt& attempt) {
  const Claim& claim = attempt.claim();
  SPOOL_ASSIGN(const ByteSource source,
               attempt.open_input(claim.args.at("input").get_ref<const std::string&>()));
  SPOOL_ASSIGN(const Found found, look(source, attempt.stop_token()));
  SPOOL_ASSIGN(media::Ladder ladder, media::ladder_from_json(claim.args.at("ladder")));
  Planner planner{claim.args, std::move(ladder), {}, {}, {}, 0, {}};
  if (found.video) {
    SPOOL_TRY(planner.video(source, attempt.stop_token()));
  } else {
    planner.plan.notes.push_back("there is no video: only audio was made");
    planner.plan.target_seconds = static_cast<int>(planner.ladder.segment_seconds + 0.5);
    if (claim.args.contains("start") || claim.args.contains("end"))
      return fail(Code::kUnsupported, fmt::format("{}: a film without video cannot be trimmed", source.name));
  }
  for (const AudioTrack& track : found.audio) planner.audio(track);
  SPOOL_TRY(attempt.checkpoint(to_json(planner.plan)));
  return FanOut{std::move(planner.children), "assemble", false};
}

}  // namespace

Ending plan_transcode(Attempt& attempt) {
  auto fan_out = run(attempt);
  if (fan_out) return std::move(*fan_out);
  if (disposition(fan_out.error().code) == Disposition::kGiveUp) return Failed{std::move(fan_out).error()};
  return RetryLater{std::move(fan_out).error(), {}};
}

}  // namespace spool::steps
