// The worker with the real store and real commands.
#include <gtest/gtest.h>

#include <fstream>

#include "base/temporary_folder.h"
#include "steps/attempt_files.h"
#include "steps/steps.h"
#include "store_sqlite/sqlite_store.h"
#include "worker/worker_fixture.h"

namespace spool::test {
namespace {

using steps::FolderAttemptFiles;

std::string text_of(ObjectStore& objects, const std::string& reference) {
  const auto bytes = objects.get(reference.substr(std::string_view("object:").size()), 1 << 20);
  return bytes ? *bytes : bytes.error().message;
}

class SqliteWorker : public testing::Test {
 protected:
  void SetUp() override {
    auto opened = open_sqlite_store(folder.path() / "spool.db");
    ASSERT_TRUE(opened) << opened.error().message;
    store = std::move(*opened);
    auto made = FolderStore::at(folder.path() / "objects");
    ASSERT_TRUE(made);
    objects = std::move(*made);
  }
  // Runs one worker until the job has ended.
  Job run(const Kinds& kinds, Uuid id, WorkerOptions options = quick()) {
    Worker worker(*store, kinds, std::move(options));
    FolderAttemptFiles files(*objects, {{}, true});
    InlineExecutor executor(worker.events(), &files);
    worker.use(Placement::kInline, executor);
    const auto result = worker.run([&] {
      const State state = store->get(id)->state;
      if (state == State::kScheduled) store->shift_clock_for_tests(2s);  // no waiting for back-offs
      return ended(state);
    });
    EXPECT_TRUE(result) << result.error().message;
    return *store->get(id);
  }
  steps::StepsConfig config(const std::string& script) {
    steps::StepsConfig c;
    c.publish = {objects.get(), folder.path() / "lock"};
    c.exec.scratch = folder.path();
    CommandConfig command;
    command.command = {"sh", "-c", script};
    command.environment = {{"GREETING", "hello"}};
    c.exec.commands = {{"script", command}};
    return c;
  }
  Job run_script(const std::string& script, Json args = Json::object(), int most_attempts = 1) {
    const Kinds kinds = steps::make_kinds(config(script));
    NewJob job = new_job("exec");
    args["command"] = "script";
    job.args = std::move(args);
    job.most_attempts = most_attempts;
    EXPECT_TRUE(kinds.check(job));
    return run(kinds, insert_one(*store, job));
  }

  TemporaryFolder folder;
  std::unique_ptr<Store> store;
  std::unique_ptr<FolderStore> objects;
};

TEST_F(SqliteWorker, AFanOutOfAHundredRunsToItsEnd) {
  Kinds kinds;
  Kind parent = inline_kind("sum", [](Attempt& a) -> Ending {
    if (a.claim().phase.empty()) return FanOut{std::vector<NewJob>(100, new_job("one")), "add", false};
    return Succeeded{a.claim().children.size()};
  });
  parent.fan_out = {{"one"}, 100};
  kinds.add(parent);
  kinds.add(inline_kind("one", [](Attempt& a) -> Ending {
    if (a.claim().attempt == 1) return RetryLater{{Code::kUnavailable, "once more"}, Duration(0)};
    return Succeeded{1};
  }));
  EXPECT_EQ(run(kinds, insert_one(*store, new_job("sum"))).result, Json(100));
}

TEST_F(SqliteWorker, TwoWorkersShareTheWorkAndNothingRunsTwice) {
  Kinds kinds;
  std::mutex mutex;
  std::map<Uuid, int> runs;
  kinds.add(inline_kind("once", [&](Attempt& a) -> Ending {
    const std::lock_guard lock(mutex);
    ++runs[a.claim().job];
    return Succeeded{};
  }));
  constexpr int kJobs = 2000;
  ASSERT_TRUE(store->insert(std::vector<NewJob>(kJobs, new_job("once"))));
  auto second_store = *open_sqlite_store(folder.path() / "spool.db");
  const auto all_done = [&](Store& s) {
    return s.counts()->at(0).counts[static_cast<int>(State::kSucceeded)] == kJobs;
  };
  const auto work = [&](Store& s) {
    Worker worker(s, kinds, quick(8));
    InlineExecutor executor(worker.events(), nullptr);
    worker.use(Placement::kInline, executor);
    return worker.run([&] { return all_done(s); });
  };
  auto other = std::async(std::launch::async, [&] { return work(*second_store); });
  EXPECT_TRUE(work(*store));
  EXPECT_TRUE(other.get());
  EXPECT_EQ(runs.size(), static_cast<std::size_t>(kJobs));
  for (const auto& [id, count] : runs) EXPECT_EQ(count, 1);
}

TEST_F(SqliteWorker, AWorkerThatSleptPastItsLeaseChangesNothingAndGoesOn) {
  Kinds kinds;
  std::atomic<int> runs = 0;
  kinds.add(inline_kind("long", [&](Attempt& a) -> Ending {
    if (++runs > 1) return Succeeded{"second"};
    store->shift_clock_for_tests(1h);
    EXPECT_TRUE(store->rescue());
    await_stop(a);
    return Succeeded{"first"};
  }));
  WorkerOptions options = quick();
  options.lease = 600ms;
  const Job job = run(kinds, insert_one(*store, new_job("long")), options);
  EXPECT_EQ(job.result, Json("second"));
  EXPECT_EQ(job.rescues, 1);
}

TEST_F(SqliteWorker, ACommandGetsItsWorkItemAndItsOutputsArePublished) {
  ASSERT_TRUE(objects->put("in/a", std::as_bytes(std::span("abc", 3))));
  std::ofstream(folder.path() / "b") << "def";
  const Job job = run_script(
      R"(set -e; cat inputs/first inputs/input > outputs/both; mkdir outputs/sub; cp "$WORK_ITEM_FILE" outputs/sub/item
         echo '{"progress": 0.5, "rows": 3}'; echo "$GREETING"; echo warning >&2; echo '{"result": {"n": 1}}')",
      {{"inputs", {{"first", "object:in/a"}}},
       {"input", "file:" + (folder.path() / "b").string()},
       {"data", {{"level", 7}}},
       {"destination", "made"}});
  ASSERT_EQ(job.state, State::kSucceeded) << job.errors[0].error.message << job.errors[0].log_tail;
  EXPECT_EQ(job.result, Json::parse(R"({"exit_code": 0, "result": {"n": 1},
    "outputs": {"both": "object:made/both", "sub/item": "object:made/sub/item"}})"));
  EXPECT_EQ(text_of(*objects, "object:made/both"), "abcdef");
  const Json item = Json::parse(text_of(*objects, "object:made/sub/item"));
  EXPECT_EQ(item["id"], job.id.text());
  EXPECT_EQ(item["kind"], "exec");
  EXPECT_EQ(item["attempt"], 1);
  EXPECT_EQ(item["data"], (Json{{"level", 7}}));
  EXPECT_TRUE(item["inputs"]["first"].get<std::string>().ends_with("/inputs/first"));
  EXPECT_TRUE(item["outputs"].get<std::string>().ends_with("/outputs"));
  EXPECT_GT(job.usage.cpu_seconds, 0);
  EXPECT_GE(job.usage.bytes_written, 6);
  EXPECT_GE(job.usage.bytes_read, 6);
  EXPECT_TRUE(objects->list(".spool/attempts")->empty()) << "what attempts left is swept";
}

TEST_F(SqliteWorker, AFailedCommandTellsItsExitCodeAndItsLog) {
  const Job job = run_script("echo so far; echo went wrong >&2; exit 9", {}, 2);
  ASSERT_EQ(job.state, State::kFailed);
  ASSERT_EQ(job.errors.size(), 2u);
  EXPECT_EQ(job.errors[0].error.message, "the command 'script' ended with exit code 9");
  EXPECT_NE(job.errors[0].log_tail.find("so far\n"), std::string::npos);
  EXPECT_NE(job.errors[0].log_tail.find("went wrong\n"), std::string::npos);
}

TEST_F(SqliteWorker, ExitCodesOfSysexitsSayWhetherAnotherTryMayHelp) {
  EXPECT_EQ(run_script("exit 65", {}, 3).errors.size(), 1u);
  EXPECT_EQ(run_script("exit 75", {}, 2).errors.size(), 2u);
}

TEST_F(SqliteWorker, ACommandsCheckpointComesBackToItsNextAttempt) {
  const Job job = run_script(
      R"(if grep -q '"at": 7' "$WORK_ITEM_FILE"; then exit 0; fi; echo '{"checkpoint": {"at": 7}}'; exit 75)",
      {}, 2);
  EXPECT_EQ(job.state, State::kSucceeded) << job.errors[0].log_tail;
}

TEST_F(SqliteWorker, OutputsThatAreNoRegularFilesAreRefused) {
  const Job job = run_script("ln -s /etc/passwd outputs/x");
  ASSERT_EQ(job.state, State::kFailed);
  EXPECT_EQ(job.errors[0].error.message, "the output x is no regular file");
}

TEST_F(SqliteWorker, ACommandThatIsNotConfiguredFailsInWords) {
  const Kinds kinds = steps::make_kinds(config("true"));
  NewJob job = new_job("exec");
  job.args = {{"command", "other"}};
  EXPECT_EQ(kinds.check(job).error().message, "args of 'exec': command: must be one of script; is \"other\"");
  const Job done = run(kinds, insert_one(*store, job));
  EXPECT_EQ(done.errors.at(0).error.message,
            "there is no command 'other' here: name it in spool.toml under [commands.other]");
}

TEST_F(SqliteWorker, ACancelledCommandIsEnded) {
  const Kinds kinds =
      steps::make_kinds(config("echo $$ > $GREETING; echo '{\"progress\": 0.1}'; sleep 1000"));
  NewJob job = new_job("exec");
  job.args = {{"command", "script"}};
  const Uuid id = insert_one(*store, job);
  auto canceller = std::async(std::launch::async, [&] {
    while (store->get(id)->progress == 0) store->wait(5ms);
    return store->cancel(id);
  });
  WorkerOptions options = quick();
  options.lease = 300ms;
  EXPECT_EQ(run(kinds, id, options).state, State::kCancelled);
  EXPECT_TRUE(canceller.get());
}

}  // namespace
}  // namespace spool::test
