// S3Clock: the time that requests are signed with. This machine's, until a service refuses it as too far from
// its own; then the service's (docs/decisions/s3_signatures.md). Thread-safe.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>

#include "base/clock.h"

namespace spool {

class S3Clock {
 public:
  explicit S3Clock(std::function<Time()> machine) : machine_(std::move(machine)) {}

  [[nodiscard]] Time now() const { return machine_() + ahead_.load(); }
  // The service's time, which it put onto its refusal. Says so when that is news.
  void learn(Time theirs);
  // What another clock of the same service and machine has learned.
  void learn_from(const S3Clock& other) { ahead_ = other.ahead_.load(); }

 private:
  const std::function<Time()> machine_;
  std::mutex mutex_;
  std::atomic<Duration> ahead_{Duration(0)};  // of the service's clock
};

}  // namespace spool
