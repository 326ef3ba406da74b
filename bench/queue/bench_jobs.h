// What the measurements of the queue share: the store, its jobs, a clock.
#pragma once

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "base/temporary_folder.h"
#include "queue/store.h"

namespace spool::bench {

using Clock =
    std::chrono::steady_clock;  // CLOCK_MONOTONIC: the same in all processes, in Python and Node too

template <class T>
T must(Result<T> result) {
  if (!result) {
    std::fprintf(stderr, "queue_bench: %s\n", result.error().message.c_str());
    std::exit(3);
  }
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

// The environment's `variable` is the URL of a PostgreSQL database; without it, a new file.
std::unique_ptr<Store> open(const TemporaryFolder& folder, const char* variable = "SPOOL_BENCH_STORE");

// A job as people have them: a small document of arguments.
NewJob some_job();
// In batches of 1000.
void insert_jobs(Store& store, int jobs, const NewJob& job = some_job());
// Of a worker that lives longer than the measurement.
Session session(Store& store);
ClaimRequest want(int slots);

// Of an exchange, for the next one.
std::vector<Settlement> succeeded(const std::vector<Claim>& claims);
// Settles and claims, `batch` a call, until `most` are done or nothing is left; returns how many.
int drain(Store& store, Session mine, int batch, int most);

// The value that so much (0..1) of them are below. 0 of nothing.
double quantile(std::vector<double> values, double share);

// Jobs that come and go beside each other, in live.cpp.
void serve(int slots);
void trickle(int jobs, int gap_ms);
void steady(int seconds, int jobs_per_second);

}  // namespace spool::bench
