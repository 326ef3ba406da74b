// What a job is: how it is asked for (NewJob), how it is seen (Job), and how one attempt of it is held
// (Claim). Plain values; no thread-safety of their own.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/id.h"
#include "base/json.h"
#include "queue/state.h"

namespace spool {

inline constexpr std::size_t kMostArgsBytes = 1 << 20;
inline constexpr std::size_t kMostCheckpointBytes = 64 << 10;
inline constexpr std::size_t kMostResultBytes = 256 << 10;
inline constexpr std::size_t kMostLogTailBytes = 16 << 10;
inline constexpr int kRescueLimit = 20;

// An edge to an earlier job, of the same batch or of the store. Only between jobs of one parent (or between
// roots): edges then go to older siblings or down to children, and no circle of waiting can come about.
struct Need {
  Uuid job;
  bool ignore_failure = false;  // optional: true in a pipeline
};

// A child of a fan-out has its parent's owner, queue, priority, tags and limit key, whatever stands here.
struct NewJob {
  Uuid id;  // nil: the store makes a UUIDv7
  std::string kind;
  Json args = Json::object();
  std::string name;   // its step's name in a pipeline, or what a person would call it; may be empty
  std::string owner;  // foreign ids do not exist for an owner
  std::string queue = "default";
  int priority = 0;  // one step is worth five minutes of waiting
  int slots = 1;
  std::vector<std::string> tags;  // what the worker must have
  Duration delay{0};
  bool held = false;           // created, until start()
  std::optional<Uuid> parent;  // must exist; the tree is the parent's
  std::vector<Need> needs;
  int most_attempts = 3;
  std::optional<Duration> timeout;   // of one attempt
  std::optional<Duration> deadline;  // of the tree below it, from its insertion
  std::string unique_key;            // per owner and kind, held until the job ends; empty: none
  std::string limit_key;             // what limits of keys go by (queue/limit.h); empty: none
  double weight = 1;                 // its share of its parent's progress
  bool optional = false;             // its failure does not fail its parent
  Json labels = Json::object();
};

struct Usage {
  double cpu_seconds = 0;
  std::int64_t peak_memory_bytes = 0;
  std::int64_t bytes_read = 0;
  std::int64_t bytes_written = 0;
};

// One ended attempt that did not succeed.
struct AttemptError {
  int attempt = 0;
  Error error;
  std::string worker;
  Time began{};
  Time ended{};
  std::string log_tail;
  Usage usage;
};

struct Job {
  Uuid id;
  std::optional<Uuid> parent;
  Uuid root;
  std::string kind, name, owner, queue, unique_key, limit_key;
  Json args, labels;
  int priority = 0;
  int slots = 1;
  std::vector<std::string> tags;
  std::vector<Need> needs;

  State state = State::kCreated;
  bool limited = false;  // waiting for nothing but a place of a limit
  bool delayed = false;  // scheduled for the time that it was inserted for: nobody has claimed it yet
  std::string phase;     // "" at first; FanOut names the next one
  int attempts = 0;      // begun and charged, in this phase
  int most_attempts = 3;
  int rescues = 0;
  bool cancel_requested = false;
  std::optional<Duration> timeout;
  std::optional<Time> deadline;
  double weight = 1;
  bool optional = false;
  double progress = 0;   // its own, 0..1; of a tree: see progress.h
  Json progress_detail;  // null, or what the attempt last said (frames, speed)
  Json checkpoint;       // null at first
  Json result;           // null until it succeeded
  std::vector<AttemptError> errors;
  std::string worker;          // of the running attempt
  std::optional<Token> token;  // of the running attempt, or of the one that succeeded: its outputs won
  Usage usage;                 // summed over its attempts

  Time created{};
  Time ready{};  // when it became, or becomes, available
  std::optional<Time> claimed, ended;
};

// How an attempt ends.
struct Succeeded {
  Json result;
};
struct FanOut {
  std::vector<NewJob> children;
  std::string next_phase;  // runs when all children have ended
  bool fail_fast = false;  // the first failed child cancels its siblings
};
struct RetryLater {
  Error error;
  std::optional<Duration> after;  // nullopt: the retry policy's back-off
};
struct Snooze {
  Duration duration{};
};
struct Failed {
  Error error;
};
struct Released {};  // the worker drains: charges nothing
using Ending = std::variant<Succeeded, FanOut, RetryLater, Snooze, Failed, Released>;

// What an executor hands back for an attempt, and what is settled.
struct Settlement {
  Uuid job;
  Token token;
  Ending ending;
  Usage usage;
  std::string log_tail;
};

// A child of a job, as its next phase sees it.
struct ChildResult {
  Uuid id;
  std::string kind, name;
  State state = State::kSucceeded;
  std::optional<Token> token;  // of the attempt that succeeded: names the prefix of its outputs
  Json args, result;
};

// One attempt of one job, held under a token.
struct Claim {
  Uuid job, root;
  std::optional<Uuid> parent;
  Token token;
  std::string kind, name, owner, phase;
  Json args;
  Json checkpoint;
  int attempt = 1;
  int most_attempts = 3;
  int slots = 1;
  std::optional<Duration> timeout;         // its own; nullopt: its kind's
  std::optional<Duration> until_deadline;  // of its tree, from the claim on
  bool unchecked = false;                  // made without us: its kind and args are not checked yet
  std::vector<ChildResult> children;       // in a later phase, in the order of their insertion
};

}  // namespace spool
