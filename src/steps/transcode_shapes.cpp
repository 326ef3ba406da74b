#include "steps/transcode_shapes.h"

#include <fmt/format.h>

#include <cctype>

namespace spool::steps {
namespace {

constexpr int kMostSegments = 1 << 20;

[[noreturn]] void malformed(const char* what) {
  throw Json::other_error::create(599, what, nullptr);
}

Json to_json(const PlannedRendition& r) {
  return {{"name", r.name},
          {"language", r.language},
          {"title", r.title},
          {"default", r.is_default},
          {"width", r.width},
          {"height", r.height},
          {"rate", {r.rate_num, r.rate_den}},
          {"bits", r.most_bits_per_second},
          {"channels", r.channels},
          {"timescale", r.timescale}};
}

bool plain_name(const std::string& name) {
  if (name.empty() || name.size() > 64 || name.front() == '.') return false;
  for (const char c : name)
    if (!(std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' || c == '.')) return false;
  return true;
}

PlannedRendition rendition_from_json(const Json& value) {
  PlannedRendition r;
  value.at("name").get_to(r.name);
  value.at("language").get_to(r.language);
  value.at("title").get_to(r.title);
  value.at("default").get_to(r.is_default);
  value.at("width").get_to(r.width);
  value.at("height").get_to(r.height);
  value.at("rate").at(0).get_to(r.rate_num);
  value.at("rate").at(1).get_to(r.rate_den);
  value.at("bits").get_to(r.most_bits_per_second);
  value.at("channels").get_to(r.channels);
  value.at("timescale").get_to(r.timescale);
  if (!plain_name(r.name) || r.timescale <= 0 || r.rate_den <= 0) malformed("rendition");
  return r;
}

Json list(const std::vector<PlannedRendition>& renditions) {
  Json out = Json::array();
  for (const auto& r : renditions) out.push_back(to_json(r));
  return out;
}

std::vector<PlannedRendition> renditions(const Json& value) {
  std::vector<PlannedRendition> out;
  for (const Json& r : value) out.push_back(rendition_from_json(r));
  return out;
}

MadeSegment segment_from_json(const Json& value) {
  MadeSegment s{value.at(0), value.at(1), value.at(2), value.at(3), {}};
  std::int64_t end = 0;
  for (const Json& f : value.at(4)) {
    const media::Fragment fragment{f.at(0), f.at(1), f.at(2), f.at(3)};
    if (fragment.offset < end || fragment.bytes <= 0 || fragment.bytes > s.bytes - fragment.offset)
      malformed("fragment outside its segment");
    end = fragment.offset + fragment.bytes;
    s.fragments.push_back(fragment);
  }
  if (s.index < 0 || s.index > kMostSegments || s.bytes <= 0 || s.duration <= 0) malformed("segment");
  return s;
}

}  // namespace

Json to_json(const TranscodePlan& plan) {
  return {{"video", list(plan.video)},
          {"audio", list(plan.audio)},
          {"subtitles", list(plan.subtitles)},
          {"segments", plan.segments},
          {"target", plan.target_seconds},
          {"seconds", plan.seconds},
          {"frames", plan.frames},
          {"mp4", plan.mp4}};
}

Result<TranscodePlan> plan_from_json(const Json& value) try {
  TranscodePlan plan;
  plan.video = renditions(value.at("video"));
  plan.audio = renditions(value.at("audio"));
  plan.subtitles = renditions(value.at("subtitles"));
  value.at("segments").get_to(plan.segments);
  value.at("target").get_to(plan.target_seconds);
  value.at("seconds").get_to(plan.seconds);
  value.at("frames").get_to(plan.frames);
  value.at("mp4").get_to(plan.mp4);
  if (plan.segments < 0 || plan.segments > kMostSegments)
    return fail(Code::kInvalidArgument, fmt::format("the plan has {} segments", plan.segments));
  return plan;
} catch (const Json::exception& e) {
  return fail(Code::kInvalidArgument, fmt::format("the plan of a transcode is malformed: {}", e.what()));
}

Json to_json(const MadeRendition& made) {
  Json segments = Json::array();
  for (const MadeSegment& s : made.segments) {
    Json fragments = Json::array();
    for (const media::Fragment& f : s.fragments) fragments.push_back({f.offset, f.bytes, f.pts, f.duration});
    segments.push_back({s.index, s.bytes, s.pts, s.duration, std::move(fragments)});
  }
  return {{"name", made.name}, {"codec", made.codec}, {"segments", std::move(segments)}};
}

Result<MadeRendition> made_from_json(const Json& value) try {
  MadeRendition made;
  value.at("name").get_to(made.name);
  value.at("codec").get_to(made.codec);
  if (!plain_name(made.name))
    return fail(Code::kInvalidArgument, "a child reported a rendition with a malformed name");
  for (const Json& s : value.at("segments")) {
    made.segments.push_back(segment_from_json(s));
    if (made.segments.size() > 1 &&
        made.segments.back().index != made.segments[made.segments.size() - 2].index + 1)
      return fail(Code::kInvalidArgument, fmt::format("{}: segments are not consecutive", made.name));
  }
  return made;
} catch (const Json::exception& e) {
  return fail(Code::kInvalidArgument, fmt::format("what a child reported is malformed: {}", e.what()));
}

std::string init_name(std::string_view rendition) {
  return fmt::format("{}/init.mp4", rendition);
}
std::string segment_name(std::string_view rendition, int index, std::string_view extension) {
  return fmt::format("{}/seg-{:05}.{}", rendition, index, extension);
}

}  // namespace spool::steps
