// HLS playlists (RFC 8216) and what HLS and DASH share.
#include "media/packaging.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

namespace spool::media {
namespace {

using Kind = Rendition::Kind;

constexpr std::pair<const char*, const char*> kLanguages[] = {
    {"ara", "ar"}, {"bul", "bg"}, {"cat", "ca"}, {"ces", "cs"}, {"cze", "cs"}, {"chi", "zh"}, {"zho", "zh"},
    {"dan", "da"}, {"deu", "de"}, {"ger", "de"}, {"ell", "el"}, {"gre", "el"}, {"eng", "en"}, {"est", "et"},
    {"eus", "eu"}, {"fas", "fa"}, {"fin", "fi"}, {"fra", "fr"}, {"fre", "fr"}, {"heb", "he"}, {"hin", "hi"},
    {"hrv", "hr"}, {"hun", "hu"}, {"ind", "id"}, {"isl", "is"}, {"ita", "it"}, {"jpn", "ja"}, {"kor", "ko"},
    {"lav", "lv"}, {"lit", "lt"}, {"nld", "nl"}, {"dut", "nl"}, {"nor", "no"}, {"pol", "pl"}, {"por", "pt"},
    {"ron", "ro"}, {"rum", "ro"}, {"rus", "ru"}, {"slk", "sk"}, {"slv", "sl"}, {"spa", "es"}, {"srp", "sr"},
    {"swe", "sv"}, {"tha", "th"}, {"tur", "tr"}, {"ukr", "uk"}, {"vie", "vi"}};

double seconds(const Rendition& rendition, std::int64_t ticks) {
  return double(ticks) / rendition.timescale;
}

struct Piece {
  double seconds;
  std::int64_t bytes;
};

Bandwidth bandwidth_of(const std::vector<Piece>& pieces, int target_seconds) {
  Bandwidth result;
  double all_seconds = 0;
  std::int64_t all_bytes = 0;
  for (std::size_t from = 0; from < pieces.size(); ++from) {
    all_seconds += pieces[from].seconds;
    all_bytes += pieces[from].bytes;
    double length = 0;
    std::int64_t bytes = 0;
    for (std::size_t to = from;
         to < pieces.size() && length + pieces[to].seconds <= kLongestRun * target_seconds; ++to) {
      length += pieces[to].seconds;
      bytes += pieces[to].bytes;
      if (length >= kShortestRun * target_seconds)
        result.peak =
            std::max(result.peak, static_cast<std::int64_t>(std::ceil(8.0 * double(bytes) / length)));
    }
  }
  if (all_seconds > 0)
    result.average = static_cast<std::int64_t>(std::ceil(8.0 * double(all_bytes) / all_seconds));
  result.peak = std::max(result.peak, result.average);  // films shorter than half a target duration
  return result;
}

std::vector<Piece> iframes(const Rendition& rendition) {
  std::vector<Piece> pieces;
  for (const auto& segment : rendition.segments)
    for (const auto& f : segment.fragments) pieces.push_back({seconds(rendition, f.duration), f.bytes});
  return pieces;
}

// Attribute values may hold neither quotes nor line breaks (section 4.2).
std::string quoted(std::string text) {
  std::erase_if(text, [](char c) { return c == '"' || static_cast<unsigned char>(c) < 0x20; });
  return '"' + text + '"';
}

std::string header(int target_seconds) {
  return fmt::format(
      "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:{}\n#EXT-X-MEDIA-SEQUENCE:0\n"
      "#EXT-X-PLAYLIST-TYPE:EVENT\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-START:TIME-OFFSET=0\n",
      target_seconds);
}

std::string label(const Rendition& rendition) {
  if (!rendition.label.empty()) return rendition.label;
  if (rendition.language != "und") return language_tag(rendition.language);
  return rendition.kind == Kind::kAudio ? "Audio" : "Subtitles";
}

// Names within a group must differ (section 4.3.4.1.1).
std::string media_line(const Rendition& rendition, const std::string& playlist,
                       std::vector<std::string>& names) {
  std::string name = label(rendition);
  for (int n = 2; std::ranges::find(names, name) != names.end(); ++n)
    name = fmt::format("{} {}", label(rendition), n);
  names.push_back(name);
  const bool audio = rendition.kind == Kind::kAudio;
  std::string line = fmt::format("#EXT-X-MEDIA:TYPE={},GROUP-ID=\"{}\",NAME={}",
                                 audio ? "AUDIO" : "SUBTITLES", audio ? "audio" : "subtitles", quoted(name));
  if (rendition.language != "und")
    line += fmt::format(",LANGUAGE={}", quoted(language_tag(rendition.language)));
  line += fmt::format(",DEFAULT={},AUTOSELECT=YES", rendition.is_default ? "YES" : "NO");
  if (!audio) line += fmt::format(",FORCED={}", rendition.forced ? "YES" : "NO");
  if (audio) line += fmt::format(",CHANNELS=\"{}\"", rendition.channels);
  return line + fmt::format(",URI=\"{}/{}\"\n", rendition.name, playlist);
}

// What may be declared: measured when all is there, the bound until then.
Bandwidth declared(const Rendition& rendition, int target_seconds) {
  const Bandwidth measured = measured_bandwidth(rendition, target_seconds);
  if (rendition.complete) return measured;
  return {std::max(measured.peak, rendition.bandwidth_bound), std::max<std::int64_t>(measured.average, 0)};
}

struct Groups {
  Bandwidth audio;  // of its greediest member
  std::string audio_codecs;
  const Rendition* default_audio = nullptr;
  bool subtitles = false;
};

std::string stream_line(const Bandwidth& bandwidth, bool all_measured, const std::string& codecs) {
  std::string line = fmt::format("#EXT-X-STREAM-INF:BANDWIDTH={}", bandwidth.peak);
  if (all_measured) line += fmt::format(",AVERAGE-BANDWIDTH={}", bandwidth.average);
  return line + fmt::format(",CODECS=\"{}\"", codecs);
}

std::string variant(const Rendition& video, const Groups& groups, int target_seconds,
                    const std::string& playlist) {
  const Bandwidth own = declared(video, target_seconds);
  const Bandwidth sum{own.peak + groups.audio.peak, own.average + groups.audio.average};
  const bool measured = video.complete && (groups.default_audio == nullptr || groups.default_audio->complete);
  std::string codecs = video.codecs;
  if (!groups.audio_codecs.empty()) codecs += "," + groups.audio_codecs;
  std::string line = stream_line(sum, measured, codecs);
  line += fmt::format(",RESOLUTION={}x{}", video.width, video.height);
  if (video.frame_rate.num > 0) line += fmt::format(",FRAME-RATE={:.3f}", av_q2d(video.frame_rate));
  if (groups.default_audio != nullptr) line += ",AUDIO=\"audio\"";
  if (groups.subtitles) line += ",SUBTITLES=\"subtitles\"";
  return line + fmt::format(",CLOSED-CAPTIONS=NONE\n{}/{}\n", video.name, playlist);
}

Groups groups_of(const std::vector<Rendition>& renditions, int target_seconds) {
  Groups groups;
  std::vector<std::string> codecs;
  for (const Rendition& r : renditions) {
    if (r.kind == Kind::kSubtitles) groups.subtitles = true;
    if (r.kind != Kind::kAudio) continue;
    const Bandwidth own = declared(r, target_seconds);
    groups.audio = {std::max(groups.audio.peak, own.peak), std::max(groups.audio.average, own.average)};
    if (std::ranges::find(codecs, r.codecs) == codecs.end()) codecs.push_back(r.codecs);
    if (groups.default_audio == nullptr || (r.is_default && !groups.default_audio->is_default))
      groups.default_audio = &r;
  }
  for (const auto& name : codecs) groups.audio_codecs += (groups.audio_codecs.empty() ? "" : ",") + name;
  return groups;
}

}  // namespace

PackagedSegment packaged(const Segment& segment) {
  return {segment.pts, segment.duration, static_cast<std::int64_t>(segment.bytes.size()), segment.fragments};
}

Json to_json(const PackagedSegment& segment) {
  Json fragments = Json::array();
  for (const Fragment& f : segment.fragments) fragments.push_back({f.offset, f.bytes, f.pts, f.duration});
  return {
      {"pts", segment.pts}, {"duration", segment.duration}, {"bytes", segment.bytes}, {"idrs", fragments}};
}

Result<PackagedSegment> packaged_segment_from_json(const Json& value) {
  const auto number = [](const Json& j) { return j.is_number_integer() ? j.get<std::int64_t>() : -1; };
  const auto bad = [] { return fail(Code::kInvalidArgument, "a segment's description makes no sense"); };
  if (!value.is_object()) return bad();
  PackagedSegment segment{number(value.value("pts", Json())),
                          number(value.value("duration", Json())),
                          number(value.value("bytes", Json())),
                          {}};
  const Json idrs = value.value("idrs", Json());
  if (segment.pts < 0 || segment.duration <= 0 || segment.bytes <= 0 || !idrs.is_array()) return bad();
  for (const Json& f : idrs) {
    if (!f.is_array() || f.size() != 4) return bad();
    const Fragment fragment{number(f[0]), number(f[1]),
                            f[2].is_number_integer() ? f[2].get<std::int64_t>() : 0, number(f[3])};
    if (fragment.offset < 0 || fragment.bytes <= 0 || fragment.duration <= 0 ||
        fragment.offset > segment.bytes - fragment.bytes)
      return bad();
    segment.fragments.push_back(fragment);
  }
  return segment;
}

std::string segment_name(std::size_t index, Kind kind) {
  return fmt::format("{:05}.{}", index + 1, kind == Kind::kSubtitles ? "vtt" : "m4s");
}

std::string language_tag(const std::string& iso639_2) {
  const auto* found =
      std::ranges::find_if(kLanguages, [&](const auto& pair) { return iso639_2 == pair.first; });
  return found == std::end(kLanguages) ? iso639_2 : found->second;
}

int target_duration(const std::vector<double>& segment_seconds) {
  double longest = 1;
  for (const double s : segment_seconds) longest = std::max(longest, s);
  return static_cast<int>(std::lround(longest));
}

Bandwidth measured_bandwidth(const Rendition& rendition, int target_seconds) {
  std::vector<Piece> pieces;
  for (const auto& s : rendition.segments) pieces.push_back({seconds(rendition, s.duration), s.bytes});
  return bandwidth_of(pieces, target_seconds);
}

Bandwidth measured_iframe_bandwidth(const Rendition& rendition, int target_seconds) {
  return bandwidth_of(iframes(rendition), target_seconds);
}

std::string hls_media_playlist(const Rendition& rendition, int target_seconds) {
  std::string text = header(target_seconds);
  if (rendition.kind != Kind::kSubtitles) text += "#EXT-X-MAP:URI=\"init.mp4\"\n";
  for (std::size_t i = 0; i < rendition.segments.size(); ++i)
    text += fmt::format("#EXTINF:{:.6f},\n{}\n", seconds(rendition, rendition.segments[i].duration),
                        segment_name(i, rendition.kind));
  if (rendition.complete) text += "#EXT-X-ENDLIST\n";
  return text;
}

std::string hls_iframe_playlist(const Rendition& rendition, int target_seconds) {
  std::string text = header(target_seconds) + "#EXT-X-I-FRAMES-ONLY\n#EXT-X-MAP:URI=\"init.mp4\"\n";
  for (std::size_t i = 0; i < rendition.segments.size(); ++i) {
    for (const Fragment& f : rendition.segments[i].fragments)
      text += fmt::format("#EXTINF:{:.6f},\n#EXT-X-BYTERANGE:{}@{}\n{}\n", seconds(rendition, f.duration),
                          f.bytes, f.offset, segment_name(i));
  }
  if (rendition.complete) text += "#EXT-X-ENDLIST\n";
  return text;
}

std::string hls_master(const std::vector<Rendition>& renditions, int target_seconds,
                       const PlaylistNames& playlists) {
  std::string text = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n";
  const Groups groups = groups_of(renditions, target_seconds);
  bool default_subtitles = false;
  for (const Kind kind : {Kind::kAudio, Kind::kSubtitles}) {
    std::vector<std::string> names;
    for (const Rendition& r : renditions) {
      if (r.kind != kind) continue;
      Rendition once = r;  // at most one default a group
      once.is_default =
          kind == Kind::kAudio ? &r == groups.default_audio : r.is_default && !default_subtitles;
      default_subtitles = default_subtitles || (kind == Kind::kSubtitles && once.is_default);
      text += media_line(once, playlists.media, names);
    }
  }
  for (const Rendition& r : renditions) {
    if (r.kind == Kind::kVideo) text += variant(r, groups, target_seconds, playlists.media);
  }
  if (const Rendition* audio = groups.default_audio) {
    const Bandwidth own = declared(*audio, target_seconds);
    text += stream_line({std::max(own.peak, groups.audio.peak), std::max(own.average, groups.audio.average)},
                        audio->complete, groups.audio_codecs) +
            fmt::format(",AUDIO=\"audio\"\n{}/{}\n", audio->name, playlists.media);
  }
  for (const Rendition& r : renditions) {
    if (r.kind != Kind::kVideo) continue;
    Bandwidth own = measured_iframe_bandwidth(r, target_seconds);
    if (!r.complete) own.peak = std::max(own.peak, r.bandwidth_bound);
    text +=
        fmt::format("#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH={},CODECS=\"{}\",RESOLUTION={}x{},URI=\"{}/{}\"\n",
                    own.peak, r.codecs, r.width, r.height, r.name, playlists.iframes);
  }
  return text;
}

}  // namespace spool::media
