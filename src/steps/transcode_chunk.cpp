// transcode.chunk: one interval of the film, encoded for its rungs, cut into CMAF segments.
#include <fmt/format.h>

#include "media/cmaf.h"
#include "media/encode.h"
#include "steps/transcode.h"
#include "steps/transcode_shapes.h"

namespace spool::steps {
namespace {

media::CmafTrack track_of(const media::Film& film) {
  media::CmafTrack track;
  track.timescale = static_cast<std::uint32_t>(film.clock.timescale);
  track.shift = film.decode_shift;
  return track;
}

// The chunk with a rung's first segment writes its init segment too.
Result<void> put_init(Attempt& attempt, const media::Film& film, int rung, MadeRendition& made) {
  SPOOL_ASSIGN(const av::CodecParameters codec, media::encoder_parameters(film, rung));
  SPOOL_ASSIGN(made.codecs, media::codec_string(*codec));
  SPOOL_ASSIGN(const media::Bytes init, media::cmaf_init_segment(*codec, track_of(film)));
  return attempt.put_output(made.name + "/init.mp4", init);
}

Result<Json> run(Attempt& attempt) {
  const Json& args = attempt.claim().args;
  SPOOL_ASSIGN(const media::ChunkTask task, media::chunk_task_from_json(args.at("task")));
  SPOOL_ASSIGN(const ByteSource source, attempt.open_input(args.at("input").get_ref<const std::string&>()));

  std::vector<MadeRendition> made(task.film.rungs.size());
  for (const int rung : task.chunk.rungs) {
    MadeRendition& m = made[static_cast<std::size_t>(rung)];
    m.name = task.film.rungs[static_cast<std::size_t>(rung)].rung.name;
    m.first_segment = task.chunk.first_segment;
    if (m.first_segment == 0) SPOOL_TRY(put_init(attempt, task.film, rung, m));
  }

  media::ChunkHooks hooks;
  hooks.segment = [&](const media::EncodedSegment& encoded) -> Result<void> {
    SPOOL_ASSIGN(const media::Segment segment,
                 media::cmaf_segment(track_of(task.film), true, encoded.first_fragment, encoded.samples));
    MadeRendition& m = made[static_cast<std::size_t>(encoded.rung)];
    m.segments.push_back(media::packaged(segment));
    return attempt.put_output(m.name + "/" + media::segment_name(static_cast<std::size_t>(encoded.index)),
                              segment.bytes);
  };
  hooks.progress = [&](std::int64_t frames) {
    attempt.progress(static_cast<double>(frames) / static_cast<double>(task.chunk.frames),
                     {{"frames", frames}});
  };
  SPOOL_ASSIGN(const media::ChunkOutput output,
               media::encode_chunk(source, task, hooks, attempt.stop_token()));

  Json renditions = Json::array();
  for (const MadeRendition& m : made)
    if (!m.name.empty()) renditions.push_back(to_json(m));
  return Json{{"renditions", std::move(renditions)},
              {"frames", output.frames},
              {"damage", to_json(in_seconds(output.damage, task.film.clock.timescale))}};
}

}  // namespace

Ending transcode_chunk(Attempt& attempt) {
  auto result = run(attempt);
  if (result) return Succeeded{std::move(*result)};
  if (disposition(result.error().code) == Disposition::kGiveUp) return Failed{std::move(result).error()};
  return RetryLater{std::move(result).error(), {}};
}

}  // namespace spool::steps
