// remux_film FILE FOLDER: a film remuxed into HLS (video and AAC copied), with playlists, synced to the disk.
// What `ffmpeg -c copy -f hls` does; run beside it by bench/remux/run.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <string>

#include "media/packaging.h"
#include "media/remux.h"

namespace spool::media {
namespace {

namespace fs = std::filesystem;

Result<ByteSource> open_source(const std::string& path) {
  SPOOL_ASSIGN(UniqueFd fd, open_file(path, O_RDONLY));
  return file_source(std::move(fd), path);
}

Result<void> put(const fs::path& path, std::span<const std::byte> bytes) {
  SPOOL_ASSIGN(const UniqueFd fd, open_file(path, O_WRONLY | O_CREAT | O_TRUNC));
  return write_all(fd.get(), bytes);
}
Result<void> put(const fs::path& path, const std::string& text) {
  return put(path, std::as_bytes(std::span(text.data(), text.size())));
}

Result<void> run(const std::string& film, const fs::path& out) {
  SPOOL_ASSIGN(auto scanned, open_source(film));
  SPOOL_ASSIGN(const Timeline timeline, scan_timeline(scanned, {}));
  SPOOL_ASSIGN(auto planned, open_source(film));
  SPOOL_ASSIGN(const RemuxPlan plan, plan_remux(std::move(planned), timeline, {}, {}));
  if (!plan.fits()) return fail(Code::kUnsupported, plan.obstacle);
  std::vector<Rendition> all(2);
  all[0].name = "video";
  all[0].timescale = static_cast<std::uint32_t>(timeline.clock.timescale);
  all[0].width = timeline.picture.width;
  all[0].height = timeline.picture.height;
  all[1].kind = Rendition::Kind::kAudio;
  all[1].name = "audio";
  fs::create_directories(out / "video");
  fs::create_directories(out / "audio");
  const auto keep = [&](Rendition& r, std::size_t index, const Segment& segment) {
    r.segments.push_back(packaged(segment));
    return put(out / r.name / segment_name(index), segment.bytes);
  };
  const RemuxSink video{
      [&](const Bytes& init, const std::string& codecs) -> Result<void> {
        all[0].codecs = codecs;
        return put(out / "video" / "init.mp4", init);
      },
      [&](std::size_t index, const Segment& segment) { return keep(all[0], index, segment); }};
  SPOOL_ASSIGN(auto pictures, open_source(film));
  SPOOL_TRY(remux_video(std::move(pictures), remux_task(plan, timeline), video, {}));
  AudioTask task;
  const double scale = double(timeline.clock.timescale);
  for (const std::int64_t border : plan.borders) task.borders.push_back(double(border) / scale);
  task.film_seconds = double(timeline.end) / scale;
  task.begin_seconds = timeline.clock.source_seconds(0);
  const AudioSink audio{
      [&](const AudioFormat& format) -> Result<void> {
        all[1].codecs = format.codecs;
        all[1].timescale = static_cast<std::uint32_t>(format.sample_rate);
        all[1].channels = format.channels;
        return put(out / "audio" / "init.mp4", format.init);
      },
      [&](std::size_t index, const Segment& segment) { return keep(all[1], index, segment); },
      {}};
  SPOOL_ASSIGN(auto sound, open_source(film));
  SPOOL_TRY(copy_audio(std::move(sound), task, audio, {}));
  std::vector<double> durations;
  for (const auto& segment : all[0].segments) durations.push_back(double(segment.duration) / scale);
  const int target = target_duration(durations);
  for (Rendition& r : all) {
    r.complete = true;
    SPOOL_TRY(put(out / r.name / "playlist.m3u8", hls_media_playlist(r, target)));
  }
  SPOOL_TRY(put(out / "video" / "iframes.m3u8", hls_iframe_playlist(all[0], target)));
  SPOOL_TRY(put(out / "master.m3u8", hls_master(all, target)));
  SPOOL_ASSIGN(const UniqueFd folder, open_file(out, O_RDONLY | O_DIRECTORY));
  if (::syncfs(folder.get()) != 0) return fail_errno(errno, "syncfs");
  return {};
}

}  // namespace
}  // namespace spool::media

int main(int argc, char** argv) {
  if (argc != 3) {
    fmt::print(stderr, "usage: remux_film FILE FOLDER\n");
    return 2;
  }
  if (const auto done = spool::media::run(argv[1], argv[2]); !done) {
    fmt::print(stderr, "remux_film: {}\n", done.error().message);
    return 1;
  }
}
