#include "power/lossy_vfs.h"

#include <sqlite3.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <vector>

namespace spool {
namespace {

struct Write {
  std::int64_t offset;
  std::vector<char> bytes;
  std::int64_t truncate_to = -1;  // instead of bytes
};

// What the disk holds of a file, and what is on its way.
struct Disk {
  std::vector<char> durable;
  std::vector<Write> pending;
};

std::map<std::string, Disk>& disks() {
  static std::map<std::string, Disk> all;
  return all;
}
std::int64_t sync_count = 0;
bool syncs_ignored = false;

void replay(std::vector<char>& bytes, const Write& write) {
  if (write.truncate_to >= 0) {
    bytes.resize(static_cast<std::size_t>(write.truncate_to));
    return;
  }
  const auto end = static_cast<std::size_t>(write.offset) + write.bytes.size();
  if (bytes.size() < end) bytes.resize(end);
  std::copy(write.bytes.begin(), write.bytes.end(), bytes.begin() + write.offset);
}

struct LossyFile {
  sqlite3_file base;
  Disk* disk;  // null: not a file that must survive
  sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};
LossyFile& of(sqlite3_file* file) {
  return *reinterpret_cast<LossyFile*>(file);
}
sqlite3_file* real(sqlite3_file* file) {
  return of(file).real();
}
const sqlite3_io_methods& methods(sqlite3_file* file) {
  return *real(file)->pMethods;
}

int x_close(sqlite3_file* f) {
  return methods(f).xClose(real(f));
}
int x_read(sqlite3_file* f, void* into, int n, sqlite3_int64 at) {
  return methods(f).xRead(real(f), into, n, at);
}
int x_write(sqlite3_file* f, const void* from, int n, sqlite3_int64 at) {
  const int code = methods(f).xWrite(real(f), from, n, at);
  const auto* bytes = static_cast<const char*>(from);
  if (code == SQLITE_OK && of(f).disk != nullptr)
    of(f).disk->pending.push_back(Write{at, std::vector<char>(bytes, bytes + n), -1});
  return code;
}
int x_truncate(sqlite3_file* f, sqlite3_int64 size) {
  const int code = methods(f).xTruncate(real(f), size);
  if (code == SQLITE_OK && of(f).disk != nullptr) of(f).disk->pending.push_back(Write{0, {}, size});
  return code;
}
int x_sync(sqlite3_file* f, int flags) {
  ++sync_count;
  if (Disk* disk = of(f).disk; disk != nullptr && !syncs_ignored) {
    for (const Write& write : disk->pending) replay(disk->durable, write);
    disk->pending.clear();
  }
  return methods(f).xSync(real(f), flags);
}
int x_size(sqlite3_file* f, sqlite3_int64* size) {
  return methods(f).xFileSize(real(f), size);
}
int x_lock(sqlite3_file* f, int level) {
  return methods(f).xLock(real(f), level);
}
int x_unlock(sqlite3_file* f, int level) {
  return methods(f).xUnlock(real(f), level);
}
int x_reserved(sqlite3_file* f, int* out) {
  return methods(f).xCheckReservedLock(real(f), out);
}
int x_control(sqlite3_file* f, int op, void* arg) {
  return methods(f).xFileControl(real(f), op, arg);
}
int x_sector(sqlite3_file*) {
  return 512;
}
// No promise of a power-safe overwrite: SQLite must be content with what such a disk does.
int x_characteristics(sqlite3_file*) {
  return 0;
}
int x_shm_map(sqlite3_file* f, int region, int size, int extend, void volatile** out) {
  return methods(f).xShmMap(real(f), region, size, extend, out);
}
int x_shm_lock(sqlite3_file* f, int offset, int n, int flags) {
  return methods(f).xShmLock(real(f), offset, n, flags);
}
void x_shm_barrier(sqlite3_file* f) {
  methods(f).xShmBarrier(real(f));
}
int x_shm_unmap(sqlite3_file* f, int remove) {
  return methods(f).xShmUnmap(real(f), remove);
}

const sqlite3_io_methods kMethods = {
    2,           x_close,    x_read,    x_write,  x_truncate,        x_sync,    x_size,     x_lock,
    x_unlock,    x_reserved, x_control, x_sector, x_characteristics, x_shm_map, x_shm_lock, x_shm_barrier,
    x_shm_unmap, nullptr,    nullptr};

sqlite3_vfs* below = nullptr;

int x_open(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out) {
  LossyFile& f = of(file);
  f.base.pMethods = nullptr;
  const int code = below->xOpen(below, name, f.real(), flags, out);
  if (f.real()->pMethods == nullptr) return code;
  f.base.pMethods = &kMethods;
  const bool kept = (flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL)) != 0;
  f.disk = kept && name != nullptr ? &disks()[name] : nullptr;
  return code;
}
int x_delete(sqlite3_vfs*, const char* name, int sync) {
  disks().erase(name);
  return below->xDelete(below, name, sync);
}

}  // namespace

LossyVfs::LossyVfs() {
  below = sqlite3_vfs_find(nullptr);
  static sqlite3_vfs vfs;
  vfs = *below;
  vfs.szOsFile += static_cast<int>(sizeof(LossyFile));
  vfs.zName = "lossy";
  vfs.pNext = nullptr;
  vfs.xOpen = x_open;
  vfs.xDelete = x_delete;
  disks().clear();
  sync_count = 0;
  syncs_ignored = false;
  sqlite3_vfs_register(&vfs, 0);
}

LossyVfs::~LossyVfs() {
  sqlite3_vfs_unregister(sqlite3_vfs_find("lossy"));
}

void LossyVfs::cut(const std::string& prefix, const std::string& into, unsigned seed) const {
  std::mt19937 random(seed);
  for (const auto& [path, disk] : disks()) {
    if (!path.starts_with(prefix)) continue;
    std::vector<char> bytes = disk.durable;
    for (Write write : disk.pending) {
      if (random() % 2 == 0) continue;  // writes reach a disk in any order, or never
      if (random() % 4 == 0 && !write.bytes.empty())
        write.bytes.resize(random() % write.bytes.size());  // torn
      replay(bytes, write);
    }
    std::ofstream(std::filesystem::path(into) / std::filesystem::path(path).filename(), std::ios::binary)
        .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }
}

std::int64_t LossyVfs::syncs() const {
  return sync_count;
}
void LossyVfs::ignore_syncs() {
  syncs_ignored = true;
}

}  // namespace spool
