// Kind: a sort of job. One function, one schema, one line in a table.
//
// A table of kinds is filled at start and only read afterwards; then any thread may read it. What the
// pointers of find() and all() name lives as long as the table.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_schema.h"
#include "queue/attempt.h"
#include "queue/job.h"

namespace spool {

class Store;

enum class Placement {
  kInline,   // in the manager: trusted, tiny
  kProcess,  // in a sandboxed child: everything that reads media
};
// The tag of workers that have a sandbox, and of jobs that somewhere below them need one: who has none leaves
// them where they are. A fan-out's children have it from their parent.
inline constexpr char kSandboxTag[] = "sandbox";

// What an attempt of this kind may fan out to. What a child process reports is hostile: this is checked, and
// no child may park its tree: be held or far away, need more slots than its parent had, or be tried for ever.
struct FanOutRule {
  std::vector<std::string> kinds;
  std::size_t most_children = 0;
  // Its children are what a person wrote (a pipeline): never_fanned_out and the last sentence above do not
  // bind it. Only for kinds that run inline.
  bool asked_by_people = false;
  std::size_t most_args_bytes = 16 << 20;  // of all its children's args and labels together
};
inline constexpr int kMostFannedOutAttempts = 10;
inline constexpr Duration kMostFannedOutDelay = std::chrono::hours(1);

using Handler = std::function<Ending(Attempt&)>;

struct Kind {
  std::string name;
  Json schema = Json::object();  // JSON Schema of the args
  Handler run;
  Placement placement = Placement::kProcess;
  std::vector<std::string>
      inline_phases;  // phases that run in the manager whatever the placement: trusted, tiny
  FanOutRule fan_out;
  Duration timeout = std::chrono::hours(6);
  Duration stall_timeout = std::chrono::minutes(2);      // no sign of life for so long: killed
  Duration progress_timeout = std::chrono::minutes(15);  // no message for so long, however busy: killed
  bool internal = false;          // only a fan-out may make it; not for pipelines or people
  bool never_fanned_out = false;  // only people and pipelines may make it, whatever a rule says (exec)
  std::string summary;            // one line for people
  // In the manager, after a commit that settled, or checkpointed, an attempt of this kind. Best effort (a
  // crash may skip it), coalesced per parent, idempotent. For what should be seen before the tree ends
  // (growing playlists).
  std::function<void(Store&, const Claim&)> follow_up;

  [[nodiscard]] Placement placement_of(std::string_view phase) const {
    return std::find(inline_phases.begin(), inline_phases.end(), phase) == inline_phases.end()
               ? placement
               : Placement::kInline;
  }
};

// How long such an attempt may run: the job's own timeout or its kind's, and never beyond its tree's
// deadline.
[[nodiscard]] inline Duration time_limit(const Claim& claim, const Kind& kind) {
  return std::min(claim.timeout.value_or(kind.timeout), claim.until_deadline.value_or(Duration::max()));
}

class Kinds;
// Plain values of args that stand there as a person writes them: defaults, names, units. Plain ones stay as
// they are. Deterministic: it is called again for every attempt and phase. Thread-safe. Errors:
// kInvalidArgument.
using ResolveArgs = std::function<Result<Json>(const Kinds& kinds, const Kind& kind, Json args)>;

class Kinds {
 public:
  // Throws std::invalid_argument on what is a mistake of the program: a name that is taken or empty, no
  // handler, a schema that is none.
  void add(Kind kind);
  // Without it, args that were stored unchecked must have plain values.
  void resolve_with(ResolveArgs resolve) { resolve_ = std::move(resolve); }
  [[nodiscard]] const Kind* find(std::string_view name) const;
  // Checks what a person or a pipeline asks for, before anything is stored. Errors: kInvalidArgument,
  // kLimitExceeded; they name the argument and what is allowed.
  [[nodiscard]] Result<void> check(const NewJob& job) const;
  // The same for what is stored already and nobody checked (Claim::unchecked): args as the handler takes
  // them.
  [[nodiscard]] Result<Json> resolve_and_check(std::string_view kind, Json args) const;
  // Checks what an attempt of `parent`, which held so many slots, wants to fan out to: hostile when it comes
  // from a child process.
  [[nodiscard]] Result<void> check(const Kind& parent, int slots, const FanOut& fan_out) const;
  // Every single thing that is wrong with args, for those who can show where. The kind must be known.
  [[nodiscard]] std::vector<SchemaViolation> violations(std::string_view kind, const Json& args) const;
  [[nodiscard]] std::vector<const Kind*> all() const;

 private:
  struct Entry {
    Kind kind;
    JsonSchema schema;
  };
  [[nodiscard]] Result<void> check_job(const Entry& entry, const NewJob& job) const;
  [[nodiscard]] Result<const Entry*> entry(std::string_view name) const;
  [[nodiscard]] Result<const Entry*> entry_for_people(std::string_view name) const;
  std::map<std::string, Entry, std::less<>> kinds_;
  ResolveArgs resolve_;
};

}  // namespace spool
