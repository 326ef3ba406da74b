// Attempt: what a handler sees of its job and the world. The same for a handler that runs in the manager
// (inline) and in a sandboxed child, where every call is a message to the manager's broker.
//
// One thread at a time may call it, but for stop_token(), which any may. Handlers never throw on purpose; an
// exception that escapes one is a failed attempt.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/file.h"
#include "queue/job.h"

namespace spool {

class Attempt {
 public:
  virtual ~Attempt() = default;

  [[nodiscard]] virtual const Claim& claim() const = 0;
  // Asked to stop: cancelled, timed out, draining or stalled. End soon; what is returned then hardly matters.
  [[nodiscard]] virtual std::stop_token stop_token() const = 0;

  // 0..1, with a detail for people ({"frames": 120, "fps": 96.5}). Cheap: sent at most once in a while.
  virtual void progress(double fraction, Json detail = nullptr) = 0;
  // Survives attempts; at most 64 KiB. Also says "these outputs are whole": see Kind::follow_up.
  virtual Result<void> checkpoint(Json value) = 0;
  // A line for the log tail of this attempt.
  virtual void log(std::string_view line) = 0;

  // What was used outside this process (a command's CPU time, say); the rest is measured.
  virtual void add_usage(const Usage&) {}

  // Inputs are named in the job's args as references: an absolute path "file:/..." (operators' own), or a key
  // of the object store, "object:...". Only references that stand in the args of the job can be opened.
  virtual Result<ByteSource> open_input(std::string_view reference) = 0;
  // Writes an output under the attempt's own prefix, whole or not at all. `name` is relative, without "..".
  virtual Result<void> put_output(std::string_view name, std::span<const std::byte> bytes) = 0;
  // An output too large for memory: a descriptor to write (and read back) at any offset; finished by
  // commit_output.
  virtual Result<UniqueFd> create_output(std::string_view name) = 0;
  virtual Result<void> commit_output(std::string_view name, UniqueFd fd) = 0;
};

}  // namespace spool
