#include "media/ladder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace spool::media {
namespace {

constexpr int kSmallestSide = 16;  // what encoders take
constexpr int kLargestSide = 8192;

int even(double pixels) {
  return std::max(2, static_cast<int>(std::lround(pixels / 2)) * 2);
}

}  // namespace

const Json& ladder_schema() {
  static const Json schema = Json::parse(R"({
    "type": "object", "additionalProperties": false, "required": ["name", "rungs"],
    "properties": {
      "name": {"type": "string", "pattern": "^[a-z0-9_-]{1,40}$"},
      "audio_bits_per_second": {"type": "integer", "minimum": 32000, "maximum": 512000},
      "segment_seconds": {"type": "number", "minimum": 1, "maximum": 10},
      "gop_seconds": {"type": "number", "minimum": 0.5, "maximum": 10},
      "rungs": {"type": "array", "minItems": 1, "maxItems": 12, "items": {
        "type": "object", "additionalProperties": false, "required": ["name", "max_bits_per_second"],
        "properties": {
          "name": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,40}$"},
          "short_side": {"type": "integer", "minimum": 0, "maximum": 8192},
          "codec": {"enum": ["h264", "hevc"]},
          "crf": {"type": "number", "minimum": 1, "maximum": 51},
          "max_bits_per_second": {"type": "integer", "minimum": 50000, "maximum": 200000000},
          "buffer_bits": {"type": "integer", "minimum": 12500}
        }}}
    }})");
  return schema;
}

Result<Rung> rung_from_json(const Json& document, std::size_t position) try {
  Rung rung;
  rung.name = document.value("name", "");
  if (rung.name.empty())
    return fail(Code::kInvalidArgument, fmt::format("ladder: rung {} has no name", position + 1));
  const auto wrong = [&](std::string_view key, std::string_view allowed) {
    return fail(Code::kInvalidArgument,
                fmt::format("ladder: rung '{}': {} must be {}", rung.name, key, allowed));
  };
  rung.short_side = document.value("short_side", 0);
  if (rung.short_side != 0 && (rung.short_side < kSmallestSide || rung.short_side > kLargestSide))
    return wrong("short_side",
                 fmt::format("0 (the source's own) or {} to {} pixels", kSmallestSide, kLargestSide));
  const std::string codec = document.value("codec", "h264");
  if (codec != "h264" && codec != "hevc") return wrong("codec", "h264 or hevc");
  rung.codec = codec == "hevc" ? VideoCodec::kHevc : VideoCodec::kH264;
  rung.crf = document.value("crf", rung.crf);
  if (!(rung.crf >= 1 && rung.crf <= 51)) return wrong("crf", "1 to 51");
  rung.max_bits_per_second = document.value("max_bits_per_second", std::int64_t{0});
  if (rung.max_bits_per_second < 50'000 || rung.max_bits_per_second > 200'000'000)
    return wrong("max_bits_per_second", "50000 to 200000000");
  rung.buffer_bits = document.value("buffer_bits", 2 * rung.max_bits_per_second);
  if (rung.buffer_bits < rung.max_bits_per_second / 4 || rung.buffer_bits > 10 * rung.max_bits_per_second)
    return wrong("buffer_bits", "a quarter of a second to ten seconds of max_bits_per_second");
  return rung;
} catch (const Json::exception& e) {
  return fail(Code::kInvalidArgument, fmt::format("ladder: rung {}: {}", position + 1, e.what()));
}

Result<Ladder> ladder_from_json(const Json& document) try {
  Ladder ladder;
  ladder.name = document.at("name").get<std::string>();
  ladder.audio_bits_per_second = document.value("audio_bits_per_second", ladder.audio_bits_per_second);
  ladder.segment_seconds = document.value("segment_seconds", ladder.segment_seconds);
  ladder.gop_seconds = document.value("gop_seconds", ladder.gop_seconds);
  if (!(ladder.gop_seconds >= 0.5 && ladder.segment_seconds <= 10))
    return fail(Code::kInvalidArgument,
                "ladder: gop_seconds must be at least 0.5, segment_seconds at most 10");
  const double gops = ladder.segment_seconds / ladder.gop_seconds;
  if (gops < 1 || std::abs(gops - std::round(gops)) > 1e-9)
    return fail(Code::kInvalidArgument, "ladder: segment_seconds must be a whole multiple of gop_seconds");
  std::set<std::string> names;
  for (const Json& item : document.at("rungs")) {
    SPOOL_ASSIGN(Rung rung, rung_from_json(item, ladder.rungs.size()));
    if (!names.insert(rung.name).second)
      return fail(Code::kInvalidArgument, fmt::format("ladder: two rungs are named '{}'", rung.name));
    ladder.rungs.push_back(std::move(rung));
  }
  if (ladder.rungs.empty()) return fail(Code::kInvalidArgument, "ladder: rungs is empty");
  // 0 is the source's own size: the highest there is.
  std::stable_sort(ladder.rungs.begin(), ladder.rungs.end(), [](const Rung& a, const Rung& b) {
    return static_cast<unsigned>(a.short_side - 1) > static_cast<unsigned>(b.short_side - 1);
  });
  return ladder;
} catch (const Json::exception& e) {
  return fail(Code::kInvalidArgument, fmt::format("ladder: {}", e.what()));
}

Json to_json(const Rung& rung) {
  return {{"name", rung.name},
          {"short_side", rung.short_side},
          {"codec", rung.codec == VideoCodec::kHevc ? "hevc" : "h264"},
          {"crf", rung.crf},
          {"max_bits_per_second", rung.max_bits_per_second},
          {"buffer_bits", rung.buffer_bits}};
}

Json to_json(const Ladder& ladder) {
  Json rungs = Json::array();
  for (const Rung& rung : ladder.rungs) rungs.push_back(to_json(rung));
  return {{"name", ladder.name},
          {"audio_bits_per_second", ladder.audio_bits_per_second},
          {"segment_seconds", ladder.segment_seconds},
          {"gop_seconds", ladder.gop_seconds},
          {"rungs", std::move(rungs)}};
}

std::vector<Rung> rungs_for(const Ladder& ladder, int source_width, int source_height) {
  const int short_side = std::min(source_width, source_height);
  std::vector<Rung> fitting;
  for (const Rung& rung : ladder.rungs)
    if (rung.short_side <= short_side) fitting.push_back(rung);
  if (fitting.empty() && !ladder.rungs.empty()) {
    fitting.push_back(ladder.rungs.back());
    fitting.back().short_side = 0;
    fitting.back().name = fmt::format("{}p", short_side);
  }
  return fitting;
}

Size size_for(const Rung& rung, Size source) {
  const int source_short = std::min(source.width, source.height);
  const int wanted = rung.short_side == 0 ? source_short : std::min(rung.short_side, source_short);
  if (wanted == source_short)  // odd sizes lose a line rather than gain one
    return {std::max(2, source.width & ~1), std::max(2, source.height & ~1)};
  const double scale = static_cast<double>(wanted) / source_short;
  return {even(source.width * scale), even(source.height * scale)};
}

}  // namespace spool::media
