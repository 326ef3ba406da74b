#include "av/input.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <vector>

#include "av/file_shape.h"
#include "av/log.h"

namespace spool::av {
namespace {

// Self-contained formats only. Names as libavformat's demuxers call themselves.
constexpr char kDemuxers[] =
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpegts,mpeg,avi,flv,gif,ogg,wav,w64,mp3,aac,flac,asf,mxf,"
    "mpegvideo,h264,hevc,ivf,dv,nut,rm,aiff,caf,ac3,eac3,amr,au,m4v,mjpeg,y4m,yuv4mpegpipe,apng,dts,truehd,"
    "av1,obu";
constexpr int kBufferBytes = 1 << 16;

// What can be said before a demuxer looks.
Result<void> refuse_scripts_and_text(const ByteSource& source) {
  if (source.size == 0) return fail(Code::kCorruptInput, fmt::format("{}: the file is empty", source.name));
  SPOOL_ASSIGN(const std::string head, head_of(source));
  if (const auto script = script_kind(head))
    return fail(
        Code::kUnsupported,
        fmt::format("{}: this is {}, not a video (playlists and scripts that refer to other files are "
                    "never opened)",
                    source.name, *script));
  if (is_text(head))
    return fail(Code::kCorruptInput, fmt::format("{}: this is a text file, not a video", source.name));
  return {};
}

// Why a demuxer gave up, in words if there are any.
Error open_error(const ByteSource& source, int err) {
  if (const auto shape = box_shape(source); shape && shape->boxes && !shape->moov)
    return {Code::kCorruptInput,
            fmt::format("{}: no moov: the upload is incomplete (an MP4's table of contents is missing{})",
                        source.name,
                        shape->missing_bytes == 0
                            ? std::string()
                            : fmt::format("; at least {} bytes are not there", shape->missing_bytes)),
            err};
  if (err == AVERROR(EINVAL))
    return {Code::kUnsupported,
            fmt::format(
                "{}: this kind of file is not accepted (still pictures are not, and nothing that refers to "
                "other files)",
                source.name),
            err};
  if (err == AVERROR(EBUSY)) err = AVERROR_INVALIDDATA;  // of a Y4M whose pictures are too large
  return {Code::kCorruptInput,
          av_error(err, fmt::format("{}: not a video or audio file that can be read", source.name)).message,
          err};
}

Result<void> check_streams(const AVFormatContext& format, std::int64_t most_pixels, const std::string& name) {
  for (unsigned i = 0; i < format.nb_streams; ++i)
    SPOOL_TRY(check_dimensions(*format.streams[i]->codecpar, most_pixels, name));
  return {};
}

// A decoder that is tried out while streams are looked at obeys the same limits.
int find_stream_info(AVFormatContext& format, std::int64_t most_pixels) {
  const unsigned count = format.nb_streams;
  std::vector<AVDictionary*> options(count, nullptr);
  for (AVDictionary*& each : options) {
    av_dict_set_int(&each, "max_pixels", most_pixels, 0);
    av_dict_set(&each, "threads", "1", 0);
  }
  const int err = avformat_find_stream_info(&format, count > 0 ? options.data() : nullptr);
  for (AVDictionary*& each : options) av_dict_free(&each);
  return err;
}

}  // namespace

struct Input::State {
  ByteSource source;
  std::stop_token stop;
  std::uint64_t position = 0;
  std::optional<Error> read_error;
  AVIOContext* io = nullptr;
  InputContext format;

  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    format.reset();
    if (io != nullptr) av_freep(&io->buffer);
    avio_context_free(&io);
  }

  static int read_bytes(void* opaque, std::uint8_t* into, int most) {
    auto& self = *static_cast<State*>(opaque);
    if (self.stop.stop_requested()) return AVERROR_EXIT;
    const std::span span(reinterpret_cast<std::byte*>(into), static_cast<std::size_t>(most));
    const auto got = self.source.read_at(self.position, span);
    if (!got) {
      self.read_error = got.error();
      return AVERROR(EIO);
    }
    if (*got == 0) return AVERROR_EOF;
    self.position += *got;
    return static_cast<int>(*got);
  }

  static std::int64_t seek_bytes(void* opaque, std::int64_t offset, int whence) {
    auto& self = *static_cast<State*>(opaque);
    const auto size = static_cast<std::int64_t>(self.source.size);
    switch (whence & ~AVSEEK_FORCE) {
      case AVSEEK_SIZE:
        return size;
      case SEEK_SET:
        break;
      case SEEK_CUR:
        offset += static_cast<std::int64_t>(self.position);
        break;
      case SEEK_END:
        offset += size;
        break;
      default:
        return AVERROR(EINVAL);
    }
    if (offset < 0) return AVERROR(EINVAL);
    self.position = static_cast<std::uint64_t>(offset);
    return offset;
  }

  // External references (mov's dref, and what else a format may think of) open nothing.
  static int refuse_open(AVFormatContext*, AVIOContext**, const char*, int, AVDictionary**) {
    return AVERROR(EPERM);
  }
};

Input::Input(std::unique_ptr<State> state) : state_(std::move(state)) {}
Input::Input(Input&&) noexcept = default;
Input& Input::operator=(Input&&) noexcept = default;
Input::~Input() = default;

AVFormatContext* Input::get() const {
  return state_->format.get();
}
const std::string& Input::name() const {
  return state_->source.name;
}

Result<Input> Input::open(ByteSource source, const OpenOptions& options) {
  take_log_over();
  SPOOL_TRY(refuse_scripts_and_text(source));
  auto state = std::make_unique<State>();
  state->source = std::move(source);
  state->stop = options.stop;
  const std::string name = state->source.name;

  auto* buffer = static_cast<unsigned char*>(av_malloc(kBufferBytes));
  state->io = avio_alloc_context(buffer, kBufferBytes, 0, state.get(), &State::read_bytes, nullptr,
                                 &State::seek_bytes);
  AVFormatContext* format = avformat_alloc_context();
  format->pb = state->io;
  format->io_open = &State::refuse_open;
  format->probesize = options.probe_bytes;
  format->flags |= AVFMT_FLAG_CUSTOM_IO;
  format->interrupt_callback = {
      [](void* opaque) { return static_cast<State*>(opaque)->stop.stop_requested() ? 1 : 0; }, state.get()};
  Dictionary dictionary;
  dictionary.set("format_whitelist", kDemuxers);
  dictionary.set("protocol_whitelist", "none");
  // On failure avformat_open_input frees the context itself.
  if (const int err = avformat_open_input(&format, "", nullptr, dictionary.out()); err < 0) {
    if (state->read_error) return fail(*state->read_error);
    if (options.stop.stop_requested())
      return fail(Code::kCancelled, fmt::format("{}: stopped while opening", name));
    return fail(open_error(state->source, err));
  }
  state->format.reset(format);
  if (state->read_error) return fail(*state->read_error);
  SPOOL_TRY(check_streams(*format, options.most_pixels, name));
  if (options.find_stream_info) {
    const int err = find_stream_info(*format, options.most_pixels);
    if (state->read_error) return fail(*state->read_error);
    if (options.stop.stop_requested())
      return fail(Code::kCancelled, fmt::format("{}: stopped while opening", name));
    if (err < 0) return fail_av(err, fmt::format("{}: cannot find its streams", name));
    SPOOL_TRY(check_streams(*format, options.most_pixels, name));
  }
  return Input(std::move(state));
}

Result<bool> Input::read(AVPacket& packet) {
  av_packet_unref(&packet);
  for (;;) {
    const int err = av_read_frame(get(), &packet);
    if (state_->read_error) return fail(*state_->read_error);
    if (err >= 0) return true;
    if (err == AVERROR(EAGAIN)) continue;
    if (state_->stop.stop_requested())
      return fail(Code::kCancelled, fmt::format("{}: stopped while reading", name()));
    if (err == AVERROR_EOF) return false;
    return fail_av(err, fmt::format("{}: reading", name()));
  }
}

Result<void> Input::seek(int stream, std::int64_t timestamp) {
  const int err = avformat_seek_file(get(), stream, INT64_MIN, timestamp, timestamp, 0);
  if (state_->read_error) return fail(*state_->read_error);
  if (err < 0) return fail_av(err, fmt::format("{}: seeking", name()));
  return {};
}

}  // namespace spool::av
