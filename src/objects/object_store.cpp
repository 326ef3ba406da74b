#include "objects/object_store.h"

#include <fmt/format.h>

#include <cstdlib>

namespace spool {

Result<void> ObjectStore::answers() {
  SPOOL_TRY(list(kNothing));
  return {};
}

Result<UniqueFd> ObjectStore::create_file() {
  const char* named = std::getenv("TMPDIR");
  return nameless_file(named != nullptr && *named != '\0' ? named : "/var/tmp");
}

Result<void> ObjectStore::put_file(std::string_view key, int) {
  return fail(Code::kUnsupported, fmt::format("object {}: this store takes no files", key));
}

Result<void> ObjectStore::put_if_absent(std::string_view key, std::span<const std::byte>) {
  return fail(Code::kUnsupported, fmt::format("object {}: this store has no conditional writes", key));
}

Result<int> ObjectStore::sweep_uploads(Duration) {
  return 0;
}

Result<void> check_key(std::string_view key) {
  const auto wrong = [](std::string_view what) {
    return fail(Code::kInvalidArgument, fmt::format("an object's key {}", what));
  };
  if (key.empty()) return wrong("is empty");
  if (key.size() > 1024) return wrong("is longer than 1024 bytes");
  for (const char c : key)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f || c == '\\')
      return wrong("holds a control character or a backslash");
  for (std::size_t at = 0; at <= key.size();) {
    const std::size_t slash = std::min(key.find('/', at), key.size());
    const std::string_view part = key.substr(at, slash - at);
    if (part.empty()) return wrong("begins or ends with '/', or has two of them together");
    if (part == "." || part == "..") return wrong("has a part that is '.' or '..'");
    if (part.size() > 255) return wrong("has a part longer than 255 bytes");
    at = slash + 1;
  }
  return {};
}

}  // namespace spool
