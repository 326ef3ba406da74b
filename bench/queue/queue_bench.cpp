// What the queue can do, durable: on SQLite (WAL, synchronous=FULL), or on PostgreSQL, whose empty database
// SPOOL_BENCH_STORE names. One measurement a call, one line of JSON on stdout:
//
//   queue_bench insert JOBS             stored in batches of 1000
//   queue_bench direct JOBS BATCH       claimed and settled on the store, BATCH at a time
//   queue_bench worker JOBS SLOTS       no-op jobs through Worker and the inline executor
//   queue_bench drain JOBS SLOTS        as worker, of jobs that are stored already
//   queue_bench claim FINISHED WAITING  claim of 10 jobs, of one with so many more jobs and of an empty one
//                                       (on PostgreSQL: SPOOL_BENCH_EMPTY_STORE), in turns
//   queue_bench fill FINISHED WAITING [MS]  measures nothing; the waiting jobs take so long (serve)
//
// and of a queue that is in use, by processes beside each other (live.cpp):
//
//   queue_bench serve SLOTS             a worker until its stdin ends; how long jobs waited for their handler
//   queue_bench trickle JOBS MS         inserts jobs for it one by one, so far apart
//   queue_bench steady SECONDS RATE     inserts so many jobs a second and works them off
//
// bench/queue/run and bench/fleet/run call it in turns with its rivals.
#include <sys/resource.h>

#include <atomic>

#include "bench_jobs.h"
#include "executors/inline_executor.h"
#include "queue/worker.h"

namespace spool::bench {
namespace {

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
  double seconds() const { return std::chrono::duration<double>(Clock::now() - began_).count(); }
  double cpu() const { return cpu_seconds() - cpu_; }

 private:
  Clock::time_point began_ = Clock::now();
  double cpu_ = cpu_seconds();
};

void print(const std::string& what, int jobs, const Stopwatch& watch) {
  const double seconds = watch.seconds(), cpu = watch.cpu();
  std::printf(
      R"({"what": "%s", "jobs": %d, "seconds": %.3f, "jobs_per_second": %.0f, "cpu_us_per_job": %.2f})"
      "\n",
      what.c_str(), jobs, seconds, jobs / seconds, cpu * 1e6 / jobs);
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

void bench_worker(Store& store, int jobs, int slots) {
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
  Worker worker(store, kinds, options);
  InlineExecutor executor(worker.events(), nullptr);
  worker.use(Placement::kInline, executor);
  const Stopwatch watch;
  // Through the counts of the store, but not before the last one ran: what is not settled is not done.
  must(worker.run([&] {
    if (done < jobs) return false;
    JobFilter running;
    running.state = State::kRunning;
    running.most = 1;
    return must(store.list(running)).empty();
  }));
  print("worker " + std::to_string(slots), jobs, watch);
}

void bench_worker(int jobs, int slots, bool stored) {
  const TemporaryFolder folder;
  const auto store = open(folder);
  if (!stored) insert_jobs(*store, jobs);
  bench_worker(*store, jobs, slots);
}

void fill(Store& store, int finished, int waiting, const NewJob& job = some_job()) {
  insert_jobs(store, finished);
  drain(store, session(store), 1000, finished);
  insert_jobs(store, waiting, job);
}

void fill(int finished, int waiting, int wait_ms) {
  const TemporaryFolder folder;
  NewJob job = some_job();
  if (wait_ms > 0) job.args["wait_ms"] = wait_ms;
  fill(*open(folder), finished, waiting, job);
}

// Exchanges that claim ten jobs and settle the ten before, and what each one took.
class TimedClaims {
 public:
  explicit TimedClaims(Store& store) : store_(store), mine_(session(store)) {}
  void one_more() {
    insert_jobs(store_, 10);
    const Stopwatch watch;
    const Exchange both = must(store_.exchange(mine_, settled_, want(10)));
    microseconds_.push_back(watch.seconds() * 1e6);
    settled_ = succeeded(both.claimed);
    if (settled_.size() != 10) std::exit(3);
  }
  [[nodiscard]] double quantile(double share) const { return bench::quantile(microseconds_, share); }

 private:
  Store& store_;
  Session mine_;
  std::vector<Settlement> settled_;
  std::vector<double> microseconds_;
};

void bench_claim(int finished, int waiting) {
  const TemporaryFolder small, large;
  const auto empty = open(small, "SPOOL_BENCH_EMPTY_STORE");
  const auto full = open(large);
  fill(*full, finished, waiting);
  TimedClaims of_empty(*empty), of_full(*full);
  // In turns, so that both meet the same machine.
  for (int i = 0; i < 2000; ++i) {
    of_empty.one_more();
    of_full.one_more();
  }
  const double empty_us = of_empty.quantile(0.5), full_us = of_full.quantile(0.5);
  std::printf(
      R"({"what": "claim of 10", "finished": %d, "waiting": %d, "ratio": %.2f, "empty_us": %.0f, "full_us": %.0f, )"
      R"("empty_p99_us": %.0f, "full_p99_us": %.0f})"
      "\n",
      finished, waiting, full_us / empty_us, empty_us, full_us, of_empty.quantile(0.99),
      of_full.quantile(0.99));
}

}  // namespace
}  // namespace spool::bench

int main(int argc, char** argv) {
  using namespace spool::bench;
  const std::string what = argc > 1 ? argv[1] : "";
  const auto number = [&](int at, int usual) { return argc > at ? std::atoi(argv[at]) : usual; };
  if (what == "insert") {
    bench_insert(number(2, 300'000));
  } else if (what == "direct") {
    bench_direct(number(2, 200'000), number(3, 200));
  } else if (what == "worker" || what == "drain") {
    bench_worker(number(2, 200'000), number(3, 500), what == "drain");
  } else if (what == "claim") {
    bench_claim(number(2, 1'000'000), number(3, 100'000));
  } else if (what == "fill") {
    fill(number(2, 0), number(3, 0), number(4, 0));
  } else if (what == "serve") {
    serve(number(2, 8));
  } else if (what == "trickle") {
    trickle(number(2, 1000), number(3, 20));
  } else if (what == "steady") {
    steady(number(2, 60), number(3, 5000));
  } else {
    std::fprintf(stderr, "queue_bench insert|direct|worker|drain|claim|fill|serve|trickle|steady [N]...\n");
    return 2;
  }
  return 0;
}
