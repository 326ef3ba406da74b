// Schedule: a job that is inserted again and again, at the times of a cron expression in a time zone. A row
// in the store; who reckons its times is queue/cron.h. Plain values; no thread-safety of their own.
#pragma once

#include <string>

#include "queue/job.h"

namespace spool {

// What becomes of ticks at which no worker was there, once there is one again. Stored: never renumber.
enum class Missed {
  kRunOnce = 0,  // one job for all of them
  kSkip = 1,
  kRunAll = 2,  // one job each
};

struct Schedule {
  std::string name;  // 1..200 bytes, no control characters
  std::string cron;
  std::string zone = "UTC";  // IANA's name
  Missed missed = Missed::kRunOnce;
  NewJob job;           // without id, parent, needs
  bool paused = false;  // its ticks pass, and insert nothing
  Time next{};          // the tick that comes next
};

}  // namespace spool
