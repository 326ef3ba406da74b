#include "drain.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <thread>

#include "fleet_view.h"
#include "patience.h"

namespace spool {
namespace {

constexpr auto kBetweenLooks = std::chrono::milliseconds(250);

std::string name_of(const SessionInfo& worker) {
  return fmt::format("{}:{}", worker.worker.host, worker.worker.pid);
}

// Of those the ones that still hold a lease. What has lost its own has ended, or stops what it runs.
Result<std::map<Uuid, std::string>> alive(Store& store, const std::map<Uuid, std::string>& asked) {
  SPOOL_ASSIGN(const std::vector<SessionInfo> sessions, store.sessions());
  SPOOL_ASSIGN(const Time now, store.now());
  std::map<Uuid, std::string> left;
  for (const SessionInfo& worker : sessions)
    if (asked.contains(worker.session.id) && lives(worker, now))
      left.emplace(worker.session.id, name_of(worker));
  return left;
}

}  // namespace

Result<std::vector<SessionInfo>> workers_named(std::span<const SessionInfo> all, const std::string& name) {
  const auto those = [&all](const auto& is_meant) {
    std::vector<SessionInfo> found;
    std::copy_if(all.begin(), all.end(), std::back_inserter(found), is_meant);
    return found;
  };
  auto found =
      those([&](const SessionInfo& worker) { return name == worker.worker.host || name == name_of(worker); });
  if (!found.empty()) return found;
  if (!name.empty())
    found = those([&](const SessionInfo& worker) { return worker.session.id.text().starts_with(name); });
  if (found.empty())
    return fail(Code::kNotFound,
                fmt::format("there is no worker \"{}\": `spool workers` shows who is there", name));
  if (found.size() > 1)
    return fail(Code::kInvalidArgument,
                fmt::format("{} workers have an id that begins with \"{}\": {} and {}", found.size(), name,
                            found[0].session.id.text(), found[1].session.id.text()));
  return found;
}

Result<void> drain_workers(Store& store, std::span<const std::string> names) {
  SPOOL_ASSIGN(const std::vector<SessionInfo> sessions, store.sessions());
  std::map<Uuid, std::string> asked;
  for (const std::string& name : names) {
    SPOOL_ASSIGN(const std::vector<SessionInfo> found, workers_named(sessions, name));
    for (const SessionInfo& worker : found) asked.emplace(worker.session.id, name_of(worker));
  }
  for (const auto& [id, name] : asked)
    if (auto told = store.drain(Session{id}); !told && told.error().code != Code::kNotFound) return told;
  fmt::print(
      stderr,
      "spool: {} asked to drain; waiting until what they run has ended (Ctrl-C: they drain all the same)\n",
      asked.size() == 1 ? "1 worker was" : fmt::format("{} workers were", asked.size()));
  while (!asked.empty()) {
    SPOOL_ASSIGN(auto left, patiently([&] { return alive(store, asked); },
                                      [](const std::string& line) { fmt::print(stderr, "{}\n", line); }));
    for (const auto& [id, name] : asked)
      if (!left.contains(id)) fmt::print("drained {}\n", name);
    std::fflush(stdout);
    asked = std::move(left);
    if (!asked.empty()) std::this_thread::sleep_for(kBetweenLooks);
  }
  return {};
}

}  // namespace spool
