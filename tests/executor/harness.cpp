#include "executor/harness.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>

#include "executor/kinds.h"

namespace spool {
namespace {
constexpr auto kPatience = std::chrono::seconds(30);  // only a failing test waits so long
}

Result<OpenedInput> FolderFiles::open_input(const Claim&, std::string_view reference) {
  if (before_open) before_open();
  if (remote) return OpenedInput(*remote);
  if (!reference.starts_with("file:")) return fail(Code::kNotFound, std::string(reference));
  return open_regular_file(reference.substr(5));
}

Result<UniqueFd> FolderFiles::create_output(const Claim&, std::string_view name) {
  const auto path = folder_ / (std::string(name) + ".part");
  std::filesystem::create_directories(path.parent_path());
  return open_file(path, O_RDWR | O_CREAT | O_EXCL);
}

Result<void> FolderFiles::commit_output(const Claim&, std::string_view name, int fd) {
  if (fsync(fd) != 0) return fail_errno(errno, name);
  std::error_code error;
  std::filesystem::rename(folder_ / (std::string(name) + ".part"), folder_ / name, error);
  if (error) return fail_errno(error.value(), name);
  return {};
}

void FolderFiles::discard(const Claim& claim) {
  if (on_discard) on_discard(claim);
}

Executing::Executing() {
  options_.spare_children = 1;
}
Executing::~Executing() = default;

ProcessExecutor& Executing::executor() {
  if (!executor_) {
    AttemptEvents events;
    events.report = [this](const Claim&, ProgressReport report) {
      const std::lock_guard lock(mutex_);
      reports_.push_back(std::move(report));
      changed_.notify_all();
    };
    events.ended = [this](const Claim&, Settlement settlement) {
      const std::lock_guard lock(mutex_);
      endings_[settlement.job].push_back(std::move(settlement));
      changed_.notify_all();
    };
    executor_ = std::make_unique<ProcessExecutor>(options_, files_, events);
  }
  return *executor_;
}

std::shared_ptr<Claim> Executing::claim(std::string kind, Json args) {
  auto made = std::make_shared<Claim>();
  made->job = made->root = Uuid::v7();
  made->token = Token::random();
  made->kind = std::move(kind);
  made->owner = "alice";
  made->args = std::move(args);
  return made;
}

void Executing::start(const std::shared_ptr<const Claim>& claim) {
  const Kind* kind = child_kinds().find(claim->kind);
  ASSERT_NE(kind, nullptr) << claim->kind;
  executor().start(claim, *kind);
  executor().flush();
}

Settlement Executing::ending(Uuid job) {
  std::unique_lock lock(mutex_);
  const bool came = changed_.wait_for(lock, kPatience, [&] { return endings_.contains(job); });
  EXPECT_TRUE(came) << "no ending for " << job.text();
  if (!came) return {};
  EXPECT_EQ(endings_[job].size(), 1u);
  return endings_[job].back();
}

Settlement Executing::run(const std::shared_ptr<const Claim>& claim) {
  start(claim);
  return ending(claim->job);
}

Settlement Executing::run(std::string kind, Json args) {
  return run(claim(std::move(kind), std::move(args)));
}

void Executing::await_report(Uuid job, const std::function<bool(const ProgressReport&)>& good) {
  std::unique_lock lock(mutex_);
  EXPECT_TRUE(changed_.wait_for(lock, kPatience, [&] {
    return std::any_of(reports_.begin(), reports_.end(),
                       [&](const ProgressReport& report) { return report.job == job && good(report); });
  })) << "no such report";
}

void Executing::expect_alive() {
  const Settlement settlement = run("echo", {{"text", "still here"}});
  EXPECT_EQ(result_of(settlement), Json({{"text", "still here"}})) << error_of(settlement).message;
}

void Executing::stop_executor() {
  executor_.reset();
}

std::vector<pid_t> process_tree(pid_t root) {
  std::vector<pid_t> found{root};
  for (std::size_t i = 0; i < found.size(); ++i) {
    const auto tasks = fmt::format("/proc/{}/task", found[i]);
    std::error_code error;
    for (const auto& task : std::filesystem::directory_iterator(tasks, error)) {
      std::istringstream children(read_file(task.path() / "children").value_or(""));
      for (pid_t pid = 0; children >> pid;) found.push_back(pid);
    }
  }
  found.erase(found.begin());
  return found;
}

Error error_of(const Settlement& settlement) {
  if (const auto* failed = std::get_if<Failed>(&settlement.ending)) return failed->error;
  if (const auto* again = std::get_if<RetryLater>(&settlement.ending)) return again->error;
  return {};
}

Json result_of(const Settlement& settlement) {
  const auto* succeeded = std::get_if<Succeeded>(&settlement.ending);
  return succeeded != nullptr ? succeeded->result : Json(nullptr);
}

}  // namespace spool
