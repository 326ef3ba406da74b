// transcode.audio: one track, encoded once over the whole film, or copied where it fits. Its first segments
// are announced by checkpoints, for playing begins long before the track is whole.
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <future>

#include "media/audio.h"
#include "media/loudness.h"
#include "media/remux.h"
#include "steps/transcode.h"
#include "steps/transcode_shapes.h"

namespace spool::steps {
namespace {

// A checkpoint holds at most 64 KiB: more than two hours at four seconds a segment; by then the track is
// whole.
constexpr std::size_t kMostAnnounced = 2000;

// A third of the weight of the pictures, which take thirty times as long: at the start they need the cores,
// so that playing can begin.
constexpr int kNiceness = 5;

Result<media::AudioTask> task_from(const Json& args) try {
  media::AudioTask task;
  read_value(args.at("stream"), task.stream);
  read_value(args.at("bits_per_second"), task.bits_per_second);
  read_value(args.at("keep_channels"), task.keep_channels);
  read_value(args.at("language"), task.language);
  if (args.contains("begin_seconds")) task.begin_seconds = args.at("begin_seconds").get<double>();
  if (args.contains("film_seconds")) task.film_seconds = args.at("film_seconds").get<double>();
  read_value(args.at("cut"), task.cut);
  task.from_seconds = args.value("from_seconds", 0.0);
  if (args.contains("until_seconds")) task.until_seconds = args.at("until_seconds").get<double>();
  read_value(args.at("borders"), task.borders);
  read_value(args.at("segment_seconds"), task.segment_seconds);
  return task;
} catch (const Json::exception& e) {
  return fail(Code::kInvalidArgument, fmt::format("the args of transcode.audio are malformed: {}", e.what()));
}

constexpr double kMeasuring = 0.4;   // of the time, when the track is measured first
constexpr double kPeakCeiling = -1;  // dBTP
constexpr double kToldFrom = 0.5;    // LU that a track falls short of what was asked

// Measures the whole track; what it gets and what people should know about it.
struct Normalised {
  double gain_db = 0;
  Json told;  // null: nothing was asked
  Json notes = Json::array();
};
Result<Normalised> normalise(Attempt& attempt, const media::AudioTask& task) {
  const Json& args = attempt.claim().args;
  Normalised out;
  if (!args.contains("loudness")) return out;
  const double target = args.at("loudness").get<double>();
  SPOOL_ASSIGN(ByteSource source, attempt.open_input(args.at("input").get_ref<const std::string&>()));
  SPOOL_ASSIGN(const media::Loudness measured,
               media::measure_loudness(
                   std::move(source), task, [&](double fraction) { attempt.progress(kMeasuring * fraction); },
                   attempt.stop_token()));
  // In hundredths, downwards: what is told is what is done.
  out.gain_db = std::floor(100 * media::normalising_gain_db(measured, target, kPeakCeiling)) / 100;
  out.told = {{"integrated_lufs", std::round(100 * measured.integrated_lufs) / 100},
              {"true_peak_dbtp", std::round(100 * measured.true_peak_dbtp) / 100},
              {"gain_db", out.gain_db}};
  const double short_by = target - measured.integrated_lufs - out.gain_db;
  if (short_by > kToldFrom)
    out.notes.push_back(fmt::format("{} is {:.1f} LU below {:g} LUFS: {}",
                                    args.at("name").get_ref<const std::string&>(), short_by, target,
                                    out.gain_db == 0 ? "it is silent" : "its peaks allow no more"));
  return out;
}

Result<bool> may_be_copied(const Json& args, const ByteSource& source, const media::AudioTask& task,
                           std::stop_token stop) {
  if (!args.value("remux", false) || args.contains("loudness")) return false;
  SPOOL_ASSIGN(const std::string obstacle, media::audio_copy_obstacle(source, task, std::move(stop)));
  return obstacle.empty();
}

Result<Json> run(Attempt& attempt) {
  const Json& args = attempt.claim().args;
  SPOOL_ASSIGN(media::AudioTask task, task_from(args));
  SPOOL_ASSIGN(Normalised normalised, normalise(attempt, task));
  task.gain_db = normalised.gain_db;
  const double begun = normalised.told.is_null() ? 0 : kMeasuring;
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
  sink.progress = [&](double fraction) { attempt.progress(begun + (1 - begun) * fraction); };
  SPOOL_ASSIGN(const bool copy, may_be_copied(args, source, task, attempt.stop_token()));
  SPOOL_ASSIGN(const media::AudioReport report,
               copy ? media::copy_audio(std::move(source), task, sink, attempt.stop_token())
                    : media::encode_audio(std::move(source), task, sink, attempt.stop_token()));
  if (copy)
    normalised.notes.push_back(fmt::format("{} was remuxed: it is the source's own sound", made.name));

  made.complete = true;
  std::vector<DamagedStretch> damage;
  for (const media::DamagedSound& d : report.damage) damage.push_back({d.from_seconds, d.to_seconds});
  return Json{{"renditions", {to_json(made)}},
              {"damage", to_json(damage)},
              {"loudness", std::move(normalised.told)},
              {"notes", std::move(normalised.notes)}};
}

}  // namespace

Ending transcode_audio(Attempt& attempt) {
  // On a thread of its own: a thread's niceness cannot be taken back, and this process has other jobs to
  // come.
  auto result = std::async(std::launch::async, [&attempt] {
                  ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), kNiceness);
                  return run(attempt);
                }).get();
  if (result) return Succeeded{std::move(*result)};
  if (disposition(result.error().code) == Disposition::kGiveUp) return Failed{std::move(result).error()};
  return RetryLater{std::move(result).error(), {}};
}

}  // namespace spool::steps
