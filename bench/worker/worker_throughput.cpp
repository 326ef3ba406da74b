// No-op jobs claimed, run and settled by one worker: jobs a second by the wall clock and by CPU time.
//
// worker_throughput [jobs] [slots ...]     default: 200000 500 8 2
#include <fmt/format.h>
#include <sys/resource.h>

#include <cstdlib>
#include <ctime>

#include "base/temporary_folder.h"
#include "executors/inline_executor.h"
#include "queue/worker.h"
#include "store_sqlite/sqlite_store.h"

namespace {

using namespace spool;

double cpu_seconds() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

void measure(int jobs, int slots) {
  const TemporaryFolder folder;
  const auto store = open_sqlite_store(folder.path() / "spool.db").value();
  NewJob job;
  job.kind = "nothing";
  for (int left = jobs; left > 0; left -= 1000)
    if (!store->insert(std::vector<NewJob>(static_cast<std::size_t>(std::min(left, 1000)), job)))
      throw std::runtime_error("insert");

  std::atomic<int> ran = 0;
  Kinds kinds;
  Kind nothing;
  nothing.name = "nothing";
  nothing.placement = Placement::kInline;
  nothing.run = [&](Attempt&) -> Ending {
    ran.fetch_add(1, std::memory_order_relaxed);
    return Succeeded{};
  };
  kinds.add(nothing);
  WorkerOptions options;
  options.slots = slots;
  Worker worker(*store, kinds, options);
  InlineExecutor executor(worker.events(), nullptr);
  worker.use(Placement::kInline, executor);
  int turns = 0;
  const double cpu = cpu_seconds();
  const auto began = std::chrono::steady_clock::now();
  const auto result = worker.run([&] { return ++turns, ran == jobs; });
  const double wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  if (!result) throw std::runtime_error(result.error().message);
  fmt::print("{} slots: {:.0f} jobs/s, {:.0f} a CPU second, {:.1f} jobs a turn\n", which, slots, jobs / wall,
             jobs / (cpu_seconds() - cpu), static_cast<double>(jobs) / turns);
}

}  // namespace

int main(int argc, char** argv) {
  const int jobs = argc > 1 ? std::atoi(argv[1]) : 200'000;
  std::vector<int> slots;
  for (int i = 2; i < argc; ++i) slots.push_back(std::atoi(argv[i]));
  if (slots.empty()) slots = {500, 8, 2};
  for (const int n : slots) measure(jobs, n);
}
