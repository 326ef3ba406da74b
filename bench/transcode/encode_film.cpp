// encode_film FILE [--slots N] [--balanced] [--crf N] [--rungs 720,480,360] [--out FOLDER] [--seconds S]
//
// All chunks of a film, N at once, without queue, sandbox or audio: what the plan and the chunk encoder cost.
// Prints one line of JSON; with --out, each rung as an H.264 stream (FOLDER/720.h264) whose quality can be
// measured.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "media/encode.h"

extern "C" {
#include <libavutil/log.h>
}

namespace spool::media {
namespace {

struct Options {
  std::string file, out;
  int slots = 2;
  Speed speed = Speed::kFast;
  double crf = 23;
  double seconds = 0;
  std::vector<int> rungs{720, 480, 360};
};

Ladder ladder_of(const Options& options) {
  Ladder ladder;
  ladder.name = "bench";
  for (const int side : options.rungs)  // a cap that nothing reaches: the rival has none
    ladder.rungs.push_back(
        {fmt::format("{}", side), side, VideoCodec::kH264, options.crf, 50'000'000, 100'000'000});
  return ladder;
}

Result<ByteSource> open_source(const std::string& path) {
  SPOOL_ASSIGN(UniqueFd fd, open_file(path, O_RDONLY));
  return file_source(std::move(fd), path);
}

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](timeval t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

using Streams = std::map<std::pair<int, int>, Bytes>;  // rung and segment

void append_annex_b(Bytes& out, const Sample& sample) {
  constexpr std::byte kStart[] = {std::byte{0}, std::byte{0}, std::byte{0}, std::byte{1}};
  for (std::size_t at = 0; at + 4 <= sample.data.size();) {
    std::size_t size = 0;
    for (std::size_t i = 0; i < 4; ++i) size = size << 8 | std::to_integer<std::size_t>(sample.data[at + i]);
    out.insert(out.end(), std::begin(kStart), std::end(kStart));
    const auto begin = sample.data.begin() + static_cast<std::ptrdiff_t>(at + 4);
    out.insert(out.end(), begin, begin + static_cast<std::ptrdiff_t>(size));
    at += 4 + size;
  }
}

Result<void> write_streams(const Options& options, const Film& film, const Streams& streams) {
  for (std::size_t rung = 0; rung < film.rungs.size(); ++rung) {
    SPOOL_ASSIGN(const av::CodecParameters parameters, encoder_parameters(film, static_cast<int>(rung)));
    const auto* extra = reinterpret_cast<const std::byte*>(parameters->extradata);
    Bytes all(extra, extra + parameters->extradata_size);
    for (const auto& [key, bytes] : streams)
      if (key.first == static_cast<int>(rung)) all.insert(all.end(), bytes.begin(), bytes.end());
    SPOOL_TRY(write_file_atomic(fmt::format("{}/{}.h264", options.out, film.rungs[rung].rung.name), all));
  }
  return {};
}

struct Run {
  std::mutex mutex;
  std::size_t next = 0;
  Streams streams;
  double first_segment = 0;
  double idle = 0;
  std::vector<double> ends;
  std::optional<Error> error;
};

void work(const Options& options, const FilmPlan& plan, Run& run, double began) {
  for (;;) {
    const Chunk* chunk = nullptr;
    {
      const std::lock_guard lock(run.mutex);
      if (run.next < plan.chunks.size() && !run.error) chunk = &plan.chunks[run.next++];
    }
    if (chunk == nullptr) break;
    const auto keep = [&](EncodedSegment segment) -> Result<void> {
      const std::lock_guard lock(run.mutex);
      if (segment.index == 0 && segment.rung == static_cast<int>(plan.film.rungs.size()) - 1)
        run.first_segment = now() - began;
      if (options.out.empty()) return {};
      Bytes& stream = run.streams[{segment.rung, segment.index}];
      for (const Sample& sample : segment.samples) append_annex_b(stream, sample);
      return {};
    };
    auto output = open_source(options.file).and_then([&](ByteSource source) {
      return encode_chunk(source, ChunkTask{plan.film, *chunk}, {keep, {}}, {});
    });
    const std::lock_guard lock(run.mutex);
    if (!output) run.error = output.error();
  }
  const std::lock_guard lock(run.mutex);
  run.ends.push_back(now() - began);
}

Result<void> encode_film(const Options& options) {
  const double began = now();
  SPOOL_ASSIGN(const ByteSource source, open_source(options.file));
  SPOOL_ASSIGN(const Timeline timeline, scan_timeline(source, {}));
  PlanOptions trim;
  if (options.seconds > 0) trim.until_seconds = options.seconds;
  SPOOL_ASSIGN(const FilmPlan plan, plan_film(timeline, ladder_of(options), options.speed, trim));
  const double planned = now() - began;
  Run run;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < options.slots; ++i) threads.emplace_back([&] { work(options, plan, run, began); });
  }
  if (run.error) return fail(*run.error);
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::int64_t preroll = 0;
  for (const Chunk& chunk : plan.chunks) preroll += chunk.preroll;
  fmt::print("{}\n", to_text({{"frames", plan.frames},
                              {"chunks", plan.chunks.size()},
                              {"preroll_frames", preroll},
                              {"plan_seconds", planned},
                              {"first_segment_seconds", run.first_segment},
                              {"wall_seconds", now() - began},
                              {"cpu_seconds", cpu_seconds()},
                              {"ends", run.ends},
                              {"peak_memory_mb", usage.ru_maxrss / 1024}}));
  return options.out.empty() ? Result<void>() : write_streams(options, plan.film, run.streams);
}

std::optional<Options> parse(const std::vector<std::string>& words) {
  Options options;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    const auto value = [&] { return i + 1 < words.size() ? words[++i] : std::string("0"); };
    if (word == "--slots")
      options.slots = std::atoi(value().c_str());
    else if (word == "--balanced")
      options.speed = Speed::kBalanced;
    else if (word == "--crf")
      options.crf = std::atof(value().c_str());
    else if (word == "--seconds")
      options.seconds = std::atof(value().c_str());
    else if (word == "--out")
      options.out = value();
    else if (word == "--rungs") {
      options.rungs.clear();
      const std::string list = value() + ",";
      for (std::size_t at = 0, comma = 0; (comma = list.find(',', at)) != std::string::npos; at = comma + 1)
        options.rungs.push_back(std::atoi(list.substr(at, comma - at).c_str()));
    } else if (options.file.empty() && !word.starts_with("--"))
      options.file = word;
    else
      return std::nullopt;
  }
  if (options.file.empty() || options.slots < 1) return std::nullopt;
  return options;
}

}  // namespace
}  // namespace spool::media

int main(int argc, char** argv) {
  av_log_set_level(AV_LOG_FATAL);
  const auto options = spool::media::parse({argv + 1, argv + argc});
  if (!options) {
    fmt::print(stderr,
               "usage: encode_film FILE [--slots N] [--balanced] [--crf N] [--rungs A,B] [--out FOLDER] "
               "[--seconds S]\n");
    return 2;
  }
  if (auto done = spool::media::encode_film(*options); !done) {
    fmt::print(stderr, "{}\n", done.error().message);
    return 1;
  }
}
