// How attempts reach bytes: inputs by reference, outputs below the attempt's own prefix of the object store.
//
// References: "object:KEY"; "object:FOLDER/" for every object below it; "file:/absolute/path" where the
// operator allows it; and names that the program itself gave to a file of its command line ("source:0"). Only
// what the job's args name can be opened (queue/input_references.h). Thread-safe.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "objects/folder_store.h"
#include "queue/executor.h"

namespace spool::steps {

// ".spool/attempts/JOB/TOKEN": what an attempt writes is fenced by its token; publishing copies the winner's.
[[nodiscard]] std::string attempt_prefix(const Uuid& job, const Token& token);
// ".spool/attempts/JOB": of all its attempts; for sweeping.
[[nodiscard]] std::string attempts_prefix(const Uuid& job);

struct InputRules {
  std::map<std::string, std::filesystem::path, std::less<>> named;  // "source:0" -> a file
  bool local_files = false;                                         // "file:/..." may be opened
};

class FolderAttemptFiles : public AttemptFiles {
 public:
  FolderAttemptFiles(FolderStore& objects, InputRules rules) : objects_(objects), rules_(std::move(rules)) {}

  Result<UniqueFd> open_input(const Claim& claim, std::string_view reference) override;
  Result<UniqueFd> create_output(const Claim& claim, std::string_view name) override;
  Result<void> commit_output(const Claim& claim, std::string_view name, int fd) override;
  void discard(const Claim& claim) override;

 private:
  FolderStore& objects_;
  const InputRules rules_;
};

}  // namespace spool::steps
