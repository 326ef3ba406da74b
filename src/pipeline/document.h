// Document: a pipeline as it is written (YAML or JSON), read and checked whole before anything is stored.
//
//     version: 1
//     name: talk                     # optional
//     steps:
//       ladder: {kind: transcode, input: $source, ladder: web}
//       poster: {kind: poster, input: $steps.ladder.mp4, at: 10s, optional: true}
//
// A step has `kind`, `needs` (names of earlier steps), `optional`, and the parameters that its kind's schema
// names. Strings that begin with $ are references: $source, $steps.NAME (that step's main output),
// $steps.NAME.OUTPUT; "$$" begins an ordinary string with "$". A reference is a need. docs/pipelines.md is
// the description for people.
//
// Parameters are checked against Kind::schema. Three values of "format" in such a schema are the pipeline's
// own; what is written is turned into plain values before the kind, and the rest of the schema, sees it:
//   "duration"  on a number:  a string with units ("1m30s") -> seconds
//   "size"      on an integer: a string with units ("16MiB") -> bytes
//   "ladder"    on an object: a ladder's name -> its document (a ladder written out in place is taken as it
//   is)
//
// Plain values; functions are thread-safe. Errors: kInvalidArgument whose message holds every complaint with
// its place.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "pipeline/complaints.h"
#include "queue/kind.h"

namespace spool::pipeline {

inline constexpr std::size_t kMostSteps = 200;

// A reference to what an earlier step gives, resolved when that step has succeeded.
struct Reference {
  std::string pointer;  // where in the args (RFC 6901)
  std::string step;
  std::string output;  // empty: its main output
};

struct Step {
  std::string name;
  std::string kind;
  Json args = Json::object();         // in plain values; references are still the strings of the document
  std::vector<Reference> references;  // to steps
  std::vector<std::string> sources;   // pointers to where $source stands
  std::vector<std::string> needs;     // names of steps, explicit and by reference, each once
  bool optional = false;
};

struct Document {
  std::string name;
  std::vector<Step> steps;
};

// What a document is checked against.
struct Environment {
  const Kinds* kinds = nullptr;                               // needed
  std::function<Result<Json>(std::string_view name)> ladder;  // a named ladder's document; may be empty
  // True: kinds that only a fan-out may make are accepted as well (for tests).
  bool internal_kinds = false;
  // True: so are numbers where a unit is needed, as seconds and bytes.
  bool plain_values = false;
};

[[nodiscard]] Result<Document> parse_pipeline(std::string_view text, std::string_view name,
                                              const Environment& environment);
// The same, with the complaints one by one; nullopt when there are any.
[[nodiscard]] std::optional<Document> parse_pipeline(std::string_view text, const Environment& environment,
                                                     Complaints& complaints);

// Parameters given outside a document (`spool submit KIND every=10s`): converted and checked in the same way.
// Errors: kInvalidArgument naming the parameter.
[[nodiscard]] Result<Json> check_parameters(const Kind& kind, Json parameters,
                                            const Environment& environment);

}  // namespace spool::pipeline
