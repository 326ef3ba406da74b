// ISO BMFF boxes (ISO/IEC 14496-12): a writer that back-patches sizes, and a reader for hostile bytes.
//
// Both hold no locks and own nothing but the writer's buffer; one thread at a time. The reader never throws
// and never reads outside the span it was given.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "media/sample.h"

namespace spool::media {

[[nodiscard]] constexpr std::uint32_t fourcc(const char (&name)[5]) {
  return std::uint32_t(std::uint8_t(name[0])) << 24 | std::uint32_t(std::uint8_t(name[1])) << 16 |
         std::uint32_t(std::uint8_t(name[2])) << 8 | std::uint32_t(std::uint8_t(name[3]));
}
// For messages; what is not printable becomes '?'.
[[nodiscard]] std::string fourcc_text(std::uint32_t type);

class BoxWriter {
 public:
  // Closes its box (writes the size) when it goes out of scope. A writer outlives its scopes.
  class Scope {
   public:
    Scope(BoxWriter& writer, std::size_t start) : writer_(&writer), start_(start) {}
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
    ~Scope();

   private:
    BoxWriter* writer_;
    std::size_t start_;
  };

  [[nodiscard]] Scope box(const char (&type)[5]);
  [[nodiscard]] Scope full_box(const char (&type)[5], std::uint8_t version, std::uint32_t flags);

  void u8(std::uint8_t value) { bytes_.push_back(std::byte(value)); }
  void u16(std::uint16_t value) { big_endian(value, 2); }
  void u24(std::uint32_t value) { big_endian(value, 3); }
  void u32(std::uint32_t value) { big_endian(value, 4); }
  void u64(std::uint64_t value) { big_endian(value, 8); }
  void zeros(std::size_t count) { bytes_.resize(bytes_.size() + count); }
  void text(std::string_view value);
  void raw(std::span<const std::byte> value) { bytes_.insert(bytes_.end(), value.begin(), value.end()); }
  // Overwrites four bytes written before.
  void patch_u32(std::size_t at, std::uint32_t value);
  void reserve(std::size_t bytes) { bytes_.reserve(bytes); }

  [[nodiscard]] std::size_t size() const { return bytes_.size(); }
  [[nodiscard]] Bytes take() { return std::move(bytes_); }

 private:
  void big_endian(std::uint64_t value, int width);
  Bytes bytes_;
};

// Big-endian fields out of a span. Reading past the end gives zeros and clears ok(); check once, at the end.
class FieldReader {
 public:
  explicit FieldReader(std::span<const std::byte> bytes) : bytes_(bytes) {}
  [[nodiscard]] std::uint64_t read(int width);
  [[nodiscard]] std::uint8_t u8() { return static_cast<std::uint8_t>(read(1)); }
  [[nodiscard]] std::uint16_t u16() { return static_cast<std::uint16_t>(read(2)); }
  [[nodiscard]] std::uint32_t u32() { return static_cast<std::uint32_t>(read(4)); }
  [[nodiscard]] std::uint64_t u64() { return read(8); }
  void skip(std::size_t count);
  [[nodiscard]] std::span<const std::byte> take(std::size_t count);
  [[nodiscard]] std::span<const std::byte> rest() const { return bytes_.subspan(at_); }
  [[nodiscard]] bool ok() const { return ok_; }

 private:
  std::span<const std::byte> bytes_;
  std::size_t at_ = 0;
  bool ok_ = true;
};

struct Box {
  std::uint32_t type = 0;
  std::size_t offset = 0;  // of its header, in the span the reader was given
  std::size_t size = 0;    // header and body
  std::span<const std::byte> body;
};

// The boxes that lie side by side in a span.
class BoxReader {
 public:
  explicit BoxReader(std::span<const std::byte> bytes) : bytes_(bytes) {}
  // nullopt at the end. Errors: kCorruptInput for a box that does not fit into the span.
  [[nodiscard]] Result<std::optional<Box>> next();

 private:
  std::span<const std::byte> bytes_;
  std::size_t at_ = 0;
};

// All boxes of a span. Errors: as BoxReader; kLimitExceeded beyond 100,000.
[[nodiscard]] Result<std::vector<Box>> boxes_in(std::span<const std::byte> bytes);
// The first box along a path ("moov", "trak", "mdia"). Errors: kCorruptInput naming what is missing.
[[nodiscard]] Result<Box> find_box(std::span<const std::byte> bytes, std::span<const std::uint32_t> path);

}  // namespace spool::media
