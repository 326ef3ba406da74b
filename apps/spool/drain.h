// Asking workers to drain, wherever they run: `spool worker --drain`.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "queue/store.h"

namespace spool {

// Those that a name means: "HOST:PID" as `spool workers` shows it, "HOST" for all that run there, or an id or
// the beginning of one. Errors: kNotFound; kInvalidArgument for a beginning that several ids have.
[[nodiscard]] Result<std::vector<SessionInfo>> workers_named(std::span<const SessionInfo> all,
                                                             const std::string& name);

// A worker that is to drain, by its host and process: after a lost lease, and after an exchange in doubt, it
// goes on in another session. Pure.
class DrainedWorker {
 public:
  explicit DrainedWorker(const SessionInfo& worker)
      : host_(worker.worker.host),
        pid_(worker.worker.pid),
        known_{{worker.session.id, {worker.expires, worker.worker.lease}}} {}

  enum class Stands {
    kWaits,
    kDrained,  // its session was closed while its lease held
    kGone,     // its lease was lost, and it has not come back for as long as a lease
  };
  struct Look {
    Stands stands = Stands::kWaits;
    std::vector<Session> to_ask;  // of its sessions: those that do not drain yet
  };
  // What the store says, of all workers, and its time.
  [[nodiscard]] Look look(std::span<const SessionInfo> sessions, Time now);

 private:
  struct Lease {
    Time expires{};
    Duration lease{};
  };
  std::string host_;
  int pid_;
  std::map<Uuid, Lease> known_;  // as they were seen last
};

// Asks them, and waits until the last of them has ended; says so of each on stdout.
[[nodiscard]] Result<void> drain_workers(Store& store, std::span<const std::string> names);

}  // namespace spool
