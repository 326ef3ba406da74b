// transcode.remux: a stretch of the film, its own frames packaged as they are. Its segments are announced by
// checkpoints, for playing begins before the stretch is whole.
#include <fmt/format.h>

#include <chrono>

#include "media/remux.h"
#include "queue/handler_call.h"
#include "steps/transcode.h"
#include "steps/transcode_shapes.h"

namespace spool::steps {
namespace {

// A checkpoint holds at most 64 KiB, and an all-intra film has many IDRs.
constexpr std::size_t kMostAnnounced = 400;  // IDRs

Result<Json> run(Attempt& attempt) {
  const Json& args = attempt.claim().args;
  if (!args.contains("task") || !args.contains("name") || !args["name"].is_string())
    return fail(Code::kInvalidArgument, "the args of transcode.remux are malformed");
  SPOOL_ASSIGN(const media::RemuxTask task, media::remux_task_from_json(args.at("task")));
  SPOOL_ASSIGN(ByteSource source, attempt.open_input(args.at("input").get_ref<const std::string&>()));
  MadeRendition made;
  made.name = args.at("name");
  made.first_segment = task.first_segment;
  std::size_t idrs = 0;
  auto announced = std::chrono::steady_clock::time_point();

  media::RemuxSink sink;
  sink.init = [&](const media::Bytes& init, const std::string& codecs) {
    made.codecs = codecs;
    return attempt.put_output(made.name + "/init.mp4", init);
  };
  sink.segment = [&](std::size_t index, const media::Segment& segment) -> Result<void> {
    SPOOL_TRY(attempt.put_output(made.name + "/" + media::segment_name(index), segment.bytes));
    made.segments.push_back(media::packaged(segment));
    idrs += segment.fragments.size();
    const auto now = std::chrono::steady_clock::now();
    if (idrs > kMostAnnounced || now - announced < std::chrono::seconds(1)) return {};
    announced = now;
    return attempt.checkpoint({{"renditions", {to_json(made)}}});
  };
  sink.progress = [&](double fraction) { attempt.progress(fraction); };
  SPOOL_ASSIGN(const std::vector<media::Damage> damage,
               media::remux_video(std::move(source), task, sink, attempt.stop_token()));
  Json notes = Json::array();
  if (!damage.empty())
    notes.push_back(
        fmt::format("damaged frames of {} were passed on as they are, from {:.3f} s on; "
                    "without remuxing they are concealed",
                    made.name, in_seconds(damage, task.clock.timescale).front().from));
  return Json{{"renditions", {to_json(made)}},
              {"damage", to_json(in_seconds(damage, task.clock.timescale))},
              {"notes", std::move(notes)}};
}

}  // namespace

Ending transcode_remux(Attempt& attempt) {
  auto result = run(attempt);
  return result ? Ending(Succeeded{std::move(*result)}) : ending_of(std::move(result).error());
}

}  // namespace spool::steps
