// How attempts reach bytes: inputs by reference, outputs below the attempt's own prefix of the object store.
//
// Objects that are local files are handed over as they are; others are read through a cache of this worker's
// (source_cache.h), and outputs are written to a local file and uploaded by their commit.
//
// References: "object:KEY"; "object:FOLDER/" for every object below it; "file:/absolute/path" where the
// operator allows it; and names that the program itself gave to a file of its command line ("source:0"). Only
// what the job's args name can be opened (queue/input_references.h). Thread-safe.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "objects/object_store.h"
#include "queue/executor.h"
#include "steps/source_cache.h"

namespace spool::steps {

// ".spool/attempts/JOB/TOKEN": what an attempt writes is fenced by its token; publishing copies the winner's.
[[nodiscard]] std::string attempt_prefix(const Uuid& job, const Token& token);
// ".spool/attempts/JOB": of all its attempts; for sweeping.
[[nodiscard]] std::string attempts_prefix(const Uuid& job);
// ".spool/attempts", and whose is what is below it; nullopt: nobody's.
[[nodiscard]] std::string all_attempts();
[[nodiscard]] std::optional<Uuid> job_of_attempt(std::string_view key);

struct InputRules {
  std::map<std::string, std::filesystem::path, std::less<>> named;  // "source:0" -> a file
  bool local_files = false;                                         // "file:/..." may be opened
};

class ObjectAttemptFiles : public AttemptFiles {
 public:
  // Outlives what it opened.
  ObjectAttemptFiles(ObjectStore& objects, InputRules rules) : objects_(objects), rules_(std::move(rules)) {}

  Result<OpenedInput> open_input(const Claim& claim, std::string_view reference) override;
  Result<UniqueFd> create_output(const Claim& claim, std::string_view name) override;
  Result<void> commit_output(const Claim& claim, std::string_view name, int fd) override;
  void discard(const Claim& claim) override;

 private:
  Result<OpenedInput> open_object(std::string_view key);

  ObjectStore& objects_;
  const InputRules rules_;
  SourceCache cache_;
};

}  // namespace spool::steps
