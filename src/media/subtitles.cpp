#include "media/subtitles.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "av/decoder.h"
#include "av/input.h"

namespace spool::media {
namespace {

constexpr std::size_t kMostBytes = 32u << 20;
constexpr std::size_t kMostCues = 500'000;
constexpr std::int64_t kMostMilliseconds = 1000LL * 3600 * 1000;

std::optional<std::int64_t> digits(std::string_view text) {
  if (text.empty() || text.size() > 6) return std::nullopt;
  std::int64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  return value;
}

// [H...:]MM:SS[.,]mmm
std::optional<std::int64_t> parse_time(std::string_view text) {
  const std::size_t point = text.find_first_of(".,");
  if (point == std::string_view::npos || text.size() - point != 4) return std::nullopt;
  const auto milliseconds = digits(text.substr(point + 1));
  std::int64_t total = 0;
  int fields = 0;
  std::string_view rest = text.substr(0, point);
  while (true) {
    const std::size_t colon = rest.find(':');
    const auto value = digits(rest.substr(0, colon));
    if (!value || ++fields > 3) return std::nullopt;
    total = total * 60 + *value;
    if (colon == std::string_view::npos) break;
    rest = rest.substr(colon + 1);
  }
  if (!milliseconds || fields < 2) return std::nullopt;
  total = total * 1000 + *milliseconds;
  return total <= kMostMilliseconds ? std::optional(total) : std::nullopt;
}

std::string_view trimmed(std::string_view text) {
  const auto space = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
  while (!text.empty() && space(text.front())) text.remove_prefix(1);
  while (!text.empty() && space(text.back())) text.remove_suffix(1);
  return text;
}

// "line:90% align:start": names that WebVTT knows, and nothing that could end the line.
std::string checked_settings(std::string_view text) {
  std::string kept;
  while (!(text = trimmed(text)).empty()) {
    const std::string_view word = text.substr(0, text.find_first_of(" \t"));
    text.remove_prefix(word.size());
    const std::string_view name = word.substr(0, word.find(':'));
    constexpr std::array<std::string_view, 5> known = {"line", "position", "align", "size", "vertical"};
    const bool plain = std::ranges::all_of(word, [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == ':' || c == '%' || c == '.' ||
             c == ',' || c == '-';
    });
    if (plain && word.size() > name.size() + 1 && std::ranges::find(known, name) != known.end())
      kept += (kept.empty() ? "" : " ") + std::string(word);
  }
  return kept;
}

// "00:00:01,000 --> 00:00:02,000 line:0"
std::optional<Cue> parse_timing(std::string_view line) {
  const std::size_t arrow = line.find("-->");
  if (arrow == std::string_view::npos) return std::nullopt;
  const std::string_view right = trimmed(line.substr(arrow + 3));
  const std::string_view end_text = right.substr(0, right.find_first_of(" \t"));
  const auto begin = parse_time(trimmed(line.substr(0, arrow))), end = parse_time(end_text);
  if (!begin || !end || *end <= *begin) return std::nullopt;
  return Cue{*begin, *end, checked_settings(right.substr(end_text.size())), {}};
}

// Length of the UTF-8 sequence at the front (RFC 3629), 0 if there is none.
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const unsigned first = byte(0);
  const std::size_t length = first < 0x80                    ? 1
                             : first >= 0xc2 && first < 0xe0 ? 2
                             : first >= 0xe0 && first < 0xf0 ? 3
                             : first >= 0xf0 && first < 0xf5 ? 4
                                                             : 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  if ((first == 0xe0 && byte(1) < 0xa0) || (first == 0xed && byte(1) > 0x9f) ||
      (first == 0xf0 && byte(1) < 0x90) || (first == 0xf4 && byte(1) > 0x8f))
    return 0;
  return length;
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

// Windows-1252, but for the few signs in 80..9f that subtitles use: taken as Latin-1.
std::string to_utf8(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) {
      out += c;
      continue;
    }
    unsigned point = byte;
    switch (byte) {
      case 0x80:
        point = 0x20ac;
        break;
      case 0x85:
        point = 0x2026;
        break;
      case 0x91:
        point = 0x2018;
        break;
      case 0x92:
        point = 0x2019;
        break;
      case 0x93:
        point = 0x201c;
        break;
      case 0x94:
        point = 0x201d;
        break;
      case 0x96:
        point = 0x2013;
        break;
      case 0x97:
        point = 0x2014;
        break;
      default:
        break;
    }
    if (point < 0x800) {
      out += static_cast<char>(0xc0 | point >> 6);
    } else {
      out += static_cast<char>(0xe0 | point >> 12);
      out += static_cast<char>(0x80 | (point >> 6 & 0x3f));
    }
    out += static_cast<char>(0x80 | (point & 0x3f));
  }
  return out;
}

// <i>, <b>, <u> and their ends; others give nothing.
class Styles {
 public:
  void open(char style, std::string& out) {
    if (open_.find(style) != std::string::npos) return;
    open_ += style;
    out += fmt::format("<{}>", style);
  }
  // Closes what was opened inside it too, and opens that again.
  void close(char style, std::string& out) {
    const std::size_t at = open_.find(style);
    if (at == std::string::npos) return;
    const std::string inside = open_.substr(at + 1);
    for (std::size_t i = open_.size(); i > at; --i) out += fmt::format("</{}>", open_[i - 1]);
    open_.resize(at);
    for (const char c : inside) open(c, out);
  }
  void close_all(std::string& out) {
    while (!open_.empty()) {
      out += fmt::format("</{}>", open_.back());
      open_.pop_back();
    }
  }

 private:
  std::string open_;
};

void escape(char c, std::string& out) {
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
    case '\r':
      break;
    case '\n':
      // An empty line would end the cue.
      if (!out.empty() && out.back() != '\n') out += c;
      break;
    default:
      if (static_cast<unsigned char>(c) >= 0x20 || c == '\t') out += c;
  }
}

std::string finished(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text;
}

std::string timestamp(std::int64_t ms) {
  return fmt::format("{:02}:{:02}:{:02}.{:03}", ms / 3'600'000, ms / 60'000 % 60, ms / 1000 % 60, ms % 1000);
}

void write_cue(std::string& out, const Cue& cue) {
  out += fmt::format("\n{} --> {}{}{}\n{}\n", timestamp(cue.begin), timestamp(cue.end),
                     cue.settings.empty() ? "" : " ", cue.settings, cue.text);
}

// What follows the eighth comma: ReadOrder,Layer,Style,Name,MarginL,MarginR,MarginV,Effect,Text.
std::string_view ass_event_text(std::string_view event) {
  for (int i = 0; i < 8; ++i) {
    const std::size_t comma = event.find(',');
    if (comma == std::string_view::npos) return {};
    event.remove_prefix(comma + 1);
  }
  return event;
}

std::string text_of(const AVSubtitle& subtitle) {
  std::string text;
  for (unsigned i = 0; i < subtitle.num_rects; ++i) {
    const AVSubtitleRect& rect = *subtitle.rects[i];
    std::string part;
    if (rect.ass != nullptr)
      part = webvtt_text_of_ass(ass_event_text(rect.ass));
    else if (rect.text != nullptr)
      part = webvtt_text(rect.text);
    if (!part.empty()) text += (text.empty() ? "" : "\n") + part;
  }
  return text;
}

}  // namespace

std::string webvtt_text(std::string_view text) {
  std::string out;
  Styles styles;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '&') {
      const std::size_t end = text.find(';', i);
      const std::string_view name = end == std::string_view::npos ? "" : text.substr(i, end - i + 1);
      constexpr std::array<std::string_view, 6> known = {"&amp;", "&lt;", "&gt;", "&nbsp;", "&lrm;", "&rlm;"};
      if (std::ranges::find(known, name) != known.end()) {
        out += name;
        i = end;
        continue;
      }
    }
    const std::size_t end = text[i] == '<' ? text.find('>', i) : std::string_view::npos;
    if (end == std::string_view::npos) {
      escape(text[i], out);
      continue;
    }
    const std::string_view tag = text.substr(i + 1, end - i - 1);
    const auto letter = static_cast<char>(tag.empty() ? 0 : tag.back() | 0x20);
    const bool style = letter == 'i' || letter == 'b' || letter == 'u';
    const bool markup = !tag.empty() && (tag.front() == '/' || (tag.front() | 0x20) >= 'a') &&
                        tag.find('<') == std::string_view::npos && tag.find('\n') == std::string_view::npos;
    if (!markup) {
      escape('<', out);
      continue;
    }
    if (style && tag.size() == 1) styles.open(letter, out);
    if (style && tag.size() == 2 && tag.front() == '/') styles.close(letter, out);
    i = end;
  }
  out = finished(std::move(out));
  styles.close_all(out);
  return out;
}

std::string webvtt_text_of_ass(std::string_view text) {
  std::string out;
  Styles styles;
  bool drawing = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '{') {
      const std::size_t end = text.find('}', i);
      if (end == std::string_view::npos) break;
      const std::string_view codes = text.substr(i, end - i);
      for (std::size_t at = codes.find('\\'); at != std::string_view::npos; at = codes.find('\\', at + 1)) {
        const std::string_view code = codes.substr(at + 1, codes.find('\\', at + 1) - at - 1);
        if (code.size() == 2 && (code[0] == 'i' || code[0] == 'b' || code[0] == 'u'))
          code[1] == '0' ? styles.close(code[0], out) : styles.open(code[0], out);
        if (code.size() == 2 && code[0] == 'p') drawing = code[1] != '0';
        if (code.starts_with('r')) styles.close_all(out);
      }
      i = end;
    } else if (drawing) {
      continue;  // a shape's path is no text
    } else if (text[i] == '\\' && i + 1 < text.size() && (text[i + 1] == 'N' || text[i + 1] == 'n')) {
      escape('\n', out);
      ++i;
    } else if (text[i] == '\\' && i + 1 < text.size() && text[i + 1] == 'h') {
      out += "&nbsp;";
      ++i;
    } else {
      escape(text[i], out);
    }
  }
  out = finished(std::move(out));
  styles.close_all(out);
  return out;
}

Result<std::vector<Cue>> parse_subtitles(std::string_view file, const std::string& name) {
  if (file.size() > kMostBytes) return fail(Code::kLimitExceeded, fmt::format("{}: more than 32 MiB", name));
  if (file.starts_with("\xef\xbb\xbf")) file.remove_prefix(3);
  const std::string text = is_utf8(file) ? std::string(file) : to_utf8(file);
  std::vector<Cue> cues;
  std::optional<Cue> open;
  std::string body;
  const auto finish = [&] {
    if (open) open->text = webvtt_text(body);
    if (open && !open->text.empty()) cues.push_back(std::move(*open));
    open.reset();
    body.clear();
  };
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = trimmed(std::string_view(text).substr(at, end - at));
    at = end + 1;
    if (line.empty()) {
      finish();
    } else if (line.find("-->") != std::string_view::npos) {
      finish();
      open = parse_timing(line);
    } else if (open) {
      body += line;
      body += '\n';
    }
    if (cues.size() > kMostCues)
      return fail(Code::kLimitExceeded, fmt::format("{}: more than 500000 cues", name));
  }
  finish();
  if (cues.empty())
    return fail(Code::kCorruptInput, fmt::format("{}: no subtitles in it (.srt and .vtt are read)", name));
  return cues;
}

bool is_text_subtitle(AVCodecID codec) {
  const AVCodecDescriptor* descriptor = avcodec_descriptor_get(codec);
  return descriptor != nullptr && descriptor->type == AVMEDIA_TYPE_SUBTITLE &&
         (descriptor->props & AV_CODEC_PROP_TEXT_SUB) != 0;
}

Result<std::vector<Cue>> read_subtitles(ByteSource source, int stream, double begin_seconds,
                                        std::stop_token stop) {
  const std::string name = source.name;
  SPOOL_ASSIGN(auto input, av::Input::open(std::move(source), {.stop = stop}));
  AVFormatContext* format = input.get();
  if (stream < 0 || stream >= static_cast<int>(format->nb_streams) ||
      format->streams[stream]->codecpar->codec_type != AVMEDIA_TYPE_SUBTITLE)
    return fail(Code::kUnsupported, fmt::format("{}: no subtitles in stream {}", name, stream));
  const AVStream& track = *format->streams[stream];
  const char* codec_name = avcodec_get_name(track.codecpar->codec_id);
  if (!is_text_subtitle(track.codecpar->codec_id))
    return fail(Code::kUnsupported,
                fmt::format("{}: the subtitles in stream {} are pictures ({}) and cannot become text", name,
                            stream, codec_name));
  SPOOL_ASSIGN(const av::Decoder decoder,
               av::Decoder::open(*track.codecpar, track.time_base, {.name = name}));
  for (int i = 0; i < static_cast<int>(format->nb_streams); ++i)
    if (i != stream) format->streams[i]->discard = AVDISCARD_ALL;

  std::vector<Cue> cues;
  const auto packet = av::make_packet();
  for (;;) {
    SPOOL_ASSIGN(const bool more, input.read(*packet));
    if (!more) return cues;
    if (packet->stream_index != stream || packet->pts == AV_NOPTS_VALUE || packet->size == 0) continue;
    AVSubtitle subtitle{};
    int got = 0;
    if (avcodec_decode_subtitle2(decoder.get(), &subtitle, &got, packet.get()) < 0 || got == 0) continue;
    const double seconds = double(packet->pts) * av_q2d(track.time_base) - begin_seconds;
    const double lasts = double(packet->duration) * av_q2d(track.time_base);
    Cue cue{std::llround(seconds * 1000), std::llround((seconds + lasts) * 1000), {}, text_of(subtitle)};
    avsubtitle_free(&subtitle);
    if (cue.end > cue.begin && !cue.text.empty()) cues.push_back(std::move(cue));
    if (cues.size() > kMostCues)
      return fail(Code::kLimitExceeded, fmt::format("{}: more than 500000 cues", name));
  }
}

SubtitleSegments segment_subtitles(std::vector<Cue> cues, const std::vector<double>& borders,
                                   double film_seconds) {
  const std::int64_t film_end = std::llround(film_seconds * 1000);
  for (Cue& cue : cues) {
    cue.begin = std::max<std::int64_t>(cue.begin, 0);
    cue.end = std::min(cue.end, film_end);
  }
  std::erase_if(cues, [](const Cue& cue) { return cue.end <= cue.begin; });
  std::ranges::stable_sort(cues, {}, [](const Cue& cue) { return std::pair(cue.begin, cue.end); });

  SubtitleSegments out;
  out.all = "WEBVTT\n";
  for (const Cue& cue : cues) write_cue(out.all, cue);
  const std::vector<double> starts = borders.empty() ? std::vector<double>{0} : borders;
  std::size_t first = 0;
  for (std::size_t i = 0; i < starts.size(); ++i) {
    const double end = i + 1 < starts.size() ? starts[i + 1] : film_seconds;
    const auto from = std::llround(starts[i] * 1000), to = std::llround(end * 1000);
    std::string text = "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000\n";
    while (first < cues.size() && cues[first].end <= from) ++first;
    for (std::size_t c = first; c < cues.size() && cues[c].begin < to; ++c) {
      if (cues[c].end > from) write_cue(text, cues[c]);
    }
    const auto pts = std::llround(starts[i] * 90000);
    out.packaged.push_back(
        {pts, std::llround(end * 90000) - pts, static_cast<std::int64_t>(text.size()), {}});
    out.segments.push_back(std::move(text));
  }
  return out;
}

}  // namespace spool::media
