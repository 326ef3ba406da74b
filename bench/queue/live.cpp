// A queue that is in use: workers that wait for jobs, and who brings them.
#include <atomic>
#include <mutex>
#include <random>
#include <thread>

#include "bench_jobs.h"
#include "executors/inline_executor.h"
#include "queue/worker.h"
#include "support/forwarding_store.h"

namespace spool::bench {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

std::int64_t nanoseconds_now() {
  return std::chrono::nanoseconds(Clock::now().time_since_epoch()).count();
}

// How long jobs took from their insertion, which says when it began ("at"), to their handler.
class Pickups {
 public:
  void add(double waited_us) {
    const std::lock_guard lock(mutex_);
    if (all_.empty()) {
      std::puts("up");
      std::fflush(stdout);
    }
    all_.push_back(waited_us);
  }
  [[nodiscard]] Json all() const { return all_; }

 private:
  std::mutex mutex_;
  std::vector<double> all_;
};

Kind kind_of(const Handler& run) {
  Kind kind;
  kind.name = "noop";
  kind.placement = Placement::kInline;
  kind.run = run;
  return kind;
}

// As `spool worker` has it.
WorkerOptions options_of(int slots) {
  WorkerOptions options;
  options.slots = slots;
  options.poll = seconds(5);
  return options;
}

// Knows how long each exchange took.
class TimedStore : public test::ForwardingStore {
 public:
  struct Sample {
    Clock::time_point at;
    double took_us;
    std::size_t settled, claimed;
  };
  using ForwardingStore::ForwardingStore;
  Result<Exchange> exchange(Session session, std::span<const Settlement> settlements,
                            const ClaimRequest& want) override {
    const auto began = Clock::now();
    auto done = ForwardingStore::exchange(session, settlements, want);
    const auto now = Clock::now();
    const double took = std::chrono::duration<double, std::micro>(now - began).count();
    const std::lock_guard lock(mutex_);
    if (done) samples_.push_back({now, took, settlements.size(), done->claimed.size()});
    return done;
  }
  // When no exchange is on its way any more.
  [[nodiscard]] const std::vector<Sample>& samples() const { return samples_; }

 private:
  std::mutex mutex_;
  std::vector<Sample> samples_;
};

// So many a second, in batches of 100, however long one takes.
void insert_steadily(Store& store, Clock::time_point begin, int seconds_in_all, int jobs_per_second) {
  constexpr int kBatch = 100;
  const std::vector<NewJob> batch(kBatch, some_job());
  for (std::int64_t done = 0; done < std::int64_t{jobs_per_second} * seconds_in_all; done += kBatch) {
    std::this_thread::sleep_until(begin + microseconds(done * 1'000'000 / jobs_per_second));
    must(store.insert(batch));
  }
}

// One line: of each tenth of the time how many were settled a second, and the claims' median and p99.
void print_tenths(const TimedStore& store, Clock::time_point begin, int seconds_in_all) {
  constexpr int kParts = 10;
  std::vector<double> settled(kParts), times[kParts];
  const double part_seconds = static_cast<double>(seconds_in_all) / kParts;
  for (const TimedStore::Sample& sample : store.samples()) {
    const double after = std::chrono::duration<double>(sample.at - begin).count();
    const auto part = static_cast<std::size_t>(std::max(after, 0.0) / part_seconds);
    if (part >= kParts) continue;
    settled[part] += static_cast<double>(sample.settled) / part_seconds;
    if (sample.claimed > 0) times[part].push_back(sample.took_us);
  }
  Json line = {{"what", "steady"}, {"settled_per_second", settled}};
  for (const auto& part : times) {
    line["claim_p50_us"].push_back(quantile(part, 0.5));
    line["claim_p99_us"].push_back(quantile(part, 0.99));
  }
  std::puts(line.dump().c_str());
}

}  // namespace

void serve(int slots) {
  const TemporaryFolder folder;
  const auto store = open(folder);
  Pickups pickups;
  std::atomic<int> handled = 0;
  Kinds kinds;
  kinds.add(kind_of([&](Attempt& attempt) -> Ending {
    const std::int64_t now = nanoseconds_now();
    const Json& args = attempt.claim().args;
    if (args.contains("at")) pickups.add(static_cast<double>(now - args["at"].get<std::int64_t>()) / 1e3);
    if (args.contains("wait_ms")) std::this_thread::sleep_for(milliseconds(args["wait_ms"].get<int>()));
    ++handled;
    return Succeeded{};
  }));
  Worker worker(*store, kinds, options_of(slots));
  InlineExecutor executor(worker.events(), nullptr);
  worker.use(Placement::kInline, executor);
  std::thread until_told([&] {
    while (std::getchar() != EOF) {
    }
    worker.stop();
  });
  must(worker.run());
  until_told.join();
  std::puts(
      Json{{"what", "serve"}, {"handled", handled.load()}, {"pickup_us", pickups.all()}}.dump().c_str());
}

void trickle(int jobs, int gap_ms) {
  const TemporaryFolder folder;
  const auto store = open(folder);
  std::minstd_rand random(std::random_device{}());
  std::uniform_int_distribution<> gap(gap_ms * 500, gap_ms * 1500);  // in step with nobody's timer
  for (int i = 0; i < jobs; ++i) {
    std::this_thread::sleep_for(microseconds(gap(random)));
    NewJob job = some_job();
    job.args["at"] = nanoseconds_now();
    must(store->insert(std::vector<NewJob>{std::move(job)}));
  }
}

void steady(int seconds_in_all, int jobs_per_second) {
  const TemporaryFolder folder;
  TimedStore store(open(folder));
  Kinds kinds;
  kinds.add(kind_of([](Attempt&) -> Ending { return Succeeded{}; }));
  Worker worker(store, kinds, options_of(500));
  InlineExecutor executor(worker.events(), nullptr);
  worker.use(Placement::kInline, executor);
  const auto begin = Clock::now();
  std::thread inserter([&] {
    insert_steadily(store, begin, seconds_in_all + 1, jobs_per_second);  // the last tenth is as the others
    worker.stop();
  });
  must(worker.run());
  inserter.join();
  print_tenths(store, begin, seconds_in_all);
}

}  // namespace spool::bench
