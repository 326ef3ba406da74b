#include "bench_jobs.h"

#include <algorithm>

#include "store_postgres/postgres_store.h"
#include "store_sqlite/sqlite_store.h"

namespace spool::bench {

std::unique_ptr<Store> open(const TemporaryFolder& folder, const char* variable) {
  if (const char* url = std::getenv(variable)) return must(open_postgres_store(url));
  return must(open_sqlite_store(folder.path() / "spool.db"));
}

NewJob some_job() {
  NewJob job;
  job.kind = "noop";
  job.args = {{"input", "object:films/tears/source.mp4"}, {"from", 120}, {"to", 180}};
  return job;
}

void insert_jobs(Store& store, int jobs, const NewJob& job) {
  constexpr int kBatch = 1000;
  for (int done = 0; done < jobs; done += kBatch)
    must(store.insert(std::vector<NewJob>(static_cast<std::size_t>(std::min(kBatch, jobs - done)), job)));
}

Session session(Store& store) {
  WorkerInfo info;
  info.host = "bench";
  info.lease = std::chrono::hours(1);
  return must(store.open_session(info));
}

ClaimRequest want(int slots) {
  ClaimRequest request;
  request.slots = request.all_slots = slots;
  return request;
}

std::vector<Settlement> succeeded(const std::vector<Claim>& claims) {
  std::vector<Settlement> settlements;
  for (const Claim& claim : claims) settlements.push_back({claim.job, claim.token, Succeeded{}, {}, ""});
  return settlements;
}

int drain(Store& store, Session mine, int batch, int most) {
  std::vector<Settlement> settled;
  int done = 0;
  for (;;) {
    settled = succeeded(must(store.exchange(mine, settled, want(std::min(batch, most - done)))).claimed);
    done += static_cast<int>(settled.size());
    if (settled.empty()) return done;
  }
}

double quantile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  const auto at =
      std::min(values.size() - 1, static_cast<std::size_t>(share * static_cast<double>(values.size())));
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(at), values.end());
  return values[at];
}

}  // namespace spool::bench
