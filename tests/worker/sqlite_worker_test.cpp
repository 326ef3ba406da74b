// The worker with the real store and real commands.
#include <gtest/gtest.h>

#include <fstream>

#include "base/temporary_folder.h"
#include "executors/inline_attempt.h"
#include "objects/folder_store.h"
#include "steps/attempt_files.h"
#include "steps/steps.h"
#include "store_sqlite/sqlite_store.h"
#include "support/forwarding_store.h"
#include "worker/worker_fixture.h"

namespace spool::test {
namespace {

using steps::ObjectAttemptFiles;

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
    ObjectAttemptFiles files(*objects, {{}, true});
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
    c.publish = {objects.get()};
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
  options.lease = 6s;
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

TEST_F(SqliteWorker, ACommandsCheckpointSurvivesAManagerThatDiesBeforeItSettles) {
  const Kinds kinds = steps::make_kinds(
      config(R"(grep '"checkpoint"' "$WORK_ITEM_FILE"; echo '{"checkpoint": 7}'; echo '{"result": 1}')"));
  auto claim = std::make_shared<Claim>();
  claim->job = claim->root = Uuid::v7();
  claim->token = Token::random();
  claim->args = {{"command", "script"}};
  AttemptEvents events;
  Json kept;
  events.report = [&](const Claim&, const ProgressReport& report) {
    if (report.checkpoint) kept = *report.checkpoint;
  };
  const Kind& exec = *kinds.find("exec");
  const auto run_once = [&] { return InlineAttempt(claim, exec, events, nullptr).run(); };
  EXPECT_TRUE(std::holds_alternative<FanOut>(run_once().ending));  // and nobody hears of it
  claim = std::make_shared<Claim>(*claim);
  claim->checkpoint = kept;
  EXPECT_EQ(run_once().log_tail, "  \"checkpoint\": 7,\n");
}

TEST_F(SqliteWorker, ACommandThatEndsWithItsServiceIsGivenBackUncharged) {
  steps::StepsConfig parts = config("if mkdir ../once; then kill -TERM $$; fi");
  for (const bool ending : {true, false}) {
    std::filesystem::remove(folder.path() / "once");
    parts.exec.ending = [ending] { return ending; };
    const Kinds kinds = steps::make_kinds(parts);
    NewJob job = new_job("exec");
    job.args = {{"command", "script"}};
    const Job done = run(kinds, insert_one(*store, job));
    EXPECT_EQ(done.state, State::kSucceeded);
    EXPECT_EQ(done.errors.size(), ending ? 0u : 1u);
  }
}

// A job whose publishing has failed: its destination is a file.
class FailedPublishing : public SqliteWorker {
 protected:
  void SetUp() override {
    SqliteWorker::SetUp();
    kinds.emplace(steps::make_kinds(config("echo made > outputs/a")));
    ASSERT_TRUE(objects->put("out", {}));
    NewJob job = new_job("exec");
    job.args = {{"command", "script"}, {"destination", "out"}};
    id = insert_one(*store, job);
    loser = steps::attempt_prefix(id, Token::random()) + "/a";
    ASSERT_TRUE(objects->put(loser, {}));
    ASSERT_EQ(run(*kinds, id).state, State::kFailed);
    ASSERT_EQ(store->get(id)->phase, "publish");
    ASSERT_TRUE(objects->remove("out"));
  }
  std::optional<Kinds> kinds;
  Uuid id;
  std::string loser;
};

TEST_F(FailedPublishing, DoneAgainPublishesWhatTheWinnerMade) {
  EXPECT_EQ(objects->list(".spool/attempts")->size(), 1u) << "what losers left is swept";
  EXPECT_FALSE(*objects->stat(loser));
  ASSERT_TRUE(store->retry(id));
  const Job job = run(*kinds, id);
  ASSERT_EQ(job.state, State::kSucceeded) << job.errors.back().error.message;
  EXPECT_EQ(job.result["outputs"], (Json{{"a", "object:out/a"}}));
  EXPECT_EQ(text_of(*objects, "object:out/a"), "made\n");
  EXPECT_TRUE(objects->list(".spool/attempts")->empty());
}

TEST_F(FailedPublishing, WhatIsGoneMeanwhileIsAnErrorAndNoSuccess) {
  ASSERT_TRUE(objects->remove_all(steps::attempts_prefix(id)));
  ASSERT_TRUE(store->retry(id));
  const Job job = run(*kinds, id);
  ASSERT_EQ(job.state, State::kFailed);
  EXPECT_TRUE(job.errors.back().error.message.starts_with("1 of the 1 files that were made are gone from "))
      << job.errors.back().error.message;
}

TEST_F(SqliteWorker, ThousandsOfSiblingsAreAllSweptAfterOne) {
  // All jobs have ended; the pages are what counts.
  class Siblings : public ForwardingStore {
   public:
    using ForwardingStore::ForwardingStore;
    Result<std::vector<Job>> list(const JobFilter& filter) override {
      std::vector<Job> page;
      for (const Job& job : jobs)
        if ((!filter.after || job.id > *filter.after) && page.size() < static_cast<std::size_t>(filter.most))
          page.push_back(job);
      return page;
    }
    Result<Job> get(Uuid id) override {
      return *std::find_if(jobs.begin(), jobs.end(), [&](const Job& job) { return job.id == id; });
    }
    std::vector<Job> jobs;
  };
  Siblings siblings(std::move(store));
  for (int i = 0; i < 1001; ++i) {
    Job job;
    job.id = Uuid::v7();
    job.kind = "exec";
    job.state = State::kSucceeded;
    siblings.jobs.push_back(std::move(job));
  }
  std::sort(siblings.jobs.begin(), siblings.jobs.end(),
            [](const Job& a, const Job& b) { return a.id < b.id; });
  const std::string left = steps::attempt_prefix(siblings.jobs.back().id, Token::random()) + "/a";
  ASSERT_TRUE(objects->put(left, {}));
  Claim claim;
  claim.kind = "exec";
  claim.job = siblings.jobs.front().id;
  claim.parent = Uuid::v7();
  steps::make_kinds(config("true")).find("exec")->follow_up(siblings, claim);
  EXPECT_FALSE(*objects->stat(left));
}

// A store whose jobs were made by others, as spool.enqueue() makes them.
class Unchecked : public ForwardingStore {
 public:
  using ForwardingStore::ForwardingStore;
  Result<Exchange> exchange(Session session, std::span<const Settlement> settlements,
                            const ClaimRequest& want) override {
    auto both = ForwardingStore::exchange(session, settlements, want);
    if (both)
      for (Claim& claim : both->claimed) claim.unchecked = !claim.parent;
    return both;
  }
};

TEST_F(SqliteWorker, WhatNobodyCheckedFailsWithTheReasonBeforeItRuns) {
  Kinds kinds;
  Kind strict = inline_kind("strict", [](Attempt&) -> Ending { return Succeeded{}; });
  strict.schema = {
      {"type", "object"}, {"properties", {{"n", {{"type", "integer"}}}}}, {"additionalProperties", false}};
  kinds.add(strict);
  Kind internal = inline_kind("internal", [](Attempt&) -> Ending { return Succeeded{}; });
  internal.internal = true;
  kinds.add(internal);
  store = std::make_unique<Unchecked>(std::move(store));
  const auto reason = [&](const char* kind, Json args) {
    NewJob job = new_job(kind);
    job.args = std::move(args);
    const Job ran = run(kinds, insert_one(*store, job));
    return ran.errors.empty() ? std::string(name(ran.state)) : ran.errors[0].error.message;
  };
  EXPECT_EQ(reason("strict", {{"n", 1}}), "succeeded");
  EXPECT_NE(reason("strict", {{"n", "one"}}).find("n"), std::string::npos);
  EXPECT_NE(reason("strikt", Json::object()).find("strikt"), std::string::npos);
  EXPECT_NE(reason("internal", Json::object()).find("made by other jobs only"), std::string::npos);
}

TEST_F(SqliteWorker, WhatNobodyCheckedIsResolvedForEveryAttemptAndPhaseAndStoredAsItWas) {
  Kinds kinds;
  std::vector<std::string> seen;
  Kind length = inline_kind("length", [&](Attempt& a) -> Ending {
    const Claim& claim = a.claim();
    seen.push_back(fmt::format("{} {}{}", claim.attempt, claim.phase, to_text(claim.args)));
    if (claim.attempt == 1) return RetryLater{{Code::kUnavailable, "once more"}, Duration(0)};
    if (!claim.phase.empty()) return Succeeded{claim.children.at(0).args};
    NewJob child = new_job("part");
    child.args = claim.args;
    return FanOut{{child}, "done"};
  });
  length.schema = {{"type", "object"}, {"properties", {{"seconds", {{"type", "integer"}}}}}};
  length.fan_out = {{"part"}, 1};
  kinds.add(length);
  Kind part = inline_kind("part", [](Attempt&) -> Ending { return Succeeded{}; });
  part.internal = true;
  kinds.add(part);
  kinds.resolve_with([](const Kinds&, const Kind& kind, Json args) -> Result<Json> {
    if (args["seconds"] == "1m") args["seconds"] = 60;
    if (args["seconds"] == "soon") return fail(Code::kInvalidArgument, kind.name + ": soon is no length");
    return args;
  });
  store = std::make_unique<Unchecked>(std::move(store));
  NewJob job = new_job("length");
  job.args = {{"seconds", "1m"}};
  const Job done = run(kinds, insert_one(*store, job));
  EXPECT_EQ(done.state, State::kSucceeded);
  const std::vector<std::string> four{R"(1 {"seconds":60})", R"(2 {"seconds":60})", R"(1 done{"seconds":60})",
                                      R"(2 done{"seconds":60})"};
  EXPECT_EQ(seen, four);
  EXPECT_EQ(done.args, (Json{{"seconds", "1m"}}));
  EXPECT_EQ(done.result, (Json{{"seconds", 60}}));

  job.args = {{"seconds", "soon"}};
  const Job wrong = run(kinds, insert_one(*store, job));
  EXPECT_EQ(wrong.state, State::kFailed);
  EXPECT_EQ(wrong.errors.at(0).error.message, "length: soon is no length");
  EXPECT_EQ(wrong.args, job.args);
  EXPECT_EQ(seen, four) << "it never ran";
}

TEST_F(SqliteWorker, WhatWasCheckedIsNotResolvedAgain) {
  Kinds kinds;
  kinds.add(inline_kind("echo", [](Attempt& a) -> Ending { return Succeeded{a.claim().args}; }));
  kinds.resolve_with([](const Kinds&, const Kind&, Json) -> Result<Json> {
    return Json{{"resolved", true}};
  });
  NewJob job = new_job("echo");
  job.args = {{"n", 1}};
  EXPECT_EQ(run(kinds, insert_one(*store, job)).result, job.args);
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
