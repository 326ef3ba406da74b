#include "steps/transcode_shapes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>

#include "base/utf8.h"
#include "media/probe.h"

namespace spool::steps {
namespace {

using media::Rendition;

constexpr int kMostSegments = 1 << 20;
constexpr std::int64_t kMostTicks = std::int64_t{1}
                                    << 42;    // of one segment, or bytes: a sum of 2^20 of them fits
constexpr double kLongestFilm = 1000 * 3600;  // seconds
constexpr std::size_t kMostNotes = 100;
constexpr std::size_t kMostDamage = 1000;  // stretches
constexpr double kMostFrames = 1e9;

std::string_view kind_name(Rendition::Kind kind) {
  switch (kind) {
    case Rendition::Kind::kVideo:
      return "video";
    case Rendition::Kind::kAudio:
      return "audio";
    case Rendition::Kind::kSubtitles:
      return "subtitles";
  }
  return "";
}

// Becomes a folder: nothing that could leave it, or hide in it.
bool plain_name(const std::string& name) {
  if (name.empty() || name.size() > 64) return false;
  for (const char c : name)
    if (!(std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_')) return false;
  return true;
}

Json to_json(const Rendition& r) {
  return {{"kind", kind_name(r.kind)},
          {"name", r.name},
          {"timescale", r.timescale},
          {"width", r.width},
          {"height", r.height},
          {"rate", {r.frame_rate.num, r.frame_rate.den}},
          {"bits", r.bandwidth_bound},
          {"language", r.language},
          {"label", r.label},
          {"default", r.is_default},
          {"forced", r.forced},
          {"channels", r.channels},
          {"sample_rate", r.sample_rate}};
}

Result<Rendition> rendition_from_json(const Json& value) {
  Rendition r;
  const std::string kind = value.at("kind");
  r.kind = kind == "video"   ? Rendition::Kind::kVideo
           : kind == "audio" ? Rendition::Kind::kAudio
                             : Rendition::Kind::kSubtitles;
  read_value(value.at("name"), r.name);
  read_value(value.at("timescale"), r.timescale);
  read_value(value.at("width"), r.width);
  read_value(value.at("height"), r.height);
  r.frame_rate = {read_value<int>(value.at("rate").at(0)), read_value<int>(value.at("rate").at(1))};
  read_value(value.at("bits"), r.bandwidth_bound);
  read_value(value.at("language"), r.language);
  read_value(value.at("label"), r.label);
  read_value(value.at("default"), r.is_default);
  read_value(value.at("forced"), r.forced);
  read_value(value.at("channels"), r.channels);
  read_value(value.at("sample_rate"), r.sample_rate);
  if (!plain_name(r.name) || r.timescale == 0 || r.frame_rate.den <= 0)
    return fail(Code::kInvalidArgument, "the plan of a transcode has a rendition that makes no sense");
  return r;
}

}  // namespace

Json to_json(const TranscodePlan& plan) {
  Json renditions = Json::array();
  for (const Rendition& r : plan.renditions) renditions.push_back(to_json(r));
  return {{"renditions", std::move(renditions)},
          {"segments", plan.segments},
          {"target", plan.target_seconds},
          {"seconds", plan.seconds},
          {"frames", plan.frames},
          {"notes", plan.notes}};
}

Result<TranscodePlan> plan_from_json(const Json& value) try {
  TranscodePlan plan;
  for (const Json& item : value.at("renditions")) {
    SPOOL_ASSIGN(Rendition rendition, rendition_from_json(item));
    plan.renditions.push_back(std::move(rendition));
  }
  read_value(value.at("segments"), plan.segments);
  read_value(value.at("target"), plan.target_seconds);
  read_value(value.at("seconds"), plan.seconds);
  read_value(value.at("frames"), plan.frames);
  plan.notes = notes_from_json(value);
  if (plan.segments < 0 || plan.segments > kMostSegments || plan.target_seconds < 1)
    return fail(Code::kInvalidArgument,
                fmt::format("the plan of a transcode has {} segments", plan.segments));
  return plan;
} catch (const Json::exception& e) {
  return fail(Code::kInvalidArgument, fmt::format("the plan of a transcode is malformed: {}", e.what()));
}

namespace {

// A track has thousands of segments, and a result is small: those that follow each other, and hold nothing to
// seek by, are [begin, duration, bytes, duration, bytes, ...].
bool is_run(const std::vector<media::PackagedSegment>& segments) {
  for (std::size_t i = 0; i < segments.size(); ++i) {
    if (!segments[i].fragments.empty()) return false;
    if (i > 0 && segments[i].pts != segments[i - 1].pts + segments[i - 1].duration) return false;
  }
  return segments.size() > 1;
}

Json segments_to_json(const std::vector<media::PackagedSegment>& segments) {
  Json out = Json::array();
  const bool run = is_run(segments);
  if (run) out.push_back(segments.front().pts);
  for (const media::PackagedSegment& s : segments) {
    if (!run) {
      out.push_back(media::to_json(s));
      continue;
    }
    out.push_back(s.duration);
    out.push_back(s.bytes);
  }
  return out;
}

Result<std::vector<media::PackagedSegment>> segments_from_json(const Json& value) {
  std::vector<media::PackagedSegment> segments;
  const bool run = !value.empty() && value.at(0).is_number();
  if (!run) {
    for (const Json& item : value) {
      SPOOL_ASSIGN(auto segment, media::packaged_segment_from_json(item));
      segments.push_back(std::move(segment));
    }
    return segments;
  }
  const auto bad = [] { return fail(Code::kInvalidArgument, "a run of segments makes no sense"); };
  if (value.size() % 2 != 1) return bad();
  std::vector<std::int64_t> numbers;
  for (const Json& item : value) {
    const std::int64_t number = item.is_number_integer() ? item.get<std::int64_t>() : -1;
    if (number < 0 || number > kMostTicks || (!numbers.empty() && number == 0)) return bad();
    numbers.push_back(number);
  }
  std::int64_t pts = numbers.front();
  for (std::size_t i = 1; i < numbers.size(); i += 2) {
    segments.push_back({pts, numbers[i], numbers[i + 1], {}});
    pts += numbers[i];
  }
  return segments;
}

}  // namespace

Json to_json(const MadeRendition& made) {
  return {{"name", made.name},           {"codecs", made.codecs},
          {"first", made.first_segment}, {"segments", segments_to_json(made.segments)},
          {"complete", made.complete},   {"sample_rate", made.sample_rate},
          {"channels", made.channels}};
}

Result<MadeRendition> made_from_json(const Json& value) try {
  MadeRendition made;
  read_value(value.at("name"), made.name);
  read_value(value.at("codecs"), made.codecs);
  read_value(value.at("first"), made.first_segment);
  read_value(value.at("complete"), made.complete);
  read_value(value.at("sample_rate"), made.sample_rate);
  read_value(value.at("channels"), made.channels);
  if (!plain_name(made.name))
    return fail(Code::kInvalidArgument, "a child reported a rendition with a malformed name");
  for (const char c : made.codecs)
    if (!(std::isalnum(static_cast<unsigned char>(c)) || c == '.'))
      return fail(Code::kInvalidArgument, fmt::format("{}: a child reported malformed codecs", made.name));
  SPOOL_ASSIGN(made.segments, segments_from_json(value.at("segments")));
  if (made.sample_rate < 0 || made.sample_rate > 768'000 || made.channels < 0 || made.channels > 64)
    return fail(Code::kInvalidArgument,
                fmt::format("{}: a child reported sound that makes no sense", made.name));
  if (made.first_segment < 0 || made.first_segment + made.segments.size() > kMostSegments)
    return fail(Code::kInvalidArgument,
                fmt::format("{}: a child reported segments beyond the film", made.name));
  return made;
} catch (const Json::exception& e) {
  return fail(Code::kInvalidArgument, fmt::format("what a child reported is malformed: {}", e.what()));
}

Result<std::vector<MadeRendition>> all_made_from_json(const Json& result) {
  if (!result.is_object() || !result.contains("renditions") || !result["renditions"].is_array())
    return fail(Code::kInvalidArgument, "a child reported no renditions");
  std::vector<MadeRendition> all;
  for (const Json& item : result["renditions"]) {
    SPOOL_ASSIGN(MadeRendition made, made_from_json(item));
    all.push_back(std::move(made));
  }
  return all;
}

Json to_json(const Mp4Task& task) {
  Json out = Json::object();
  const auto add = [&](const char* name, const std::optional<PublishedTrack>& track) {
    if (track) out[name] = {{"folder", track->folder}, {"segments", track->segments}};
  };
  add("video", task.video);
  add("audio", task.audio);
  return out;
}

Result<Mp4Task> mp4_task_from_json(const Json& value) try {
  Mp4Task task;
  const auto read = [&](const char* name, std::optional<PublishedTrack>& track) {
    if (!value.contains(name)) return true;
    track = {value.at(name).at("folder").get<std::string>(), read_value<int>(value.at(name).at("segments"))};
    return track->segments > 0 && track->segments <= kMostSegments;
  };
  if (!read("video", task.video) || !read("audio", task.audio) || (!task.video && !task.audio))
    return fail(Code::kInvalidArgument, "the args of transcode.mp4 name nothing to put together");
  return task;
} catch (const Json::exception& e) {
  return fail(Code::kInvalidArgument, fmt::format("the args of transcode.mp4 are malformed: {}", e.what()));
}

Result<std::vector<double>> borders_from_json(const Json& args) {
  const auto bad = [] {
    return fail(Code::kInvalidArgument, "the borders of a film's segments make no sense");
  };
  if (!args.is_object() || !args.contains("borders") || !args["borders"].is_array()) return bad();
  std::vector<double> borders;
  for (const Json& item : args["borders"]) {
    const double at = item.is_number() ? item.get<double>() : -1;
    const bool follows = borders.empty() ? at == 0 : at > borders.back();
    if (!follows || !(at < kLongestFilm) || borders.size() == kMostSegments) return bad();
    borders.push_back(at);
  }
  if (borders.empty()) return bad();
  return borders;
}

std::vector<DamagedStretch> in_seconds(const std::vector<media::Damage>& damage, std::int64_t timescale) {
  const auto scale = static_cast<double>(timescale);
  std::vector<DamagedStretch> out;
  for (const media::Damage& d : damage)
    out.push_back({static_cast<double>(d.from) / scale, static_cast<double>(d.to) / scale, d.frames});
  return out;
}

Json to_json(const std::vector<DamagedStretch>& damage) {
  const auto milliseconds = [](double seconds) { return std::round(1000 * seconds) / 1000; };
  Json list = Json::array();
  for (const DamagedStretch& d : damage) {
    if (list.size() == kMostDamage) break;
    list.push_back({{"from", milliseconds(d.from)}, {"to", milliseconds(d.to)}});
    if (d.frames > 0) list.back()["frames"] = d.frames;
  }
  return list;
}

std::vector<DamagedStretch> damage_from_json(const Json& result) {
  std::vector<DamagedStretch> damage;
  if (!result.is_object() || !result.contains("damage") || !result["damage"].is_array()) return damage;
  for (const Json& item : result["damage"]) {
    const auto number = [&](const char* key) {
      return item.is_object() && item.contains(key) && item[key].is_number() ? item[key].get<double>() : -1;
    };
    const double from = number("from"), to = number("to"), frames = std::max(0.0, number("frames"));
    const bool sensible = from >= 0 && to >= from && to < kLongestFilm && frames < kMostFrames;
    if (sensible && damage.size() < kMostDamage)
      damage.push_back({from, to, static_cast<std::int64_t>(frames)});
  }
  return damage;
}

std::vector<std::string> notes_from_json(const Json& result) {
  std::vector<std::string> notes;
  if (!result.is_object() || !result.contains("notes") || !result["notes"].is_array()) return notes;
  for (const Json& note : result["notes"])
    if (note.is_string() && notes.size() < kMostNotes)
      notes.push_back(clean_text(note.get_ref<const std::string&>()));
  return notes;
}

}  // namespace spool::steps
