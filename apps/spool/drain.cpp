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

// Asks those to drain that have to be asked, and tells how it stands with each.
Result<std::map<std::string, DrainedWorker::Stands>> look_at(Store& store,
                                                             std::map<std::string, DrainedWorker>& workers) {
  SPOOL_ASSIGN(const std::vector<SessionInfo> sessions, store.sessions());
  SPOOL_ASSIGN(const Time now, store.now());
  std::map<std::string, DrainedWorker::Stands> all;
  for (auto& [name, worker] : workers) {
    const DrainedWorker::Look look = worker.look(sessions, now);
    for (const Session& session : look.to_ask)
      if (auto told = store.drain(session); !told && told.error().code != Code::kNotFound)
        return fail(std::move(told).error());
    all.emplace(name, look.stands);
  }
  return all;
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

DrainedWorker::Look DrainedWorker::look(std::span<const SessionInfo> sessions, Time now) {
  Look look;
  bool there = false;
  for (const SessionInfo& session : sessions) {
    if (session.worker.host != host_ || session.worker.pid != pid_) continue;
    known_[session.session.id] = {session.expires, session.worker.lease};
    if (!lives(session, now)) continue;
    there = true;
    if (!session.draining) look.to_ask.push_back(session.session);
  }
  if (there) return look;
  const auto last =
      std::ranges::max_element(known_, {}, [](const auto& session) { return session.second.expires; });
  if (last == known_.end() || now >= last->second.expires + last->second.lease)
    look.stands = Stands::kGone;
  else if (now < last->second.expires)
    look.stands = Stands::kDrained;
  return look;
}

Result<void> drain_workers(Store& store, std::span<const std::string> names) {
  SPOOL_ASSIGN(const std::vector<SessionInfo> sessions, store.sessions());
  std::map<std::string, DrainedWorker> asked;
  for (const std::string& name : names) {
    SPOOL_ASSIGN(const std::vector<SessionInfo> found, workers_named(sessions, name));
    for (const SessionInfo& worker : found) asked.emplace(name_of(worker), DrainedWorker(worker));
  }
  SPOOL_ASSIGN(auto stands, look_at(store, asked));
  fmt::print(
      stderr,
      "spool: {} asked to drain; waiting until what they run has ended (Ctrl-C: they drain all the same)\n",
      asked.size() == 1 ? "1 worker was" : fmt::format("{} workers were", asked.size()));
  for (;;) {
    for (const auto& [name, how] : stands) {
      if (how == DrainedWorker::Stands::kWaits) continue;
      fmt::print("{} {}\n", how == DrainedWorker::Stands::kGone ? "gone" : "drained", name);
      asked.erase(name);
    }
    std::fflush(stdout);
    if (asked.empty()) return {};
    std::this_thread::sleep_for(kBetweenLooks);
    SPOOL_ASSIGN(stands, patiently([&] { return look_at(store, asked); },
                                   [](const std::string& line) { fmt::print(stderr, "{}\n", line); }));
  }
}

}  // namespace spool
