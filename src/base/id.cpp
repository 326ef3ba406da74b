#include "base/id.h"

#include <fmt/format.h>
#include <pthread.h>
#include <sys/random.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <mutex>
#include <span>

#include "base/digest.h"

namespace spool {
namespace {

// Counts forks: a child must not repeat its parent's tokens. (Asking for the process id would cost a system
// call an id.)
std::atomic<unsigned> forks = 0;
const int watches_forks = pthread_atfork(nullptr, nullptr, [] { ++forks; });

// One system call fills many ids.
void fill_random(std::span<std::uint8_t> out) {
  struct Pool {
    std::array<std::uint8_t, 256> bytes{};
    std::size_t used = 256;
    unsigned filled_at = 0;
  };
  thread_local Pool pool;
  const unsigned now = forks;
  if (pool.used + out.size() > pool.bytes.size() || pool.filled_at != now) {
    if (watches_forks != 0 ||
        getrandom(pool.bytes.data(), pool.bytes.size(), 0) != static_cast<ssize_t>(pool.bytes.size()))
      std::abort();  // no randomness, no fencing
    pool.used = 0;
    pool.filled_at = now;
  }
  std::memcpy(out.data(), pool.bytes.data() + pool.used, out.size());
  pool.used += out.size();
}

int nibble(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool unhex(std::string_view text, std::span<std::uint8_t> out) {
  if (text.size() != out.size() * 2) return false;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const int high = nibble(text[2 * i]);
    const int low = nibble(text[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    out[i] = static_cast<std::uint8_t>(high << 4 | low);
  }
  return true;
}

void stamp(Uuid& id, int version) {
  id.bytes[6] = static_cast<std::uint8_t>((id.bytes[6] & 0x0f) | version << 4);
  id.bytes[8] = static_cast<std::uint8_t>((id.bytes[8] & 0x3f) | 0x80);
}

// 48 bits of milliseconds and 12 bits of counter, never less than the last one given out.
std::uint64_t next_tick() {
  static std::mutex mutex;
  static std::uint64_t last = 0;
  const auto now = std::chrono::duration_cast<std::chrono::milliseconds>(
                       std::chrono::system_clock::now().time_since_epoch())
                       .count();
  const std::lock_guard lock(mutex);
  last = std::max(static_cast<std::uint64_t>(now) << 12, last + 1);
  return last;
}

}  // namespace

std::string Uuid::text() const {
  const std::string h = hex(bytes);
  const std::string_view v = h;
  return fmt::format("{}-{}-{}-{}-{}", v.substr(0, 8), v.substr(8, 4), v.substr(12, 4), v.substr(16, 4),
                     v.substr(20));
}

Uuid Uuid::v7() {
  Uuid id;
  fill_random(std::span(id.bytes).subspan(8));
  const std::uint64_t tick = next_tick();
  for (int i = 0; i < 6; ++i) id.bytes[i] = static_cast<std::uint8_t>(tick >> (52 - 8 * i));
  id.bytes[6] = static_cast<std::uint8_t>(tick >> 8 & 0x0f);
  id.bytes[7] = static_cast<std::uint8_t>(tick);
  stamp(id, 7);
  return id;
}

Uuid Uuid::from_digest_of(std::string_view text) {
  Uuid id;
  const auto digest = sha256(std::as_bytes(std::span(text)));
  std::memcpy(id.bytes.data(), digest.data(), id.bytes.size());
  stamp(id, 8);
  return id;
}

Result<Uuid> Uuid::parse(std::string_view text) {
  Uuid id;
  std::string digits;
  const bool dashes =
      text.size() == 36 && text[8] == '-' && text[13] == '-' && text[18] == '-' && text[23] == '-';
  if (dashes)
    for (const char c : text)
      if (c != '-') digits += c;
  if (!dashes || !unhex(digits, id.bytes))
    return fail(Code::kInvalidArgument,
                fmt::format("'{}' is not a UUID (8-4-4-4-12 hex digits)", text.substr(0, 64)));
  return id;
}

std::string Token::text() const {
  return hex(bytes);
}

Token Token::random() {
  Token token;
  fill_random(token.bytes);
  return token;
}

Result<Token> Token::parse(std::string_view text) {
  Token token;
  if (!unhex(text, token.bytes)) return fail(Code::kInvalidArgument, "not a token (32 hex digits)");
  return token;
}

}  // namespace spool
