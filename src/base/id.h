// 128-bit identifiers: job ids (UUIDv7, RFC 9562 section 5.7) and fencing tokens (random).
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "base/error.h"

namespace spool {

struct Uuid {
  std::array<std::uint8_t, 16> bytes{};

  auto operator<=>(const Uuid&) const = default;
  [[nodiscard]] bool is_nil() const { return *this == Uuid{}; }
  [[nodiscard]] std::string text() const;  // 8-4-4-4-12, lower case

  // Time-ordered; strictly increasing within a process. Thread-safe.
  [[nodiscard]] static Uuid v7();
  // Deterministic (version 8): the first 128 bits of SHA-256 over the text.
  [[nodiscard]] static Uuid from_digest_of(std::string_view text);
  // Errors: kInvalidArgument.
  [[nodiscard]] static Result<Uuid> parse(std::string_view text);
};

// An attempt's fence: every write of an attempt carries it; a stale one changes nothing.
struct Token {
  std::array<std::uint8_t, 16> bytes{};

  auto operator<=>(const Token&) const = default;
  [[nodiscard]] bool is_nil() const { return *this == Token{}; }
  [[nodiscard]] std::string text() const;  // 32 hex digits
  [[nodiscard]] static Token random();     // from the kernel's generator; thread-safe
  [[nodiscard]] static Result<Token> parse(std::string_view text);
};

}  // namespace spool

template <>
struct std::hash<spool::Uuid> {
  std::size_t operator()(const spool::Uuid& id) const noexcept {
    std::size_t h;
    std::memcpy(&h, id.bytes.data() + 8, sizeof h);  // v7: the random half
    return h;
  }
};
