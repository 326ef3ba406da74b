#include "av/file_shape.h"

#include <algorithm>
#include <array>
#include <bit>
#include <utility>

namespace spool::av {
namespace {

constexpr int kMostBoxes = 4096;  // a fragmented film has one pair per segment

std::uint64_t big_endian(std::string_view bytes) {
  std::uint64_t value = 0;
  for (const char c : bytes) value = value << 8 | static_cast<unsigned char>(c);
  return value;
}

bool starts_a_file(std::string_view kind) {
  constexpr std::array<std::string_view, 8> kFirst = {"ftyp", "moov", "mdat", "free",
                                                      "skip", "wide", "styp", "pnot"};
  return std::find(kFirst.begin(), kFirst.end(), kind) != kFirst.end();
}

Result<std::string> read_up_to(const ByteSource& source, std::uint64_t offset, std::size_t most) {
  std::string bytes(most, '\0');
  std::size_t have = 0;
  while (have < most) {
    const auto into = std::as_writable_bytes(std::span(bytes)).subspan(have);
    SPOOL_ASSIGN(const std::size_t n, source.read_at(offset + have, into));
    if (n == 0) break;
    have += n;
  }
  bytes.resize(have);
  return bytes;
}

struct EbmlElement {
  std::uint64_t begin = 0;              // of its data
  std::optional<std::uint64_t> size{};  // of its data; nullopt: unknown
};

// The element at `at` if it has this id (four bytes); RFC 8794 sections 4 to 6.
Result<std::optional<EbmlElement>> ebml_element(const ByteSource& source, std::uint64_t at,
                                                std::string_view id) {
  SPOOL_ASSIGN(const std::string header, read_up_to(source, at, id.size() + 8));
  if (!header.starts_with(id) || header.size() == id.size()) return std::nullopt;
  const auto first = static_cast<unsigned char>(header[id.size()]);
  const auto length = static_cast<std::size_t>(std::countl_zero(first)) + 1;
  if (length > 8 || header.size() < id.size() + length) return std::nullopt;
  const std::uint64_t value_bits = (std::uint64_t{1} << (7 * length)) - 1;
  const std::uint64_t size = big_endian(std::string_view(header).substr(id.size(), length)) & value_bits;
  EbmlElement element{at + id.size() + length};
  if (size != value_bits) element.size = size;
  return element;
}

}  // namespace

std::optional<std::string> script_kind(std::string_view head) {
  if (head.starts_with("\xEF\xBB\xBF")) head.remove_prefix(3);
  const auto first = head.find_first_not_of(" \t\r\n");
  head.remove_prefix(std::min(first, head.size()));
  if (head.starts_with("#EXTM3U")) return "an HLS or M3U playlist";
  if (head.starts_with("ffconcat version")) return "a concat script";
  if (head.starts_with("v=0\n") || head.starts_with("v=0\r")) return "an SDP session description";
  if (head.find("<MPD") != std::string_view::npos && head.starts_with("<")) return "a DASH manifest";
  if (head.starts_with("<SmoothStreamingMedia")) return "a Smooth Streaming manifest";
  if (head.starts_with("[playlist]")) return "a PLS playlist";
  return std::nullopt;
}

bool is_text(std::string_view head) {
  if (head.empty() || head.starts_with("YUV4MPEG2")) return false;
  return std::all_of(head.begin(), head.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= 0x20 ? byte != 0x7f : (byte >= 0x09 && byte <= 0x0d) || byte == 0x1b;
  });
}

Result<std::string> head_of(const ByteSource& source, std::size_t most) {
  return read_up_to(source, 0, most);
}

Result<BoxShape> box_shape(const ByteSource& source) {
  BoxShape shape;
  std::uint64_t at = 0;
  for (int i = 0; i < kMostBoxes && at + 8 <= source.size; ++i) {
    SPOOL_ASSIGN(const std::string header, read_up_to(source, at, 16));
    if (header.size() < 8) break;
    const std::string_view kind = std::string_view(header).substr(4, 4);
    std::uint64_t size = big_endian(std::string_view(header).substr(0, 4));
    if (size == 1 && header.size() == 16) size = big_endian(std::string_view(header).substr(8, 8));
    if (size == 0) size = source.size - at;  // to the end of the file
    if (i == 0 && !starts_a_file(kind)) return shape;
    if (size < 8) break;
    shape.boxes = true;
    shape.moov = shape.moov || kind == "moov";
    shape.fragments = shape.fragments || kind == "moof";
    shape.media = shape.media || shape.fragments || kind == "mdat";
    if (size > source.size - at) {
      if (kind == "mdat" || kind == "moof" || kind == "moov") shape.missing_bytes = size - (source.size - at);
      break;
    }
    at += size;
  }
  return shape;
}

Result<std::uint64_t> missing_bytes(const ByteSource& source) {
  SPOOL_ASSIGN(const auto head, ebml_element(source, 0, "\x1A\x45\xDF\xA3"));
  if (!head) {
    SPOOL_ASSIGN(const BoxShape shape, box_shape(source));
    return shape.missing_bytes;
  }
  if (!head->size || *head->size > source.size) return 0;
  SPOOL_ASSIGN(const auto segment, ebml_element(source, head->begin + *head->size, "\x18\x53\x80\x67"));
  if (!segment || !segment->size) return 0;
  const std::uint64_t there = source.size - segment->begin;
  return *segment->size > there ? *segment->size - there : 0;
}

}  // namespace spool::av
