#include "media/probe.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "av/file_shape.h"
#include "av/input.h"
#include "av/log.h"
#include "av/rational.h"
#include "base/utf8.h"
#include "media/loudness.h"
#include "media/packet_survey.h"
#include "media/picture.h"
#include "media/picture_evidence.h"
#include "media/probe_stream.h"

namespace spool::media {
namespace {

constexpr unsigned kMostStreams = 100;
constexpr unsigned kMostChapters = 500;
constexpr std::size_t kMostDocumentBytes = 240 << 10;

// One pass over the packets: surveys of all streams, pictures of one.
struct Pass {
  std::vector<PacketSurvey> surveys;
  PictureEvidence pictures;
  bool whole = false;  // the end was reached
  int undecodable = 0;
  std::string decoder_error;
};

// Frames that are ready, as many as are wanted.
void receive(av::Decoder& decoder, AVFrame& frame, int wanted, Pass& pass) {
  while (pass.pictures.frames() < wanted) {
    const auto got = decoder.receive(frame);
    if (!got) {
      ++pass.undecodable;
      return;
    }
    if (*got != av::Decoder::Received::kFrame) return;
    pass.pictures.add(frame);
  }
}

Result<Pass> survey(av::Input& input, std::optional<int> video, const ProbeOptions& options) {
  Pass pass;
  std::optional<av::Decoder> decoder;
  if (video) {
    const AVStream& stream = *input.get()->streams[*video];
    av::DecoderOptions opening;
    opening.most_pixels = options.most_pixels;
    opening.name = input.name();
    auto opened = av::Decoder::open(*stream.codecpar, stream.time_base, opening);
    if (opened)
      decoder = std::move(*opened);
    else
      pass.decoder_error = opened.error().message;
  }
  const av::Packet packet = av::make_packet();
  const av::Frame frame = av::make_frame();
  for (int i = 0; i < options.most_packets; ++i) {
    SPOOL_ASSIGN(const bool more, input.read(*packet));
    if (!more) {
      pass.whole = true;
      break;
    }
    const auto index = static_cast<std::size_t>(packet->stream_index);
    if (index >= kMostStreams) continue;
    if (index >= pass.surveys.size()) pass.surveys.resize(index + 1);
    pass.surveys[index].add(*packet);
    if (!decoder || packet->stream_index != *video || pass.pictures.frames() >= options.decoded_frames)
      continue;
    if (!decoder->send(packet.get())) ++pass.undecodable;
    receive(*decoder, *frame, options.decoded_frames, pass);
  }
  if (decoder && pass.pictures.frames() < options.decoded_frames && decoder->send(nullptr))
    receive(*decoder, *frame, options.decoded_frames, pass);
  pass.surveys.resize(std::min(input.get()->nb_streams, kMostStreams));
  return pass;
}

Json chapters_json(const AVFormatContext& format, bool personal) {
  Json chapters = Json::array();
  for (unsigned i = 0; i < std::min(format.nb_chapters, kMostChapters); ++i) {
    const AVChapter& chapter = *format.chapters[i];
    const Json tags = tags_json(chapter.metadata, personal);
    chapters.push_back({{"start", seconds_json(chapter.start, chapter.time_base)},
                        {"end", seconds_json(chapter.end, chapter.time_base)},
                        {"title", tags.value("title", Json())}});
  }
  return chapters;
}

void warn_of_missing(std::uint64_t bytes, Json& warnings) {
  if (bytes > 0)
    warnings.push_back(fmt::format("the file is cut off: at least {} bytes of its media are missing", bytes));
}

void warn_of_streams(const AVFormatContext& format, const Pass& pass, std::optional<int> video,
                     std::optional<int> audio, Json& warnings) {
  if (!video && !audio) warnings.push_back("there is neither video nor audio");
  for (std::size_t i = 0; i < pass.surveys.size(); ++i) {
    const AVStream& stream = *format.streams[i];
    const std::string_view type = type_name(stream);
    const bool plays = stream.codecpar->codec_type == AVMEDIA_TYPE_VIDEO ||
                       stream.codecpar->codec_type == AVMEDIA_TYPE_AUDIO;
    if (pass.whole && plays && pass.surveys[i].packets() == 0)
      warnings.push_back(fmt::format("stream {} ({}) has no samples: its duration is zero", i, type));
    if (pass.surveys[i].damaged() > 0)
      warnings.push_back(
          fmt::format("stream {} ({}): {} packets are damaged", i, type, pass.surveys[i].damaged()));
  }
  if (format.nb_streams > kMostStreams)
    warnings.push_back(
        fmt::format("{} streams; the first {} are described", format.nb_streams, kMostStreams));
  if (!pass.decoder_error.empty()) warnings.push_back(clean_text(pass.decoder_error));
  if (pass.undecodable > 0)
    warnings.push_back(fmt::format("{} of the first packets of video cannot be decoded", pass.undecodable));
}

Json duration_json(const AVFormatContext& format, const Pass& pass) {
  Json said = seconds_json(format.duration, AV_TIME_BASE_Q);
  if (!said.is_null() && said.get<double>() > 0) return said;
  if (!pass.whole) return nullptr;
  double longest = 0;
  for (std::size_t i = 0; i < pass.surveys.size(); ++i)
    longest = std::max(longest, pass.surveys[i].seconds(format.streams[i]->time_base));
  return longest > 0 ? Json(longest) : Json();
}

Json loudness_json(const ByteSource& source, int stream, std::stop_token stop, Json& warnings) {
  const auto measured = measure_loudness(source, stream, stop);
  if (!measured) {
    warnings.push_back(
        clean_text(fmt::format("its loudness cannot be measured: {}", measured.error().message)));
    return nullptr;
  }
  return {{"integrated_lufs", measured->integrated_lufs},
          {"range_lu", measured->range_lu},
          {"true_peak_dbtp", measured->true_peak_dbtp}};
}

// A result of a job is bounded; a file's words are what can be spared.
void shrink(Json& document) {
  if (to_text(document).size() <= kMostDocumentBytes) return;
  document["chapters"] = Json::array();
  document["tags"] = Json::object();
  for (Json& stream : document["streams"]) stream["tags"] = Json::object();
  document["warnings"].push_back("tags and chapters are left out: there are too many");
}

std::optional<int> pick_audio(const AVFormatContext& format) {
  const int found =
      av_find_best_stream(const_cast<AVFormatContext*>(&format), AVMEDIA_TYPE_AUDIO, -1, -1, nullptr, 0);
  return found >= 0 ? std::optional(found) : std::nullopt;
}

}  // namespace

Result<Json> probe(const ByteSource& source, const ProbeOptions& options, std::stop_token stop) {
  const av::LogCapture said;
  av::OpenOptions opening;
  opening.stop = stop;
  opening.most_pixels = options.most_pixels;
  SPOOL_ASSIGN(const std::uint64_t missing, av::missing_bytes(source));
  SPOOL_ASSIGN(av::Input input, av::Input::open(source, opening));
  const AVFormatContext& format = *input.get();
  const std::optional<int> video = pick_video_stream(format);
  const std::optional<int> audio = pick_audio(format);
  SPOOL_ASSIGN(const Pass pass, survey(input, video, options));

  Json warnings = Json::array();
  warn_of_missing(missing, warnings);
  warn_of_streams(format, pass, video, audio, warnings);
  Json streams = Json::array();
  for (std::size_t i = 0; i < pass.surveys.size(); ++i) {
    const bool main = video && static_cast<int>(i) == *video;
    streams.push_back(stream_json(*format.streams[i], pass.surveys[i], main ? &pass.pictures : nullptr,
                                  pass.whole, options.personal_tags));
  }
  Json document = {{"format", format.iformat->name},
                   {"size_bytes", source.size},
                   {"duration", duration_json(format, pass)},
                   {"start", seconds_json(format.start_time, AV_TIME_BASE_Q)},
                   {"tags", tags_json(format.metadata, options.personal_tags)},
                   {"chapters", chapters_json(format, options.personal_tags)},
                   {"streams", std::move(streams)},
                   {"main_video", video ? Json(*video) : Json()},
                   {"main_audio", audio ? Json(*audio) : Json()},
                   {"examined_whole", pass.whole}};
  const Json& duration = document["duration"];
  document["bit_rate"] =
      duration.is_null() ? Json()
                         : Json(std::llround(static_cast<double>(source.size) * 8 / duration.get<double>()));
  if (options.loudness && audio) document["loudness"] = loudness_json(source, *audio, stop, warnings);
  if (stop.stop_requested())
    return fail(Code::kCancelled, fmt::format("{}: stopped while probing", source.name));
  document["warnings"] = std::move(warnings);
  shrink(document);
  return document;
}

}  // namespace spool::media
