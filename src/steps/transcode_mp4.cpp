// transcode.mp4: progressive files out of segments that are in their places: nothing is encoded again.
#include <fmt/format.h>

#include "media/cmaf_read.h"
#include "media/mp4.h"
#include "queue/handler_call.h"
#include "steps/transcode.h"
#include "steps/transcode_shapes.h"

namespace spool::steps {
namespace {

constexpr std::uint64_t kMostInitBytes = 1 << 20;
constexpr std::size_t kWriteBytes = 1 << 20;

Result<media::Mp4Track> open_track(Attempt& attempt, const PublishedTrack& published) {
  SPOOL_ASSIGN(const ByteSource init, attempt.open_input(published.folder + "init.mp4"));
  if (init.size > kMostInitBytes)
    return fail(Code::kCorruptInput, fmt::format("{}: too large for an init segment", init.name));
  media::Mp4Track track;
  track.init.resize(init.size);
  SPOOL_TRY(media::read_exactly(init, 0, track.init));
  track.segments = static_cast<std::size_t>(published.segments);
  track.open = [&attempt, folder = published.folder](std::size_t index) {
    return attempt.open_input(folder + media::segment_name(index));
  };
  return track;
}

// Samples are small; the disk likes large writes.
class Writer {
 public:
  explicit Writer(int fd) : fd_(fd) {}
  Result<void> add(std::span<const std::byte> bytes) {
    bytes_ += static_cast<std::int64_t>(bytes.size());
    held_.insert(held_.end(), bytes.begin(), bytes.end());
    if (held_.size() < kWriteBytes) return {};
    return flush();
  }
  Result<void> flush() {
    SPOOL_TRY(write_all(fd_, held_));
    held_.clear();
    return {};
  }
  [[nodiscard]] std::int64_t bytes() const { return bytes_; }

 private:
  int fd_;
  media::Bytes held_;
  std::int64_t bytes_ = 0;
};

Result<std::int64_t> make_file(Attempt& attempt, const std::vector<media::Mp4Track>& tracks, const char* name,
                               const media::Mp4Options& options) {
  SPOOL_ASSIGN(UniqueFd fd, attempt.create_output(name));
  Writer writer(fd.get());
  SPOOL_TRY(media::assemble_mp4(
      tracks, [&](std::span<const std::byte> bytes) { return writer.add(bytes); }, options,
      attempt.stop_token()));
  SPOOL_TRY(writer.flush());
  SPOOL_TRY(attempt.commit_output(name, std::move(fd)));
  return writer.bytes();
}

Result<Json> run(Attempt& attempt) {
  SPOOL_ASSIGN(const Mp4Task task, mp4_task_from_json(attempt.claim().args));
  std::vector<media::Mp4Track> video, audio;
  if (task.audio) {
    SPOOL_ASSIGN(media::Mp4Track track, open_track(attempt, *task.audio));
    audio.push_back(std::move(track));
  }
  Json files = Json::object();
  if (task.video) {
    SPOOL_ASSIGN(media::Mp4Track track, open_track(attempt, *task.video));
    video.push_back(std::move(track));
    video.insert(video.end(), audio.begin(), audio.end());
    media::Mp4Options options;
    options.progress = [&](double fraction) { attempt.progress(0.9 * fraction); };
    SPOOL_ASSIGN(files[kMp4Name], make_file(attempt, video, kMp4Name, options));
  }
  if (task.audio) {
    media::Mp4Options options;
    options.audio_only_brand = true;
    options.progress = [&](double fraction) { attempt.progress(0.9 + 0.1 * fraction); };
    SPOOL_ASSIGN(files[kM4aName], make_file(attempt, audio, kM4aName, options));
  }
  return Json{{"files", std::move(files)}};
}

}  // namespace

Ending transcode_mp4(Attempt& attempt) {
  auto result = run(attempt);
  return result ? Ending(Succeeded{std::move(*result)}) : ending_of(std::move(result).error());
}

}  // namespace spool::steps
