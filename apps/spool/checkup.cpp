#include "checkup.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <thread>

#include "av/library_facts.h"
#include "base/file.h"
#include "executors/process/memory_cgroup.h"
#include "executors/process/sandbox.h"
#include "fleet_view.h"
#include "parts.h"
#include "store_sqlite/sqlite_store.h"
#include "terminal.h"

namespace spool {
namespace {

// Something of FFmpeg's, and what is lost without it.
struct Wanted {
  const char* name;
  bool needed;
  const char* use;
};
constexpr Wanted kEncoders[] = {{"libx264", true, "H.264 cannot be made"},
                                {"aac", true, "AAC cannot be made"},
                                {"libx265", false, "HEVC cannot be made"},
                                {"mjpeg", true, "posters and thumbnails cannot be made"}};
constexpr Wanted kDecoders[] = {{"h264", true, "most videos cannot be read"},
                                {"hevc", false, "HEVC cannot be read"},
                                {"vp9", false, "WebM cannot be read"},
                                {"libdav1d", false, "AV1 cannot be read quickly"}};
constexpr Wanted kFilters[] = {{"scale", true, "nothing can be scaled"},
                               {"aresample", true, "audio cannot be resampled"},
                               {"bwdif", false, "interlaced video stays interlaced"},
                               {"zscale", false, "HDR cannot be turned into SDR"},
                               {"tonemap", false, "HDR cannot be turned into SDR"},
                               {"ebur128", false, "loudness cannot be measured"}};

template <std::size_t N>
void examine_parts(std::vector<Finding>& out, const Wanted (&wanted)[N], const char* sort,
                   bool (*has)(const std::string&)) {
  std::vector<std::string> present;
  for (const Wanted& part : wanted) {
    if (has(part.name))
      present.emplace_back(part.name);
    else
      out.push_back({"ffmpeg", part.needed ? Health::kProblem : Health::kNote,
                     fmt::format("no {} {}: {}", sort, part.name, part.use),
                     "install a full FFmpeg: apt-get install ffmpeg"});
  }
  out.push_back({"ffmpeg", Health::kGood, fmt::format("{}s {}", sort, fmt::join(present, ", ")), ""});
}

struct FileSystem {
  std::int64_t type;
  const char* name;
  enum { kLocal, kNetwork, kMemory, kUnsure } sort;
};
// statfs(2), linux/magic.h.
constexpr FileSystem kFileSystems[] = {
    {0xEF53, "ext4", FileSystem::kLocal},       {0x58465342, "xfs", FileSystem::kLocal},
    {0x9123683E, "btrfs", FileSystem::kLocal},  {0x2FC12FC1, "zfs", FileSystem::kLocal},
    {0xF2F52010, "f2fs", FileSystem::kLocal},   {0x794C7630, "overlayfs", FileSystem::kUnsure},
    {0x01021994, "tmpfs", FileSystem::kMemory}, {0x6969, "NFS", FileSystem::kNetwork},
    {0xFF534D42, "CIFS", FileSystem::kNetwork}, {0xFE534D42, "SMB", FileSystem::kNetwork},
    {0x01021997, "9p", FileSystem::kNetwork},   {0x00C36400, "Ceph", FileSystem::kNetwork},
    {0x5346414F, "AFS", FileSystem::kNetwork},  {0x0BD00BD0, "Lustre", FileSystem::kNetwork},
    {0x65735546, "FUSE", FileSystem::kUnsure},
};

std::filesystem::path nearest_existing(std::filesystem::path path) {
  std::error_code error;
  path = std::filesystem::absolute(path, error);
  while (!path.empty() && path != path.root_path() && !std::filesystem::exists(path, error))
    path = path.parent_path();
  return path;
}

std::string gigabytes(std::int64_t bytes) {
  return fmt::format("{:.1f} GB", static_cast<double>(bytes) / 1e9);
}

Result<std::int64_t> count_workers(Store& store) {
  SPOOL_ASSIGN(const std::vector<SessionInfo> sessions, store.sessions());
  SPOOL_ASSIGN(const Time now, store.now());
  return std::count_if(sessions.begin(), sessions.end(),
                       [&](const SessionInfo& session) { return lives(session, now); });
}

Finding workers_of(Store& store, const std::string& where) {
  const auto workers = count_workers(store);
  if (!workers) return {"store", Health::kProblem, workers.error().message, ""};
  return {"store", Health::kGood, fmt::format("{}: {} at work", where, counted(*workers, "worker")), ""};
}

}  // namespace

std::vector<Finding> examine_ffmpeg() {
  std::vector<Finding> out;
  std::vector<std::string> versions;
  for (const av::LibraryFact& library : av::libraries()) {
    versions.push_back(library.name + " " + library.version);
    if (!library.as_built)
      out.push_back(
          {"ffmpeg", Health::kProblem,
           fmt::format("{} {} is not the one this program was built with", library.name, library.version),
           "build again: scripts/build"});
  }
  out.push_back({"ffmpeg", Health::kGood,
                 fmt::format("FFmpeg {} ({}), {}", av::release(), fmt::join(versions, ", "), av::licence()),
                 ""});
  examine_parts(out, kEncoders, "encoder", av::has_encoder);
  examine_parts(out, kDecoders, "decoder", av::has_decoder);
  examine_parts(out, kFilters, "filter", av::has_filter);
  return out;
}

std::vector<Finding> examine_sandbox(const Config& config) {
  std::vector<Finding> out;
  const auto bubblewrap = process::find_bubblewrap();
  if (config.unsafe_no_sandbox)
    out.push_back({"sandbox", Health::kNote, "media runs without a sandbox, as the configuration says",
                   "remove unsafe_no_sandbox where uploads of others are processed"});
  if (bubblewrap.empty()) {
    out.push_back({"sandbox", Health::kProblem, "no bubblewrap: jobs that read media are not run",
                   "apt-get install bubblewrap"});
  } else if (const auto sandbox = process::Sandbox::find({}); !sandbox) {
    out.push_back(
        {"sandbox", Health::kProblem, sandbox.error().message, process::user_namespaces_forbidden()});
  } else {
    out.push_back({"sandbox", Health::kGood,
                   fmt::format("{} works: no network, no files but the libraries", bubblewrap.string()), ""});
  }
  const auto cgroups = process::MemoryCgroups::find();
  out.push_back(
      {"memory", cgroups.available() ? Health::kGood : Health::kNote, cgroups.words(),
       cgroups.available() ? "" : "memory is limited by watching instead; a delegated cgroup is stricter"});
  return out;
}

Finding judge_file_system(const std::string& area, std::int64_t type, const std::string& where,
                          bool holds_database) {
  const FileSystem* found = nullptr;
  for (const FileSystem& known : kFileSystems)
    if (known.type == type) found = &known;
  if (found == nullptr)
    return {area, Health::kGood, fmt::format("{} on a file system of type {:#x}", where, type), ""};
  Finding out{area, Health::kGood, fmt::format("{} on {}", where, found->name), ""};
  if (found->sort == FileSystem::kNetwork && holds_database) {
    out.health = Health::kProblem;
    out.found +=
        ", a network file system: SQLite's locks are not to be trusted there, and jobs could be lost";
    out.remedy = "keep the store on a local disk (--store sqlite:PATH)";
  } else if (found->sort == FileSystem::kMemory) {
    out.health = Health::kNote;
    out.found += ": what is kept there is gone after a restart";
    out.remedy = holds_database ? "keep the store on a disk (--store sqlite:PATH)"
                                : "keep objects on a disk (--objects DIR)";
  } else if (found->sort == FileSystem::kUnsure) {
    out.health = Health::kNote;
    out.found += ": make sure that it outlives this container or mount, and is no network's";
    out.remedy = "a volume on a local disk is safest";
  }
  return out;
}

Finding judge_room(const std::string& area, std::int64_t free_bytes, const std::string& where) {
  constexpr std::int64_t kTooLittle = 1'000'000'000;
  constexpr std::int64_t kLittle = 10'000'000'000;
  Finding out{area, Health::kGood, fmt::format("{} free in {}", gigabytes(free_bytes), where), ""};
  if (free_bytes >= kLittle) return out;
  out.health = free_bytes < kTooLittle ? Health::kProblem : Health::kNote;
  out.found += ": a ladder takes about as much room as its source";
  out.remedy = "make room, or use another disk";
  return out;
}

std::vector<Finding> examine_folder(const std::string& area, const std::filesystem::path& folder,
                                    bool holds_database) {
  const auto existing = nearest_existing(folder);
  const std::string where = folder.string();
  if (access(existing.c_str(), W_OK) != 0)
    return {{area, Health::kProblem, fmt::format("{} cannot be written", existing.string()),
             fmt::format("allow this user to write it, or name another {}",
                         holds_database ? "--store" : "--objects")}};
  if (const auto file = nameless_file(existing);
      !file && file.error().native == EOPNOTSUPP && !holds_database)
    return {{area, Health::kProblem,
             fmt::format("{} is on a file system without nameless files (O_TMPFILE)", where),
             "keep objects on ext4, xfs, btrfs or tmpfs (--objects DIR), or in a bucket (s3://BUCKET)"}};
  struct statfs info {};
  if (statfs(existing.c_str(), &info) != 0)
    return {{area, Health::kNote, errno_error(errno, existing.string()).message, ""}};
  return {judge_file_system(area, static_cast<std::int64_t>(info.f_type), where, holds_database),
          judge_room(area, static_cast<std::int64_t>(info.f_bavail) * static_cast<std::int64_t>(info.f_bsize),
                     where)};
}

std::vector<Finding> examine_postgres(const Config& config) {
  const auto store = open_store(config, Open::kExisting);
  if (!store) return {{"store", Health::kProblem, store.error().message, ""}};
  return {workers_of(**store, without_secret(config.store))};
}

std::vector<Finding> examine_store(const Config& config) {
  constexpr std::string_view kSqlite = "sqlite:";
  std::vector<Finding> out{{"store", Health::kGood, fmt::format("SQLite {}", sqlite_version()), ""}};
  if (is_postgres(config.store)) return examine_postgres(config);
  if (!std::string_view(config.store).starts_with(kSqlite)) {
    out.push_back({"store", Health::kProblem,
                   fmt::format("{} is not understood", without_secret(config.store)),
                   "use sqlite:PATH or postgres://USER@HOST/DATABASE"});
    return out;
  }
  const std::filesystem::path path = config.store.substr(kSqlite.size());
  const auto folder = examine_folder("store", path.parent_path().empty() ? "." : path.parent_path(), true);
  out.insert(out.end(), folder.begin(), folder.end());
  std::error_code error;
  if (!std::filesystem::exists(path, error)) {
    out.push_back({"store", Health::kGood,
                   fmt::format("{} is not there yet; it is made when it is first used", path.string()), ""});
  } else if (const auto store = open_store(config, Open::kExisting); !store) {
    out.push_back({"store", Health::kProblem, store.error().message, ""});
  } else {
    out.push_back(workers_of(**store, path.string()));
  }
  return out;
}

std::vector<Finding> examine_objects(const Config& config) {
  if (config.objects.find("://") == std::string::npos)
    return examine_folder("objects", config.objects, false);
  if (const auto objects = open_objects(config); !objects)
    return {{"objects", Health::kProblem, objects.error().message, ""}};
  return {{"objects", Health::kGood, without_secret(config.objects), ""}};
}

std::vector<Finding> examine(const Config& config) {
  std::vector<Finding> out{
      {"machine", Health::kGood, counted(std::max(1U, std::thread::hardware_concurrency()), "core"), ""}};
  out.push_back(
      {"config", Health::kGood,
       config.file.empty() ? "no spool.toml: defaults, environment and flags" : config.file.string(), ""});
  const auto add = [&out](std::vector<Finding> more) { out.insert(out.end(), more.begin(), more.end()); };
  add(examine_ffmpeg());
  add(examine_sandbox(config));
  add(examine_store(config));
  add(examine_objects(config));
  return out;
}

}  // namespace spool
