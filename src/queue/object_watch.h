// ObjectWatch: whose fault a failure is, an attempt's own or that of objects which are away; and waiting for
// those.
//
// Between the executors of a worker and its loop. What an attempt failed with is passed on when the objects
// have been asked whether they answer at all: as it is if they do; otherwise the attempt is released, which
// charges nothing, and they are asked again, later and later, until they do. Who had begun before that is
// released too. An attempt that is not passed on yet counts as running. Thread-safe, but for start() and
// end().
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "queue/job.h"

namespace spool {

class ObjectWatch {
 public:
  struct World {
    std::function<Result<void>()> ask;        // may block; empty: the objects are never away
    std::function<void(Settlement)> pass_on;  // called from any thread
    std::function<std::vector<Token>()> running;
    std::function<void()> back;  // they answer again
    Duration first_wait;         // between the first two questions
  };
  explicit ObjectWatch(World world) : world_(std::move(world)) {}

  void start();
  // `interrupt` is called when a question is on its way, and makes it fail. What is not passed on waits for
  // the next start().
  void end(const std::function<void()>& interrupt);

  void put(Settlement settlement);
  [[nodiscard]] bool away() const;

 private:
  void watch();
  void note_away(const Error& why);
  void note_back(std::vector<Token> running);

  const World world_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Settlement> held_;     // for the next question's answer
  std::vector<Token> begun_before_;  // the objects were back the last time
  bool asks_ = false, away_ = false, ends_ = false;
  std::thread thread_;
};

}  // namespace spool
