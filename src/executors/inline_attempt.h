// InlineAttempt: Attempt for a handler that runs in the manager. Used by one thread, but for stop().
//
// Its usage: the thread's CPU time, the bytes of its inputs and outputs, and what add_usage() says. It shares
// its process: no peak of memory is its own, so none is said.
#pragma once

#include <atomic>
#include <memory>
#include <optional>

#include "base/clock.h"
#include "queue/executor.h"

namespace spool {

class InlineAttempt : public Attempt {
 public:
  InlineAttempt(std::shared_ptr<const Claim> claim, const Kind& kind, const AttemptEvents& events,
                AttemptFiles* files)
      : claim_(std::move(claim)), kind_(kind), events_(events), files_(files) {}

  [[nodiscard]] const Claim& claim() const override { return *claim_; }
  [[nodiscard]] std::stop_token stop_token() const override { return stop_.get_token(); }
  void progress(double fraction, Json detail) override;
  Result<void> checkpoint(Json value) override;
  void log(std::string_view line) override;
  void add_usage(const Usage& usage) override;
  Result<ByteSource> open_input(std::string_view reference) override;
  Result<void> put_output(std::string_view name, std::span<const std::byte> bytes) override;
  Result<UniqueFd> create_output(std::string_view name) override;
  Result<void> commit_output(std::string_view name, UniqueFd fd) override;

  // Any thread; the first reason stands, but for a lost lease.
  void stop(StopReason reason);
  // Runs the handler; what it returns is settled.
  [[nodiscard]] Settlement run();

 private:
  void send(ProgressReport report);

  const std::shared_ptr<const Claim> claim_;
  const Kind& kind_;
  const AttemptEvents& events_;
  AttemptFiles* const files_;
  std::stop_source stop_;
  std::atomic<int> reason_{-1};
  std::optional<ProgressReport> unsent_;
  BootClock::time_point sent_{};
  std::string log_;
  Usage usage_;
  std::shared_ptr<std::int64_t> bytes_read_ = std::make_shared<std::int64_t>(0);
};

}  // namespace spool
