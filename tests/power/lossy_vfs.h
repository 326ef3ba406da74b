// A SQLite VFS on which power can fail: what was written to a file since its last sync is then lost, or only
// a part of it is there, torn in the middle of a sector run.
//
// Files are real ones of the default VFS; beside each lies what a disk would hold ("durable"), which sync
// brings up to date. cut() writes that, with a random part of the unsynced writes, over the files. All
// handles must be abandoned (not closed) before: a closing handle would clean up, and no power cut does that.
// Not thread-safe; one at a time.
#pragma once

#include <cstdint>
#include <string>

namespace spool {

class LossyVfs {
 public:
  LossyVfs();
  ~LossyVfs();
  LossyVfs(const LossyVfs&) = delete;
  LossyVfs& operator=(const LossyVfs&) = delete;

  [[nodiscard]] const char* name() const { return "lossy"; }
  // Writes what would be found after a power cut into the folder `into`: for each file whose path begins with
  // `prefix` its durable bytes and a random choice of its unsynced writes.
  void cut(const std::string& prefix, const std::string& into, unsigned seed) const;
  [[nodiscard]] std::int64_t syncs() const;
  // From now on syncs do nothing: what a store without them would do.
  void ignore_syncs();
};

}  // namespace spool
