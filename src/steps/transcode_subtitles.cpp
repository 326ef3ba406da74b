// transcode.subtitles: one text track, embedded or given as a file, whole, as WebVTT segments beside the
// video's.
#include <fmt/format.h>

#include <cmath>

#include "base/utf8.h"
#include "media/cmaf_read.h"
#include "media/probe.h"
#include "media/subtitles.h"
#include "queue/handler_call.h"
#include "steps/transcode.h"
#include "steps/transcode_shapes.h"

namespace spool::steps {
namespace {

constexpr std::uint64_t kMostFileBytes = 32u << 20;

// A file's times count from the film's first frame; a trim takes its start off.
Result<std::vector<media::Cue>> cues_of_file(const ByteSource& file, double trimmed_seconds) {
  if (file.size > kMostFileBytes)
    return fail(Code::kLimitExceeded, fmt::format("{}: more than 32 MiB of subtitles", file.name));
  std::string text(file.size, '\0');
  SPOOL_TRY(media::read_exactly(file, 0, std::as_writable_bytes(std::span(text))));
  SPOOL_ASSIGN(auto cues, media::parse_subtitles(text, file.name));
  const auto trimmed = std::llround(trimmed_seconds * 1000);
  for (media::Cue& cue : cues) {
    cue.begin -= trimmed;
    cue.end -= trimmed;
  }
  return cues;
}

// What another attempt would find just the same.
bool says_damaged(Code code) {
  return code == Code::kCorruptInput || code == Code::kUnsupported || code == Code::kLimitExceeded;
}

Result<std::vector<media::Cue>> cues_of(Attempt& attempt, const Json& args) {
  SPOOL_ASSIGN(ByteSource source, attempt.open_input(args.at("input").get_ref<const std::string&>()));
  if (!args.contains("stream")) return cues_of_file(source, args.at("trimmed_seconds").get<double>());
  return media::read_subtitles(std::move(source), read_value<int>(args.at("stream")),
                               args.at("begin_seconds").get<double>(), attempt.stop_token());
}

Result<Json> run(Attempt& attempt) {
  const Json& args = attempt.claim().args;
  MadeRendition made;
  read_value(args.at("name"), made.name);
  SPOOL_ASSIGN(const auto borders, borders_from_json(args));
  Json notes = Json::array();
  auto cues = cues_of(attempt, args);
  if (!cues) {
    // The master playlist names this track, and is written once it is there.
    if (!says_damaged(cues.error().code)) return fail(std::move(cues).error());
    notes.push_back(clean_text(fmt::format("{} is empty: {}", made.name, cues.error().message)));
    cues.emplace();
  }
  const auto cut = media::segment_subtitles(std::move(*cues), borders, args.at("film_seconds").get<double>());
  for (std::size_t i = 0; i < cut.segments.size(); ++i) {
    const std::string name = media::segment_name(i, media::Rendition::Kind::kSubtitles);
    SPOOL_TRY(attempt.put_output(made.name + "/" + name, std::as_bytes(std::span(cut.segments[i]))));
  }
  SPOOL_TRY(attempt.put_output(made.name + "/all.vtt", std::as_bytes(std::span(cut.all))));
  made.segments = cut.packaged;
  made.complete = true;
  return Json{{"renditions", {to_json(made)}}, {"notes", std::move(notes)}};
}

}  // namespace

Ending transcode_subtitles(Attempt& attempt) {
  auto result = run(attempt);
  return result ? Ending(Succeeded{std::move(*result)}) : ending_of(std::move(result).error());
}

}  // namespace spool::steps
