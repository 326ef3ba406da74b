#include <gtest/gtest.h>
#include <sqlite3.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <mutex>
#include <thread>

#include "base/temporary_folder.h"
#include "model/history.h"
#include "store_sqlite/sqlite_store.h"

namespace spool::model {
namespace {

// No power is cut here: memory is as good as a disk, and does not wait.
const int kInMemory = std::filesystem::exists("/dev/shm") ? setenv("TMPDIR", "/dev/shm", 0) : 0;

std::unique_ptr<Store> open_store(const TemporaryFolder& folder) {
  auto store = open_sqlite_store(folder.path() / "spool.db");
  if (!store) throw std::runtime_error(store.error().message);
  return std::move(*store);
}

// SPOOL_MODEL_SEED repeats one history; SPOOL_MODEL_ROUNDS runs more of them.
int from_environment(const char* name, int usual) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::atoi(text) : usual;
}

TEST(StoreModel, RandomHistoriesOverSeveralHandlesAgreeWithTheReference) {
  const int first = from_environment("SPOOL_MODEL_SEED", 1);
  const int rounds = from_environment("SPOOL_MODEL_ROUNDS", 4);
  for (int i = 0; i < rounds; ++i) {
    const TemporaryFolder folder;
    HistoryOptions options;
    options.seed = static_cast<unsigned>(first + i);
    options.steps = 1500;
    options.open = [&] { return open_store(folder); };
    EXPECT_EQ(run_history(options), "") << "repeat it with SPOOL_MODEL_SEED=" << options.seed;
  }
}

// A store that settles by id, as most queues do: the token is looked up instead of being asked for.
class SettlesById final : public Store {
 public:
  explicit SettlesById(std::unique_ptr<Store> store) : store_(std::move(store)) {}

  Result<Exchange> exchange(Session session, std::span<const Settlement> settlements,
                            const ClaimRequest& want) override {
    std::vector<Settlement> by_id(settlements.begin(), settlements.end());
    for (Settlement& s : by_id)
      if (const auto job = store_->get(s.job); job && job->state == State::kRunning) s.token = *job->token;
    return store_->exchange(session, by_id, want);
  }

  Result<Session> open_session(const WorkerInfo& worker) override { return store_->open_session(worker); }
  Result<void> close_session(Session session) override { return store_->close_session(session); }
  Result<Renewed> renew(Session session) override { return store_->renew(session); }
  Result<std::vector<Result<Inserted>>> insert(std::span<const NewJob> jobs) override {
    return store_->insert(jobs);
  }
  Result<std::vector<Result<bool>>> report(std::span<const ProgressReport> r) override {
    return store_->report(r);
  }
  Result<void> start(Uuid job) override { return store_->start(job); }
  Result<void> cancel(Uuid job) override { return store_->cancel(job); }
  Result<void> retry(Uuid job) override { return store_->retry(job); }
  Result<void> remove(Uuid job) override { return store_->remove(job); }
  Result<Job> get(Uuid job) override { return store_->get(job); }
  Result<std::vector<Job>> list(const JobFilter& filter) override { return store_->list(filter); }
  Result<std::vector<OutcomeRecord>> outcomes_since(std::int64_t n, int most) override {
    return store_->outcomes_since(n, most);
  }
  Result<std::vector<SessionInfo>> sessions() override { return store_->sessions(); }
  Result<std::vector<QueueCounts>> counts() override { return store_->counts(); }
  Result<int> rescue() override { return store_->rescue(); }
  Result<int> prune(Duration age, int most) override { return store_->prune(age, most); }
  void wait(Duration most) override { store_->wait(most); }
  void wake() override { store_->wake(); }
  Result<Time> now() override { return store_->now(); }
  void shift_clock_for_tests(Duration offset) override { store_->shift_clock_for_tests(offset); }

 private:
  std::unique_ptr<Store> store_;
};

// Breaks a store from inside: a trigger is a line of code that somebody got wrong.
void add_trigger(const TemporaryFolder& folder, const char* sql) {
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open((folder.path() / "spool.db").c_str(), &db), SQLITE_OK);
  EXPECT_EQ(sqlite3_exec(db, sql, nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(db);
  sqlite3_close(db);
}

std::string first_difference(const std::function<std::unique_ptr<Store>(std::unique_ptr<Store>)>& wrap,
                             const char* trigger) {
  for (unsigned seed = 1; seed <= 3; ++seed) {
    const TemporaryFolder folder;
    open_store(folder).reset();
    if (trigger != nullptr) add_trigger(folder, trigger);
    HistoryOptions options;
    options.seed = seed;
    options.steps = 1500;
    options.open = [&] { return wrap(open_store(folder)); };
    if (std::string difference = run_history(options); !difference.empty()) return difference;
  }
  return "";
}
std::unique_ptr<Store> as_it_is(std::unique_ptr<Store> store) {
  return store;
}

TEST(StoreModel, CatchesAStoreThatSettlesWithoutTheToken) {
  const std::string difference = first_difference(
      [](std::unique_ptr<Store> store) { return std::make_unique<SettlesById>(std::move(store)); }, nullptr);
  EXPECT_NE(difference.find("the model lease_lost"), std::string::npos) << difference;
}

TEST(StoreModel, CatchesAStoreThatWakesAParentTwice) {
  const std::string difference =
      first_difference(&as_it_is,
                       "CREATE TRIGGER twice AFTER DELETE ON parked WHEN old.state = 1 AND"
                       " EXISTS (SELECT 1 FROM life WHERE seq = old.seq AND has_children = 1) BEGIN"
                       " INSERT INTO ready SELECT lane, 1 << 60, seq FROM job WHERE seq = old.seq; END");
  EXPECT_NE(difference, "");
}

TEST(StoreModel, CatchesAStoreThatRunsAParentAgainAfterItsEnd) {
  const std::string difference =
      first_difference(&as_it_is,
                       "CREATE TRIGGER again AFTER INSERT ON outcome WHEN new.state = 5 AND"
                       " EXISTS (SELECT 1 FROM job WHERE parent = new.seq) BEGIN"
                       " INSERT INTO ready SELECT lane, created, seq FROM job WHERE seq = new.seq; END");
  EXPECT_NE(difference, "");
}

TEST(StoreModel, CatchesAStoreThatLosesAWakeUp) {
  const std::string difference = first_difference(
      &as_it_is,
      "CREATE TRIGGER lost AFTER INSERT ON parked WHEN new.state = 1 AND new.seq % 5 = 0 BEGIN"
      " UPDATE parked SET open = open + 1 WHERE seq = new.seq; END");
  EXPECT_NE(difference, "");
}

// Threads with a handle each, as workers in several processes are: every attempt is settled once, and every
// parent goes through its phases once.
TEST(StoreModel, WorkersAtTheSameTimeWakeEveryParentOnce) {
  constexpr int kTrees = 60, kChildren = 5, kThreads = 3;
  const TemporaryFolder folder;
  const auto store = open_store(folder);
  std::vector<NewJob> roots(kTrees);
  for (NewJob& root : roots) root.kind = "tree";
  ASSERT_TRUE(store->insert(roots).has_value());

  std::mutex mutex;
  std::map<std::pair<Uuid, std::string>, int> settled;
  const auto work = [&] {
    const auto mine = open_store(folder);
    const Session session = mine->open_session({}).value();
    std::vector<Settlement> done;
    while (true) {
      ClaimRequest want;
      want.slots = want.all_slots = 4;
      const Exchange both = mine->exchange(session, done, want).value();
      for (const auto& result : both.settled) EXPECT_TRUE(result.has_value());
      done.clear();
      for (const Claim& c : both.claimed) {
        const bool plans = c.kind == "tree" && c.phase.empty();
        FanOut out{std::vector<NewJob>(kChildren), "assemble", false};
        for (NewJob& child : out.children) child.kind = "work";
        done.push_back({c.job, c.token, plans ? Ending(out) : Ending(Succeeded{}), {}, ""});
        EXPECT_EQ(c.children.size(), c.phase == "assemble" ? static_cast<std::size_t>(kChildren) : 0u);
        const std::lock_guard lock(mutex);
        ++settled[{c.job, c.phase}];
      }
      if (done.empty()) {
        const std::lock_guard lock(mutex);
        if (settled.size() == kTrees * (2 + kChildren)) return;
      }
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) threads.emplace_back(work);
  for (std::thread& thread : threads) thread.join();
  for (const auto& [attempt, times] : settled) EXPECT_EQ(times, 1) << attempt.first.text() << attempt.second;
  EXPECT_EQ(store->outcomes_since(0, 10000).value().size(),
            static_cast<std::size_t>(kTrees * (1 + kChildren)));
}

}  // namespace
}  // namespace spool::model
