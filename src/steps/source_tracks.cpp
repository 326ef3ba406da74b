#include "steps/source_tracks.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "av/file_shape.h"
#include "av/input.h"
#include "base/utf8.h"
#include "media/picture.h"
#include "media/probe.h"
#include "media/subtitles.h"

namespace spool::steps {
namespace {

constexpr std::size_t kMostAudioTracks = 16;
constexpr std::size_t kMostTextTracks = 32;
constexpr std::size_t kMostLabelBytes = 100;
constexpr std::size_t kMostNotes = 32;  // a file may claim thousands of streams

void leave_out(SourceTracks& found, const char* what, const AVStream& stream, const std::string& why) {
  if (found.notes.size() < kMostNotes)
    found.notes.push_back(fmt::format("the {} in stream {} was left out: {}", what, stream.index, why));
}

std::string tag(const AVDictionary* metadata, const char* key) {
  const AVDictionaryEntry* entry = av_dict_get(metadata, key, nullptr, 0);
  return entry == nullptr ? "" : entry->value;
}

std::string label_of(const AVStream& stream) {
  return clean_text(tag(stream.metadata, "title"), kMostLabelBytes);
}

// Three letters or nothing: it becomes part of a folder's name.
std::string language_of(const AVStream& stream) {
  const std::string language = tag(stream.metadata, "language");
  const bool plain = language.size() == 3 && std::all_of(language.begin(), language.end(),
                                                         [](char c) { return c >= 'a' && c <= 'z'; });
  return plain ? language : "und";
}

// An MP4's table of contents that is all there is, and lists nothing of this stream.
Result<bool> is_empty(const ByteSource& source, const av::Input& input, const AVStream& stream) {
  const bool mp4 = std::strstr(input.get()->iformat->name, "mp4") != nullptr;
  if (!mp4 || avformat_index_get_entries_count(&stream) > 0) return false;
  SPOOL_ASSIGN(const av::BoxShape shape, av::box_shape(source));
  return !shape.fragments;
}

void take_audio(const AVStream& stream, SourceTracks& found) {
  if (stream.codecpar->codec_id == AV_CODEC_ID_NONE) return;
  if (found.audio.size() == kMostAudioTracks)
    return leave_out(found, "audio", stream, fmt::format("{} tracks are the most", kMostAudioTracks));
  found.audio.push_back({stream.index, language_of(stream), label_of(stream),
                         (stream.disposition & AV_DISPOSITION_DEFAULT) != 0});
}

void take_text(const AVStream& stream, SourceTracks& found) {
  const AVCodecID codec = stream.codecpar->codec_id;
  std::string why;
  if (!media::is_text_subtitle(codec))
    why = fmt::format("it holds pictures ({})", avcodec_get_name(codec));
  else if (avcodec_find_decoder(codec) == nullptr)
    why = fmt::format("{} is not read here", avcodec_get_name(codec));
  else if (found.text.size() == kMostTextTracks)
    why = fmt::format("{} tracks are the most", kMostTextTracks);
  if (!why.empty()) return leave_out(found, "subtitle track", stream, why);
  found.text.push_back({stream.index, language_of(stream), label_of(stream),
                        (stream.disposition & AV_DISPOSITION_DEFAULT) != 0,
                        (stream.disposition & AV_DISPOSITION_FORCED) != 0});
}

}  // namespace

Result<SourceTracks> find_tracks(const ByteSource& source, const av::Input& input) {
  SourceTracks found;
  found.video = media::pick_video_stream(*input.get()).has_value();
  for (unsigned i = 0; i < input.get()->nb_streams; ++i) {
    const AVStream& stream = *input.get()->streams[i];
    if (stream.codecpar->codec_type == AVMEDIA_TYPE_AUDIO) {
      SPOOL_ASSIGN(const bool empty, is_empty(source, input, stream));
      if (empty)  // told before anything is published, not when the sound is decoded
        return fail(Code::kCorruptInput,
                    fmt::format("{}: its sound (stream {}) has no samples", input.name(), i));
      take_audio(stream, found);
    }
    if (stream.codecpar->codec_type == AVMEDIA_TYPE_SUBTITLE) take_text(stream, found);
  }
  // One default, the first that says so.
  const auto chosen =
      std::find_if(found.audio.begin(), found.audio.end(), [](const AudioTrack& t) { return t.is_default; });
  const auto first = chosen == found.audio.end() ? found.audio.begin() : chosen;
  for (auto it = found.audio.begin(); it != found.audio.end(); ++it) it->is_default = it == first;
  if (!found.video && found.audio.empty())
    return fail(Code::kUnsupported,
                fmt::format("{}: there is no video and no audio in it that can be decoded", input.name()));
  return found;
}

}  // namespace spool::steps
