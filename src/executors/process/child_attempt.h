// ChildAttempt: an Attempt whose every call is a message to the manager.
//
// Made for one attempt. The handler's thread calls it; the thread that listens to the manager calls answer()
// and request_stop().
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>

#include "base/clock.h"
#include "executors/process/channel.h"
#include "queue/attempt.h"

namespace spool::process {

class ChildAttempt final : public Attempt {
 public:
  ChildAttempt(ChildChannel& channel, Claim claim) : channel_(channel), claim_(std::move(claim)) {}

  [[nodiscard]] const Claim& claim() const override { return claim_; }
  [[nodiscard]] std::stop_token stop_token() const override { return stop_.get_token(); }
  void progress(double fraction, Json detail) override;
  Result<void> checkpoint(Json value) override;
  void log(std::string_view line) override;
  Result<ByteSource> open_input(std::string_view reference) override;
  Result<void> put_output(std::string_view name, std::span<const std::byte> bytes) override;
  Result<UniqueFd> create_output(std::string_view name) override;
  Result<void> commit_output(std::string_view name, UniqueFd fd) override;

  void answer(Reply reply, UniqueFd descriptor);
  void request_stop() { stop_.request_stop(); }

 private:
  class RemoteSource;
  struct Answer {
    Reply reply;
    UniqueFd descriptor;
  };
  // Sends, and waits for the answer.
  Result<Answer> ask(const FromChild& question);
  Result<ByteSource> source_of(Answer opened, const std::string& reference);
  void read_on();

  ChildChannel& channel_;
  const Claim claim_;
  std::stop_source stop_;
  std::mutex mutex_;
  std::condition_variable answered_;
  std::optional<Answer> answer_;
  std::optional<BootClock::time_point> last_progress_;
  BootClock::time_point told_of_reading_ = BootClock::now();
};

}  // namespace spool::process
