// What the queue can do, durable: on SQLite (WAL, synchronous=FULL), or on PostgreSQL. One measurement a
// call, one line of JSON on stdout:
//
//   queue_bench insert JOBS             stored in batches of 1000
//   queue_bench direct JOBS BATCH       claimed and settled on the store, BATCH at a time
//   queue_bench worker JOBS SLOTS       no-op jobs through Worker and the inline executor
//   queue_bench claim FINISHED WAITING  claim of 10 jobs, of an empty file and of one with so many jobs
//
//
// bench/queue/run and bench/fleet/run call it in turns with its rivals.
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/temporary_folder.h"
#include "executors/inline_executor.h"
#include "queue/worker.h"
#include "store_postgres/postgres_store.h"
#include "store_sqlite/sqlite_store.h"

namespace spool {
namespace {

constexpr int kBatch = 1000;

template <class T>
T must(Result<T> result) {
  if (!result) {
    std::fprintf(stderr, "queue_bench: %s\n", result.error().message.c_str());
    std::exit(3);
  }
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

class Stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - began_).count();
  }
  double cpu() const { return cpu_seconds() - cpu_; }

 private:
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  double cpu_ = cpu_seconds();
};

void print(const std::string& what, int jobs, const Stopwatch& watch) {
  const double seconds = watch.seconds(), cpu = watch.cpu();
  std::printf(
      R"({"what": "%s", "jobs": %d, "seconds": %.3f, "jobs_per_second": %.0f, "cpu_us_per_job": %.2f})"
      "\n",
      what.c_str(), jobs, seconds, jobs / seconds, cpu * 1e6 / jobs);
}

// SPOOL_BENCH_STORE: the URL of an empty PostgreSQL database, instead of a new file.
std::unique_ptr<Store> open(const TemporaryFolder& folder) {
  if (const char* url = std::getenv("SPOOL_BENCH_STORE")) return must(open_postgres_store(url));
  return must(open_sqlite_store(folder.path() / "spool.db"));
}

// A job as people have them: a small document of arguments.
NewJob some_job() {
  NewJob job;
  job.kind = "noop";
  job.args = {{"input", "object:films/tears/source.mp4"}, {"from", 120}, {"to", 180}};
  return job;
}

void insert_jobs(Store& store, int jobs) {
  const std::vector<NewJob> batch(kBatch, some_job());
  for (int done = 0; done < jobs; done += kBatch) must(store.insert(batch));
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

// Settles and claims, `batch` a call, until nothing is left.
int drain(Store& store, Session mine, int batch, int most) {
  std::vector<Settlement> settled;
  int done = 0;
  for (;;) {
    Exchange both = must(store.exchange(mine, settled, want(done < most ? batch : 0)));
    settled.clear();
    for (const Claim& claim : both.claimed) settled.push_back({claim.job, claim.token, Succeeded{}, {}, ""});
    done += static_cast<int>(settled.size());
    if (settled.empty()) return done;
  }
}

void bench_insert(int jobs) {
  const TemporaryFolder folder;
  const auto store = open(folder);
  const Stopwatch watch;
  insert_jobs(*store, jobs);
  print("insert", jobs, watch);
}

void bench_direct(int jobs, int batch) {
  const TemporaryFolder folder;
  const auto store = open(folder);
  insert_jobs(*store, jobs);
  const Session mine = session(*store);
  const Stopwatch watch;
  drain(*store, mine, batch, jobs);
  print("direct " + std::to_string(batch), jobs, watch);
}

void bench_worker(int jobs, int slots) {
  const TemporaryFolder folder;
  const auto store = open(folder);
  insert_jobs(*store, jobs);
  std::atomic<int> done = 0;
  Kinds kinds;
  Kind noop;
  noop.name = "noop";
  noop.placement = Placement::kInline;
  noop.run = [&done](Attempt&) -> Ending {
    ++done;
    return Succeeded{};
  };
  kinds.add(noop);
  WorkerOptions options;
  options.slots = slots;
  Worker worker(*store, kinds, options);
  InlineExecutor executor(worker.events(), nullptr);
  worker.use(Placement::kInline, executor);
  const Stopwatch watch;
  // Through the counts of the store, but not before the last one ran: what is not settled is not done.
  must(worker.run([&] {
    if (done < jobs) return false;
    JobFilter running;
    running.state = State::kRunning;
    running.most = 1;
    return must(store->list(running)).empty();
  }));
  print("worker " + std::to_string(slots), jobs, watch);
}

// The median time of one exchange that claims ten jobs and settles the ten before.
double claim_seconds(Store& store) {
  const Session mine = session(store);
  std::vector<double> times;
  std::vector<Settlement> settled;
  for (int i = 0; i < 400; ++i) {
    const std::vector<NewJob> ten(10, some_job());
    must(store.insert(ten));
    const Stopwatch watch;
    Exchange both = must(store.exchange(mine, settled, want(10)));
    times.push_back(watch.seconds());
    settled.clear();
    for (const Claim& claim : both.claimed) settled.push_back({claim.job, claim.token, Succeeded{}, {}, ""});
    if (settled.size() != 10) std::exit(3);
  }
  std::nth_element(times.begin(), times.begin() + 200, times.end());
  return times[200];
}

void bench_claim(int finished, int waiting) {
  const TemporaryFolder small, large;
  const auto empty = open(small);
  const auto full = open(large);
  insert_jobs(*full, finished);
  drain(*full, session(*full), 1000, finished);
  insert_jobs(*full, waiting);
  // In turns, so that both meet the same machine.
  std::vector<double> ratios;
  double small_seconds = 0, large_seconds = 0;
  for (int i = 0; i < 5; ++i) {
    small_seconds = claim_seconds(*empty);
    large_seconds = claim_seconds(*full);
    ratios.push_back(large_seconds / small_seconds);
  }
  std::nth_element(ratios.begin(), ratios.begin() + 2, ratios.end());
  std::printf(
      R"({"what": "claim of 10", "finished": %d, "waiting": %d, "ratio": %.2f, "empty_us": %.0f, "full_us": %.0f})"
      "\n",
      finished, waiting, ratios[2], small_seconds * 1e6, large_seconds * 1e6);
}

}  // namespace
}  // namespace spool

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  const auto number = [&](int at, int usual) { return argc > at ? std::atoi(argv[at]) : usual; };
  if (what == "insert") {
    spool::bench_insert(number(2, 300'000));
  } else if (what == "direct") {
    spool::bench_direct(number(2, 200'000), number(3, 200));
  } else if (what == "worker") {
    spool::bench_worker(number(2, 200'000), number(3, 500));
  } else if (what == "claim") {
    spool::bench_claim(number(2, 1'000'000), number(3, 100'000));
  } else {
    std::fprintf(stderr, "queue_bench insert|direct|worker|claim [JOBS] [N]\n");
    return 2;
  }
  return 0;
}
