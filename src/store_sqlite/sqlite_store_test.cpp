// What is SQLite's own: files, versions, locks, full disks. What every store does is in tests/contract.
#include "store_sqlite/sqlite_store.h"

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <set>

#include "base/file.h"
#include "base/temporary_folder.h"

namespace spool {
namespace {

namespace fs = std::filesystem;
using std::chrono::hours;
using std::chrono::seconds;

std::unique_ptr<Store> open_or_throw(const fs::path& path) {
  auto store = open_sqlite_store(path);
  if (!store) throw std::runtime_error(store.error().message);
  return std::move(*store);
}

Error open_error(const fs::path& path) {
  auto store = open_sqlite_store(path);
  return store ? Error{Code::kInternal, "it opened", 0} : store.error();
}

void run_sql(const fs::path& path, const std::string& sql) {
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &db), SQLITE_OK);
  sqlite3_busy_timeout(db, 5000);
  EXPECT_EQ(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(db);
  sqlite3_close(db);
}

std::string ask_sql(const fs::path& path, const std::string& sql) {
  sqlite3* db = nullptr;
  std::string answer;
  EXPECT_EQ(sqlite3_open(path.c_str(), &db), SQLITE_OK);
  sqlite3_exec(
      db, sql.c_str(),
      [](void* into, int, char** values, char**) {
        *static_cast<std::string*>(into) += values[0] != nullptr ? values[0] : "null";
        return 0;
      },
      &answer, nullptr);
  sqlite3_close(db);
  return answer;
}

std::vector<std::string> plan_of(const fs::path& path, const std::string& sql) {
  sqlite3* db = nullptr;
  std::vector<std::string> steps;
  EXPECT_EQ(sqlite3_open(path.c_str(), &db), SQLITE_OK);
  const auto add = [](void* into, int, char** values, char**) {
    static_cast<std::vector<std::string>*>(into)->emplace_back(values[3]);
    return 0;
  };
  EXPECT_EQ(sqlite3_exec(db, ("EXPLAIN QUERY PLAN " + sql).c_str(), add, &steps, nullptr), SQLITE_OK)
      << sqlite3_errmsg(db);
  sqlite3_close(db);
  return steps;
}

bool changes_or_reads(const std::string& sql) {
  const std::string verbs[] = {"SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WITH "};
  return std::any_of(std::begin(verbs), std::end(verbs),
                     [&](const auto& verb) { return sql.starts_with(verb); });
}

NewJob job_of(std::string kind) {
  NewJob job;
  job.kind = std::move(kind);
  return job;
}

Uuid insert(Store& store, const NewJob& job) {
  return store.insert(std::span(&job, 1)).value().at(0).value().id;
}

class SqliteStoreTest : public testing::Test {
 protected:
  fs::path path() const { return folder_.path() / "spool.db"; }
  TemporaryFolder folder_;
};

TEST_F(SqliteStoreTest, ANewFileIsMadeInWalMode) {
  open_or_throw(path());
  EXPECT_EQ(ask_sql(path(), "PRAGMA journal_mode"), "wal");
  EXPECT_EQ(ask_sql(path(), "PRAGMA user_version"), "5");
}

TEST_F(SqliteStoreTest, ADatabaseOfANewerSchemaIsRefusedNamingBothVersions) {
  open_or_throw(path()).reset();
  run_sql(path(), "PRAGMA user_version = 7");
  const Error error = open_error(path());
  EXPECT_EQ(error.code, Code::kUnsupported);
  EXPECT_NE(error.message.find("version 7"), std::string::npos) << error.message;
  EXPECT_NE(error.message.find("up to 5"), std::string::npos) << error.message;
  EXPECT_NE(error.message.find(path().string()), std::string::npos) << error.message;
}

TEST_F(SqliteStoreTest, WhatIsInLineInAnOlderFileIsFoundThere) {
  NewJob job;
  job.kind = "old";
  const Uuid id = insert(*open_or_throw(path()), job);
  run_sql(
      path(),
      "ALTER TABLE job DROP COLUMN arrived; ALTER TABLE life DROP COLUMN arrived; PRAGMA user_version = 4;"
      "INSERT INTO life (seq, ready) SELECT seq, created + 5000000 FROM job; UPDATE ready SET rank = "
      "rank + 5000000");
  const auto store = open_or_throw(path());
  ASSERT_TRUE(store->cancel(id));
  EXPECT_EQ(ask_sql(path(), "SELECT count(*) FROM ready"), "0");
}

TEST_F(SqliteStoreTest, ADatabaseOfAnotherProgramIsLeftAlone) {
  run_sql(path(), "CREATE TABLE recipes (name TEXT)");
  EXPECT_EQ(open_error(path()).code, Code::kUnsupported);
  EXPECT_EQ(ask_sql(path(), "SELECT group_concat(name) FROM sqlite_schema"), "recipes");
}

TEST_F(SqliteStoreTest, AFileThatIsNoDatabaseIsRefused) {
  std::ofstream(path()) << std::string(5000, 'x');
  EXPECT_EQ(open_error(path()).code, Code::kInternal);
}

TEST_F(SqliteStoreTest, AFolderThatDoesNotExistIsNotFound) {
  EXPECT_EQ(open_error(folder_.path() / "nowhere" / "spool.db").code, Code::kNotFound);
}

// 0: refused as it should be. In a child, which gives root up first: root may write anything.
int open_without_rights(const fs::path& path) {
  const pid_t child = fork();
  if (child == 0) {
    if (geteuid() == 0 && setuid(65534) != 0) _exit(3);
    _exit(open_error(path).code == Code::kPermissionDenied ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST_F(SqliteStoreTest, AReadOnlyFileIsRefused) {
  open_or_throw(path()).reset();
  fs::permissions(path(), fs::perms::owner_read | fs::perms::group_read | fs::perms::others_read);
  fs::permissions(folder_.path(), fs::perms::all);
  EXPECT_EQ(open_without_rights(path()), 0);
}

TEST_F(SqliteStoreTest, AReadOnlyFolderIsRefused) {
  const auto may_look = fs::perms::owner_read | fs::perms::owner_exec | fs::perms::group_read |
                        fs::perms::group_exec | fs::perms::others_read | fs::perms::others_exec;
  fs::permissions(folder_.path(), may_look);
  EXPECT_EQ(open_without_rights(path()), 0);
  fs::permissions(folder_.path(), fs::perms::none);
  EXPECT_EQ(open_without_rights(path()), 0);
  fs::permissions(folder_.path(), fs::perms::owner_all);
}

TEST_F(SqliteStoreTest, AFullDiskIsAnErrorAndTheStoreGoesOnWhenThereIsRoomAgain) {
  const auto store = open_or_throw(path());
  insert(*store, job_of("first"));
  // A limit on the size of files: what SQLite meets is a write that fails.
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  rlimit small = before;
  small.rlim_cur = 1 << 20;
  signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  NewJob large = job_of("large");
  large.args = {{"x", std::string(900'000, 'x')}};
  Error error;
  for (int i = 0; i < 20 && error.message.empty(); ++i)
    if (const auto result = store->insert(std::span(&large, 1)); !result) error = result.error();
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_FALSE(error.message.empty());
  EXPECT_TRUE(error.code == Code::kStorageFull || error.code == Code::kUnavailable ||
              error.code == Code::kInDoubt)
      << error.message;
  insert(*store, job_of("after"));
  JobFilter after;
  after.kind = "after";
  EXPECT_EQ(store->list(after).value().size(), 1u);
  EXPECT_EQ(ask_sql(path(), "PRAGMA integrity_check"), "ok");
}

TEST_F(SqliteStoreTest, AFileThatAnotherProcessHoldsForTooLongIsUnavailable) {
  open_or_throw(path()).reset();
  SqliteOptions options;
  options.busy_timeout = std::chrono::milliseconds(20);
  const auto store = open_sqlite_store(path(), options).value();
  sqlite3* holder = nullptr;
  ASSERT_EQ(sqlite3_open(path().c_str(), &holder), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(holder, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr), SQLITE_OK);
  const NewJob job = job_of("a");
  const auto refused = store->insert(std::span(&job, 1));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Code::kUnavailable);
  EXPECT_TRUE(store->list({}).has_value()) << "reading goes on";
  sqlite3_close(holder);
  EXPECT_TRUE(store->insert(std::span(&job, 1)).has_value());
}

TEST_F(SqliteStoreTest, TwoProcessesMayMakeTheFileAtOnce) {
  std::vector<pid_t> children;
  for (int i = 0; i < 4; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      const auto store = open_sqlite_store(path());
      if (!store) _exit(1);
      const NewJob job = job_of("a");
      const auto inserted = (*store)->insert(std::span(&job, 1));
      _exit(inserted && inserted->at(0) ? 0 : 2);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  }
  EXPECT_EQ(open_or_throw(path())->list({}).value().size(), 4u);
}

// A child that claims the one job and then waits to be killed.
pid_t start_worker(const fs::path& path, int say) {
  const pid_t child = fork();
  if (child != 0) return child;
  const auto store = open_or_throw(path);
  WorkerInfo info;
  info.lease = hours(24);
  const Session session = store->open_session(info).value();
  ClaimRequest want;
  want.slots = want.all_slots = 1;
  const char claimed = store->exchange(session, {}, want).value().claimed.size() == 1 ? '1' : '0';
  if (write(say, &claimed, 1) != 1) _exit(3);
  for (;;) pause();
}

TEST_F(SqliteStoreTest, AKilledWorkerIsSeenAtOnceThoughItsLeaseIsLong) {
  const auto store = open_or_throw(path());
  const Uuid id = insert(*store, job_of("a"));
  int pipe_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);
  const pid_t child = start_worker(path(), pipe_ends[1]);
  char claimed = '0';
  ASSERT_EQ(read(pipe_ends[0], &claimed, 1), 1);
  EXPECT_EQ(claimed, '1');
  EXPECT_EQ(store->rescue().value(), 0) << "it lives";
  EXPECT_EQ(store->get(id).value().state, State::kRunning);
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  store->rescue().value();
  EXPECT_EQ(store->get(id).value().state, State::kAvailable);
  EXPECT_TRUE(store->sessions().value().empty());
  EXPECT_TRUE(fs::is_empty(path().string() + "-sessions")) << "its lock file is gone too";
  close(pipe_ends[0]);
  close(pipe_ends[1]);
}

TEST_F(SqliteStoreTest, OnAnotherKernelOnlyTheLeaseCounts) {
  const auto store = open_or_throw(path());
  const Uuid id = insert(*store, job_of("a"));
  int pipe_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);
  const pid_t child = start_worker(path(), pipe_ends[1]);
  char claimed = '0';
  ASSERT_EQ(read(pipe_ends[0], &claimed, 1), 1);
  EXPECT_EQ(claimed, '1');
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  run_sql(path(), "UPDATE session SET boot = 'elsewhere'");
  EXPECT_EQ(store->rescue().value(), 0);
  EXPECT_EQ(store->get(id)->state, State::kRunning);
  store->shift_clock_for_tests(hours(25));
  store->rescue().value();
  EXPECT_EQ(store->get(id)->state, State::kAvailable);
  EXPECT_TRUE(store->sessions().value().empty());
  close(pipe_ends[0]);
  close(pipe_ends[1]);
}

TEST_F(SqliteStoreTest, ASessionsLockFileGoesWithIt) {
  const auto store = open_or_throw(path());
  const Session session = store->open_session({}).value();
  const fs::path lock = path().string() + "-sessions/" + session.id.text();
  EXPECT_TRUE(fs::exists(lock));
  ASSERT_TRUE(store->close_session(session).has_value());
  EXPECT_FALSE(fs::exists(lock));
}

TEST_F(SqliteStoreTest, ALockOfASessionThatAnotherOneEndedIsLetGoOf) {
  const auto store = open_or_throw(path()), other = open_or_throw(path());
  const auto locks = [&] {
    int count = 0;
    for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
      std::error_code gone;
      count += fs::read_symlink(entry.path(), gone).string().find("-sessions/") != std::string::npos;
    }
    return count;
  };
  ASSERT_TRUE(store->open_session({}));
  other->shift_clock_for_tests(hours(25));
  ASSERT_TRUE(other->rescue());
  ASSERT_TRUE(other->sessions().value().empty());
  EXPECT_EQ(locks(), 1) << "its owner has not heard of it";
  ASSERT_TRUE(store->open_session({}));
  EXPECT_EQ(locks(), 1) << "only the new one's";
}

// Every statement that the store really runs: each connection that is opened meanwhile tells them.
class ToldStatements {
 public:
  ToldStatements() {
    told().clear();
    sqlite3_auto_extension(reinterpret_cast<void (*)()>(&watch));
  }
  ~ToldStatements() { sqlite3_cancel_auto_extension(reinterpret_cast<void (*)()>(&watch)); }

  static std::set<std::string>& told() {
    static std::set<std::string> statements;
    return statements;
  }

 private:
  static int watch(sqlite3* db, char**, const void*) {
    return sqlite3_trace_v2(db, SQLITE_TRACE_STMT, &tell, nullptr);
  }
  static int tell(unsigned, void*, void* statement, void*) {
    static std::mutex mutex;
    const std::lock_guard lock(mutex);
    told().insert(sqlite3_sql(static_cast<sqlite3_stmt*>(statement)));
    return 0;
  }
};

void end_all(Store& store, Session session, Ending ending) {
  ClaimRequest want;
  want.slots = want.all_slots = 100;
  for (;;) {
    std::vector<Settlement> done;
    const Exchange found = store.exchange(session, {}, want).value();
    for (const Claim& claim : found.claimed)
      done.push_back({claim.job,
                      claim.token,
                      claim.kind == "tree" && claim.phase.empty()
                          ? Ending(FanOut{std::vector<NewJob>(3, job_of("leaf")), "x", false})
                          : ending,
                      {},
                      ""});
    if (done.empty()) return;
    const Exchange settled = store.exchange(session, done, {}).value();
    for (const auto& one : settled.settled) ASSERT_TRUE(one);
  }
}

// Setting a limit reads all that is available: it is not among the statements that are looked at.
void set_limits(Store& store) {
  ASSERT_TRUE(store.set_limit({LimitScope::kKey, "k", 1, Rate{1000, seconds(1), 1000}}));
  ASSERT_TRUE(store.set_limit({LimitScope::kQueue, "other", 1, {}}));
}

// Claims from one lane and from several, with limits and without, settles, retries, removes, purges, prunes,
// reports and rescues.
void do_everything(Store& store) {
  const Session session = store.open_session({}).value();
  NewJob tree = job_of("tree"), keyed = job_of("leaf"), needing = job_of("leaf"), late = job_of("leaf");
  tree.id = Uuid::v7();
  keyed.unique_key = "k";
  keyed.limit_key = late.limit_key = "k";
  needing.needs = {{tree.id, true}};
  late.deadline = seconds(5);
  for (const NewJob& job : {tree, keyed, needing, late}) insert(store, job);
  end_all(store, session, Failed{{Code::kCorruptInput, "broken", 0}});
  ASSERT_TRUE(store.retry(tree.id));
  NewJob other = job_of("leaf");
  other.queue = "other";
  other.limit_key = "k";
  for (int i = 0; i < 3; ++i) insert(store, other);
  ASSERT_TRUE(store.pause_queue("other"));
  ASSERT_TRUE(store.resume_queue("other"));
  Schedule schedule;
  schedule.name = "s";
  schedule.job = job_of("leaf");
  ASSERT_TRUE(store.put_schedule(schedule));
  ASSERT_TRUE(store.tick("s", {}, Time(hours(1)), std::span(&schedule.job, 1)).value());
  late.delay = seconds(1);
  insert(store, late);
  end_all(store, session, Succeeded{});
  store.shift_clock_for_tests(seconds(20));
  ASSERT_TRUE(store.remove(tree.id));
  ASSERT_GT(store.rescue().value(), 0);
  store.shift_clock_for_tests(hours(2));
  PruneRules rules;
  rules.age = hours(1);
  rules.keep = 1;
  ASSERT_GT(store.prune(rules, 100).value(), 0);
  const std::vector<PurgedJob> purged = store.purged(1).value();
  ASSERT_EQ(purged.size(), 1u);
  ASSERT_TRUE(store.forget_purged(std::span(&purged[0].id, 1)));
  insert(store, job_of("leaf"));
  ClaimRequest want;
  want.slots = want.all_slots = 1;
  const Session dead = store.open_session({}).value();
  const std::vector<Claim> held = store.exchange(dead, {}, want).value().claimed;
  ASSERT_EQ(held.size(), 1u);
  const ProgressReport report{held[0].job, held[0].token, 0.5, nullptr, Json(1)};
  ASSERT_TRUE(store.report(std::span(&report, 1)).value().at(0));
  ASSERT_TRUE(store.renew(dead));
  store.wait(Duration(0));
  store.shift_clock_for_tests(hours(2));
  ASSERT_GT(store.rescue().value(), 0);
}

TEST_F(SqliteStoreTest, EveryStatementFindsItsRowsByAnIndex) {
  set_limits(*open_or_throw(path()));
  {
    const ToldStatements telling;
    do_everything(*open_or_throw(path()));
  }
  // Few by their nature: sessions, lanes, limits, paused queues, what runs, what was removed or purged. And
  // what is read in its order, as far as it is wanted: the line of a lane, a tree, the log of ends.
  const std::set<std::string> may_scan = {"sqlite_master", "session", "s",      "lane",          "r",
                                          "running",       "h",       "hidden", "limit_version", "limit_rule",
                                          "paused_queue",  "below",   "b",      "purged"};
  int explained = 0;
  for (const std::string& sql : ToldStatements::told()) {
    if (!changes_or_reads(sql)) continue;
    ++explained;
    for (const std::string& step : plan_of(path(), sql)) {
      if (!step.starts_with("SCAN ") || step.find("CONSTANT ROW") != std::string::npos) continue;
      const std::string table = step.substr(5, step.find(' ', 5) - 5);
      const bool log_of_ends = table == "o" && sql.find("ORDER BY o.n") != std::string::npos;
      EXPECT_TRUE(may_scan.contains(table) || log_of_ends) << sql << "\n" << step;
    }
  }
  EXPECT_GT(explained, 40);
}

TEST_F(SqliteStoreTest, AClaimReadsItsLaneInOrder) {
  set_limits(*open_or_throw(path()));
  {
    const ToldStatements telling;
    do_everything(*open_or_throw(path()));
  }
  int explained = 0;
  for (const std::string& sql : ToldStatements::told()) {
    if (!sql.starts_with("SELECT") || sql.find("FROM ready") == std::string::npos) continue;
    ++explained;
    for (const std::string& step : plan_of(path(), sql)) {
      EXPECT_EQ(step.find("TEMP B-TREE"), std::string::npos) << sql << "\n" << step;
      EXPECT_FALSE(step.starts_with("SCAN")) << sql << "\n" << step;
    }
  }
  EXPECT_EQ(explained, 2) << "of one lane, and of several";
}

}  // namespace
}  // namespace spool
