// ObjectStore: bytes by key. What media is read from and outputs are written to.
//
// A key is "a/b/c": relative, '/'-separated, no empty part, no "." or "..", no control character, at most
// 1024 bytes. A put is atomic and durable: readers see nothing or the whole. Thread-safe.
// tests/contract/object_store_contract.h is the full description.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"

namespace spool {

struct ObjectInfo {
  std::string key;
  std::int64_t bytes = 0;
};

inline constexpr std::string_view kNothing = ".spool/nothing";  // a prefix of no object

class ObjectStore {
 public:
  virtual ~ObjectStore() = default;

  virtual Result<void> put(std::string_view key, std::span<const std::byte> bytes) = 0;
  // The whole of an open regular file, of any size; its offset does not matter and stays. The file may become
  // the object: nobody writes to it afterwards. Errors: kUnsupported where a store has none of this.
  virtual Result<void> put_file(std::string_view key, int fd);
  // Errors: kConflict when there is one already. Of several who put at once one wins, on every store whose
  // service has conditional writes (docs/adding_a_store.md); kUnsupported where a store has none of this.
  virtual Result<void> put_if_absent(std::string_view key, std::span<const std::byte> bytes);
  // Errors: kNotFound; kLimitExceeded beyond `most` bytes.
  virtual Result<std::string> get(std::string_view key, std::size_t most = 64u << 20) = 0;
  // Ranged reads of the version that is there now: its bytes, or kConflict once it was replaced or removed,
  // but never a mix. Errors: kNotFound. The source may outlive the store.
  virtual Result<ByteSource> open(std::string_view key) = 0;
  // The same, where objects are local files: a descriptor for reading. nullopt: they are elsewhere.
  virtual Result<std::optional<UniqueFd>> local_fd(std::string_view) { return std::nullopt; }
  // A nameless file to write what is to become an object by put_file(): where that costs least; elsewhere in
  // TMPDIR, or /var/tmp.
  virtual Result<UniqueFd> create_file();
  // nullopt: there is none.
  virtual Result<std::optional<ObjectInfo>> stat(std::string_view key) = 0;
  // Everything whose key begins with prefix + "/" (all when empty), in order of keys.
  virtual Result<std::vector<ObjectInfo>> list(std::string_view prefix) = 0;
  // Whether it answers, and serves us at all: soon, also where nothing comes. By a listing of nothing, for a
  // HEAD does not say why it is refused.
  virtual Result<void> answers();
  // Replaces `to`, whole or not at all. Errors: kNotFound.
  virtual Result<void> copy(std::string_view from, std::string_view to) = 0;
  // Of one object, or of all below a prefix. What is not there is no error.
  virtual Result<void> remove(std::string_view key) = 0;
  virtual Result<void> remove_all(std::string_view prefix) = 0;
  // Ends what puts left behind that died on their way, of those that began longer ago than that. Returns how
  // many there were; 0 where nothing can be left behind.
  virtual Result<int> sweep_uploads(Duration older_than);
  // For a process that ends: what waits for another machine, and all that is asked later, fails soon with
  // kCancelled, sources that were opened too. Nothing where nothing is waited for.
  virtual void interrupt() {}

  // Where programs that share the store can lock files against each other; nullopt: it has no such place.
  [[nodiscard]] virtual std::optional<std::filesystem::path> lock_folder() const { return std::nullopt; }
};

// Errors: kInvalidArgument naming what is wrong with the key.
[[nodiscard]] Result<void> check_key(std::string_view key);

}  // namespace spool
