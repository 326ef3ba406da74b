// transcode.audio: one track, encoded once over the whole film. Its first segments are announced by
// checkpoints, for playing begins long before the track is whole.
#include <fmt/format.h>

#include <chrono>

#include "media/audio.h"
#include "steps/transcode.h"
#include "steps/transcode_shapes.h"

namespace spool::steps {
namespace {

// A checkpoint holds at most 64 KiB: half an hour at four seconds a segment; by then the track is whole.
constexpr std::size_t kMostAnnounced = 450;

Result<media::AudioTask> task_from(const Json& args) try {
  media::AudioTask task;
  args.at("stream").get_to(task.stream);
  args.at("bits_per_second").get_to(task.bits_per_second);
  args.at("keep_channels").get_to(task.keep_channels);
  args.at("language").get_to(task.language);
  if (args.contains("begin_seconds")) task.begin_seconds = args.at("begin_seconds").get<double>();
  if (args.contains("film_seconds")) task.film_seconds = args.at("film_seconds").get<double>();
  args.at("cut").get_to(task.cut);
  args.at("borders").get_to(task.borders);
  args.at("segment_seconds").get_to(task.segment_seconds);
  return task;
} catch (const Json::exception& e) {
  return fail(Code::kInvalidArgument, fmt::format("the args of transcode.audio are malformed: {}", e.what()));
}

Result<Json> run(Attempt& attempt) {
  const Json& args = attempt.claim().args;
  SPOOL_ASSIGN(const media::AudioTask task, task_from(args));
  SPOOL_ASSIGN(ByteSource source, attempt.open_input(args.at("input").get_ref<const std::string&>()));
  MadeRendition made;
  made.name = args.at("name");
  auto announced = std::chrono::steady_clock::time_point();

  media::AudioSink sink;
  sink.format = [&](const media::AudioFormat& format) {
    made.codecs = format.codecs;
    made.sample_rate = format.sample_rate;
    made.channels = format.channels;
    return attempt.put_output(made.name + "/init.mp4", format.init);
  };
  sink.segment = [&](std::size_t index, const media::Segment& segment) -> Result<void> {
    SPOOL_TRY(attempt.put_output(made.name + "/" + media::segment_name(index, media::Rendition::Kind::kAudio),
                                 segment.bytes));
    media::PackagedSegment packaged = media::packaged(segment);
    packaged.fragments.clear();  // nobody seeks by an audio segment's parts
    made.segments.push_back(std::move(packaged));
    const auto now = std::chrono::steady_clock::now();
    if (made.segments.size() > kMostAnnounced || now - announced < std::chrono::seconds(1)) return {};
    announced = now;
    return attempt.checkpoint({{"renditions", {to_json(made)}}});
  };
  sink.progress = [&](double fraction) { attempt.progress(fraction); };
  SPOOL_ASSIGN(const media::AudioReport report,
               media::encode_audio(std::move(source), task, sink, attempt.stop_token()));

  made.complete = true;
  Json filled = Json::array();
  for (const media::SilenceFilled& gap : report.filled)
    if (filled.size() < 100) filled.push_back({gap.at_seconds, gap.seconds});
  return Json{{"renditions", {to_json(made)}},
              {"silence_filled", std::move(filled)},
              {"damaged_packets", report.damaged_packets}};
}

}  // namespace

Ending transcode_audio(Attempt& attempt) {
  auto result = run(attempt);
  if (result) return Succeeded{std::move(*result)};
  if (disposition(result.error().code) == Disposition::kGiveUp) return Failed{std::move(result).error()};
  return RetryLater{std::move(result).error(), {}};
}

}  // namespace spool::steps
