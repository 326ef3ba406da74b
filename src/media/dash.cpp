// The DASH manifest (ISO/IEC 23009-1), static, over the segments of HLS.
#include <fmt/format.h>

#include <algorithm>

#include "media/packaging.h"

namespace spool::media {
namespace {

using Kind = Rendition::Kind;

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        if (static_cast<unsigned char>(c) >= 0x20) out += c;
    }
  }
  return out;
}

double end_of(const Rendition& r) {
  if (r.segments.empty()) return 0;
  return double(r.segments.back().pts + r.segments.back().duration) / r.timescale;
}

// Runs of equal durations become one S with @r.
std::string timeline(const Rendition& r) {
  std::string text = fmt::format(
      "        <SegmentTemplate timescale=\"{}\" initialization=\"{}/init.mp4\" "
      "media=\"{}/$Number%05d$.m4s\" "
      "startNumber=\"1\">\n          <SegmentTimeline>\n",
      r.timescale, r.name, r.name);
  for (std::size_t i = 0; i < r.segments.size();) {
    const PackagedSegment& first = r.segments[i];
    std::size_t same = i + 1;
    while (same < r.segments.size() && r.segments[same].duration == first.duration &&
           r.segments[same].pts == r.segments[same - 1].pts + first.duration)
      ++same;
    text += fmt::format("            <S t=\"{}\" d=\"{}\"", first.pts, first.duration);
    if (same - i > 1) text += fmt::format(" r=\"{}\"", same - i - 1);
    text += "/>\n";
    i = same;
  }
  return text + "          </SegmentTimeline>\n        </SegmentTemplate>\n";
}

std::string language(const Rendition& r) {
  return r.language == "und" ? "" : fmt::format(" lang=\"{}\"", escaped(language_tag(r.language)));
}

// What tells two tracks of one language apart.
std::string label(const Rendition& r) {
  return r.label.empty() ? "" : fmt::format("      <Label>{}</Label>\n", escaped(r.label));
}

std::string representation(const Rendition& r, int target_seconds) {
  std::string text =
      fmt::format("      <Representation id=\"{}\" bandwidth=\"{}\" codecs=\"{}\"", escaped(r.name),
                  std::max<std::int64_t>(measured_bandwidth(r, target_seconds).peak, 1), escaped(r.codecs));
  if (r.kind == Kind::kVideo) {
    text += fmt::format(" width=\"{}\" height=\"{}\" sar=\"1:1\"", r.width, r.height);
    if (r.frame_rate.num > 0) text += fmt::format(" frameRate=\"{}/{}\"", r.frame_rate.num, r.frame_rate.den);
    text += ">\n";
  } else {
    text += fmt::format(
        " audioSamplingRate=\"{}\">\n        <AudioChannelConfiguration "
        "schemeIdUri=\"urn:mpeg:dash:23003:3:audio_channel_configuration:2011\" value=\"{}\"/>\n",
        r.sample_rate, r.channels);
  }
  return text + timeline(r) + "      </Representation>\n";
}

std::string subtitles(const Rendition& r) {
  return fmt::format(
      "    <AdaptationSet contentType=\"text\" mimeType=\"text/vtt\"{}>\n{}"
      "      <Role schemeIdUri=\"urn:mpeg:dash:role:2011\" value=\"{}\"/>\n"
      "      <Representation id=\"{}\" bandwidth=\"256\">\n        <BaseURL>{}/all.vtt</BaseURL>\n"
      "      </Representation>\n    </AdaptationSet>\n",
      language(r), label(r), r.forced ? "forced-subtitle" : "subtitle", escaped(r.name), escaped(r.name));
}

}  // namespace

std::string dash_mpd(const std::vector<Rendition>& renditions, int target_seconds) {
  double duration = 0;
  for (const Rendition& r : renditions) {
    if (r.kind != Kind::kSubtitles) duration = std::max(duration, end_of(r));
  }
  std::string text = fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
      "<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" profiles=\"urn:mpeg:dash:profile:isoff-live:2011,"
      "urn:mpeg:dash:profile:cmaf:2019\" type=\"static\" mediaPresentationDuration=\"PT{:.3f}S\" "
      "maxSegmentDuration=\"PT{}S\" minBufferTime=\"PT{}S\">\n  <Period id=\"0\" start=\"PT0S\">\n",
      duration, target_seconds + 1, target_seconds);
  bool any_video = false;
  for (const Rendition& r : renditions) any_video = any_video || r.kind == Kind::kVideo;
  if (any_video) {
    text +=
        "    <AdaptationSet contentType=\"video\" mimeType=\"video/mp4\" segmentAlignment=\"true\" "
        "startWithSAP=\"1\">\n";
    for (const Rendition& r : renditions) {
      if (r.kind == Kind::kVideo) text += representation(r, target_seconds);
    }
    text += "    </AdaptationSet>\n";
  }
  for (const Rendition& r : renditions) {
    if (r.kind != Kind::kAudio) continue;
    text += fmt::format(
        "    <AdaptationSet contentType=\"audio\" mimeType=\"audio/mp4\" segmentAlignment=\"true\" "
        "startWithSAP=\"1\"{}>\n{}      <Role schemeIdUri=\"urn:mpeg:dash:role:2011\" value=\"{}\"/>\n",
        language(r), label(r), r.is_default ? "main" : "alternate");
    text += representation(r, target_seconds) + "    </AdaptationSet>\n";
  }
  for (const Rendition& r : renditions) {
    if (r.kind == Kind::kSubtitles) text += subtitles(r);
  }
  return text + "  </Period>\n</MPD>\n";
}

}  // namespace spool::media
