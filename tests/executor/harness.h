// What the tests of the process executor share: files in a folder, an executor, and waiting for what it says.
#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/temporary_folder.h"
#include "executors/process/process_executor.h"

namespace spool {

// Inputs by their path, outputs below a folder: "NAME.part" until committed.
class FolderFiles final : public AttemptFiles {
 public:
  explicit FolderFiles(std::filesystem::path folder) : folder_(std::move(folder)) {}
  Result<OpenedInput> open_input(const Claim& claim, std::string_view reference) override;
  Result<UniqueFd> create_output(const Claim& claim, std::string_view name) override;
  Result<void> commit_output(const Claim& claim, std::string_view name, int fd) override;
  void discard(const Claim& claim) override;

  std::function<void()> before_open;  // called on the thread that opens
  std::optional<ByteSource> remote;   // what every reference opens then
  std::function<void(const Claim&)> on_discard;

 private:
  std::filesystem::path folder_;
};

class Executing : public testing::Test {
 protected:
  Executing();
  ~Executing() override;

  // The executor under test, made at first use with `options`.
  ProcessExecutor& executor();
  // A claim of a kind of kinds.h, in a tree of its own unless one is given.
  static std::shared_ptr<Claim> claim(std::string kind, Json args = Json::object());
  void start(const std::shared_ptr<const Claim>& claim);
  Settlement ending(Uuid job);  // waits for it
  Settlement run(const std::shared_ptr<const Claim>& claim);
  Settlement run(std::string kind, Json args = Json::object());
  // Waits until a report of the job has come for which `good` holds.
  void await_report(Uuid job, const std::function<bool(const ProgressReport&)>& good);
  void stop_executor();
  // That the executor still works: runs an honest attempt.
  void expect_alive();

  TemporaryFolder folder_;
  FolderFiles files_{folder_.path()};
  ProcessOptions options_;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<Uuid, std::vector<Settlement>> endings_;
  std::vector<ProgressReport> reports_;
  std::unique_ptr<ProcessExecutor> executor_;
};

// All descendants of a process that are alive.
[[nodiscard]] std::vector<pid_t> process_tree(pid_t root);

// The error of an attempt that did not succeed; an empty one if it did.
[[nodiscard]] Error error_of(const Settlement& settlement);
[[nodiscard]] Json result_of(const Settlement& settlement);  // null if it did not succeed

}  // namespace spool
