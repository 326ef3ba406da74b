#include "media/box.h"

#include <fmt/format.h>

#include <algorithm>

namespace spool::media {
namespace {
constexpr std::size_t kMostBoxes = 100'000;
}

std::string fourcc_text(std::uint32_t type) {
  std::string text(4, '?');
  for (std::size_t i = 0; i < 4; ++i) {
    const auto c = static_cast<char>(type >> (24 - 8 * i) & 0xff);
    if (c >= ' ' && c <= '~') text[i] = c;
  }
  return text;
}

BoxWriter::Scope BoxWriter::box(const char (&type)[5]) {
  const std::size_t start = size();
  u32(0);
  u32(fourcc(type));
  return {*this, start};
}

BoxWriter::Scope BoxWriter::full_box(const char (&type)[5], std::uint8_t version, std::uint32_t flags) {
  const std::size_t start = size();
  u32(0);
  u32(fourcc(type));
  u8(version);
  u24(flags);
  return {*this, start};
}

BoxWriter::Scope::~Scope() {
  writer_->patch_u32(start_, static_cast<std::uint32_t>(writer_->size() - start_));
}

void BoxWriter::text(std::string_view value) {
  raw(std::as_bytes(std::span(value.data(), value.size())));
}

void BoxWriter::patch_u32(std::size_t at, std::uint32_t value) {
  for (std::size_t i = 0; i < 4; ++i) bytes_[at + i] = std::byte(value >> (24 - 8 * i) & 0xff);
}

void BoxWriter::big_endian(std::uint64_t value, int width) {
  for (int shift = 8 * (width - 1); shift >= 0; shift -= 8)
    bytes_.push_back(std::byte(value >> shift & 0xff));
}

std::uint64_t FieldReader::read(int width) {
  std::uint64_t value = 0;
  for (const std::byte b : take(static_cast<std::size_t>(width)))
    value = value << 8 | std::to_integer<unsigned>(b);
  return value;
}

void FieldReader::skip(std::size_t count) {
  static_cast<void>(take(count));
}

std::span<const std::byte> FieldReader::take(std::size_t count) {
  if (count > bytes_.size() - at_) {
    ok_ = false;
    at_ = bytes_.size();
    return {};
  }
  const auto taken = bytes_.subspan(at_, count);
  at_ += count;
  return taken;
}

Result<std::optional<Box>> BoxReader::next() {
  if (at_ == bytes_.size()) return std::nullopt;
  FieldReader fields(bytes_.subspan(at_));
  std::uint64_t size = fields.u32();
  const std::uint32_t type = fields.u32();
  std::size_t header = 8;
  if (size == 1) {
    size = fields.u64();
    header = 16;
  } else if (size == 0) {
    size = bytes_.size() - at_;  // to the end
  }
  if (!fields.ok() || size < header || size > bytes_.size() - at_)
    return fail(Code::kCorruptInput,
                fmt::format("box '{}' at byte {}: {} bytes do not fit", fourcc_text(type), at_, size));
  const Box box{type, at_, static_cast<std::size_t>(size),
                bytes_.subspan(at_ + header, static_cast<std::size_t>(size) - header)};
  at_ += box.size;
  return box;
}

Result<std::vector<Box>> boxes_in(std::span<const std::byte> bytes) {
  std::vector<Box> boxes;
  BoxReader reader(bytes);
  for (;;) {
    SPOOL_ASSIGN(const auto box, reader.next());
    if (!box) return boxes;
    if (boxes.size() == kMostBoxes) return fail(Code::kLimitExceeded, "more than 100000 boxes side by side");
    boxes.push_back(*box);
  }
}

Result<Box> find_box(std::span<const std::byte> bytes, std::span<const std::uint32_t> path) {
  Box found{0, 0, bytes.size(), bytes};
  for (const std::uint32_t type : path) {
    SPOOL_ASSIGN(const auto boxes, boxes_in(found.body));
    const auto at = std::ranges::find(boxes, type, &Box::type);
    if (at == boxes.end()) return fail(Code::kCorruptInput, fmt::format("no '{}' box", fourcc_text(type)));
    found = *at;
  }
  return found;
}

}  // namespace spool::media
