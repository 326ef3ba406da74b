// The bucket of the service that this program starts at its first use, for tests of S3ObjectStore: Swift, or
// Ceph where SPOOL_TEST_CEPH=1. It takes at most 8 MiB in one request (S3 takes 5 GiB) and lists 10 objects a
// page (S3 lists 1000).
#pragma once

#include <fmt/format.h>
#include <sys/mman.h>

#include <cstdlib>
#include <memory>
#include <string>

#include "base/id.h"
#include "objects/s3_store.h"
#include "support/server.h"
#include "test_paths.h"

namespace spool::test {

inline constexpr std::uint64_t kPart = 5 << 20;  // the smallest that S3 takes

inline bool is_ceph() {
  const char* asked = std::getenv("SPOOL_TEST_CEPH");
  return asked != nullptr && std::string_view(asked) == "1";
}

// What tests/servers/swift or ceph said when it was ready.
inline const Json& service() {
  static Server server({std::string(SPOOL_SOURCE_DIR "/tests/servers/") + (is_ceph() ? "ceph" : "swift"),
                        "--max-file-size", "8388608", "--listing", "10"});
  return server.ready();
}

// With a prefix of its own in the bucket, small parts, and hardly a wait between tries.
inline S3Config bucket_config(const std::string& endpoint = service()["endpoint"],
                              const std::string& style = "path") {
  const auto environment = [](const std::string& name) -> std::optional<std::string> {
    if (name == "AWS_ACCESS_KEY_ID") return service()["access_key"];
    if (name == "AWS_SECRET_ACCESS_KEY") return service()["secret_key"];
    return std::nullopt;
  };
  S3Config config = s3_config(fmt::format("s3://{}/{}?endpoint={}&region={}&style={}",
                                          service()["bucket"].get<std::string>(), Uuid::v7().text(), endpoint,
                                          service()["region"].get<std::string>(), style),
                              environment)
                        .value();
  config.patience.first_wait = std::chrono::milliseconds(1);
  config.patience.longest_wait = std::chrono::milliseconds(10);
  config.part_bytes = kPart;
  config.copy_part_bytes = kPart;
  return config;
}

inline std::unique_ptr<S3ObjectStore> bucket_store() {
  return S3ObjectStore::at(bucket_config()).value();
}

// Bytes that are the same each time and nowhere alike.
inline std::string film(std::size_t size) {
  std::string bytes(size, '\0');
  std::uint64_t state = 88172645463325252u;
  for (char& c : bytes) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    c = static_cast<char>(state);
  }
  return bytes;
}

inline std::span<const std::byte> bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}

// A nameless file that holds it.
inline UniqueFd file_of(std::string_view text) {
  UniqueFd fd(memfd_create("film", MFD_CLOEXEC));
  if (!write_all(fd.get(), bytes(text))) throw std::runtime_error("memfd");
  return fd;
}

inline std::string read_range(const ByteSource& source, std::uint64_t offset, std::size_t size) {
  std::string text(size, '\0');
  text.resize(source.read_at(offset, std::as_writable_bytes(std::span(text))).value());
  return text;
}

}  // namespace spool::test
