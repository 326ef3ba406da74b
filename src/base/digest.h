// Digests: SHA-256 where a hostile author must not choose a collision, XXH3-128 where only speed counts, MD5
// where S3 asks for it. Thread-safe; an Md5Sum belongs to one thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"

struct evp_md_ctx_st;  // OpenSSL's

namespace spool {

using Sha256 = std::array<std::uint8_t, 32>;
using Md5 = std::array<std::uint8_t, 16>;

[[nodiscard]] Sha256 sha256(std::span<const std::byte> bytes);
[[nodiscard]] std::string sha256_hex(std::span<const std::byte> bytes);
// RFC 2104.
[[nodiscard]] Sha256 hmac_sha256(std::span<const std::uint8_t> key, std::string_view text);

// MD5 over what is added piece by piece. It finds what the way has damaged, and proves nothing else.
class Md5Sum {
 public:
  Md5Sum();
  void add(std::span<const std::byte> bytes);
  [[nodiscard]] Md5 end();  // once

 private:
  std::unique_ptr<evp_md_ctx_st, void (*)(evp_md_ctx_st*)> context_;
};

[[nodiscard]] std::string hex(std::span<const std::uint8_t> bytes);     // lower case
[[nodiscard]] std::string base64(std::span<const std::uint8_t> bytes);  // RFC 4648 section 4

// XXH3-128 over a whole open file, as 32 hex digits; reads with pread, leaves the offset alone. `stop` is
// asked after each megabyte. Errors: kCancelled when it says so.
[[nodiscard]] Result<std::string> fast_file_digest(int fd, const std::function<bool()>& stop = {});

}  // namespace spool
