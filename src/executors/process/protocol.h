// The messages between a manager and its sandboxed child (docs/worker_protocol.md), as values and as bytes.
//
// A frame is its length in four bytes, little-endian, and that many bytes of JSON. A descriptor travels
// beside the frame that speaks of it (SCM_RIGHTS). Everything here is pure: no descriptor, no clock, no state
// but FrameReader's, so that it can be fuzzed. What a child says is hostile: a wrong type, an unknown key, a
// number out of range or a text too long is an error in words; such a child is killed.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "executors/process/limits.h"
#include "queue/executor.h"
#include "queue/job.h"
#include "queue/kind.h"

namespace spool::process {

inline constexpr int kProtocolVersion = 2;

// Child to manager.
struct Ready {
  int version = kProtocolVersion;
};
struct OpenInput {  // answered by a Reply, with a descriptor to read
  std::string reference;
};
struct ReadInput {  // of an input that is no local file; answered by a Reply
  int input = 0;
  std::int64_t offset = 0;
  int length = 0;
};
struct CloseInput {  // no answer
  int input = 0;
};
struct CreateOutput {  // answered by a Reply, with a descriptor to write and read
  std::string name;
};
struct CommitOutput {  // answered by a Reply
  std::string name;
};
struct Progress {
  double fraction = 0;
  Json detail;
};
struct Checkpoint {
  Json value;
};
struct LogLine {
  std::string line;
};
struct Ended {
  Ending ending;
  Usage usage;  // as the child sees itself; used where the manager cannot look
};
using FromChild = std::variant<Ready, OpenInput, ReadInput, CloseInput, CreateOutput, CommitOutput, Progress,
                               Checkpoint, LogLine, Ended>;

// Manager to child.
struct Run {
  Claim claim;
};
struct Stop {
  StopReason reason = StopReason::kCancelled;
};
struct Reply {
  std::optional<Error> error;
  bool descriptor = false;  // one travels beside
  // Of an input that is no local file: its number and its size. The descriptor is then of memory in which the
  // answers to ReadInput are found, from its begin.
  int input = 0;
  std::int64_t size = 0;
  int bytes = 0;  // that were read; 0 only at the end
};
using FromManager = std::variant<Run, Stop, Reply>;

[[nodiscard]] std::string encode(const FromChild& message);
[[nodiscard]] std::string encode(const FromManager& message);
// Errors: kInvalidArgument or kLimitExceeded, in words.
[[nodiscard]] Result<FromChild> decode_from_child(std::string_view text);
[[nodiscard]] Result<FromManager> decode_from_manager(std::string_view text);

// A frame around an encoded message.
[[nodiscard]] std::string frame(std::string_view text);

// Cuts a stream into frames.
class FrameReader {
 public:
  explicit FrameReader(std::size_t most_bytes) : most_bytes_(most_bytes) {}
  void feed(std::string_view bytes);
  // The next whole message, or nullopt when more bytes are needed. Errors: kLimitExceeded for a frame that is
  // too long, said as soon as its header is there; there is no way on after it.
  [[nodiscard]] Result<std::optional<std::string>> next();
  [[nodiscard]] bool empty() const { return buffer_.size() == begin_; }  // no half frame is left

 private:
  std::size_t most_bytes_;
  std::string buffer_;
  std::size_t begin_ = 0;
};

// What a kind allows its attempts to end with: which children, how many, no references but the parent's own.
// The children's owner is set to the claim's. Errors: kInvalidArgument, kLimitExceeded, kPermissionDenied.
[[nodiscard]] Result<void> check_ending(Ending& ending, const Claim& claim, const Kind& kind);

// True when the attempt may open it: see queue/input_references.h.
[[nodiscard]] bool may_open(const Claim& claim, std::string_view reference);
// Relative, without "..", empty parts, control characters or a trailing slash.
[[nodiscard]] Result<void> check_output_name(std::string_view name);

}  // namespace spool::process
