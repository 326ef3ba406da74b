// What was acknowledged is there after the process was killed, and after the power went.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <set>

#include "base/temporary_folder.h"
#include "power/lossy_vfs.h"
#include "store_sqlite/sqlite_store.h"

namespace spool {
namespace {

// The disk that loses power is LossyVfs; what lies below it may be memory.
const int kInMemory = std::filesystem::exists("/dev/shm") ? setenv("TMPDIR", "/dev/shm", 0) : 0;

NewJob job_with(std::string args) {
  NewJob job;
  job.kind = "a";
  job.args = {{"x", std::move(args)}};
  return job;
}

std::unique_ptr<Store> open_or_throw(const std::filesystem::path& path, const std::string& vfs = "") {
  SqliteOptions options;
  options.vfs = vfs;
  auto store = open_sqlite_store(path, options);
  if (!store) throw std::runtime_error(store.error().message);
  return std::move(*store);
}

struct Acknowledged {
  std::vector<Uuid> inserted, succeeded;
};

// Inserts, claims and settles, and remembers what was acknowledged. Now and then so much that the log is
// copied back into the database meanwhile.
Acknowledged some_work(Store& store, unsigned seed) {
  const int rounds = 5 + static_cast<int>(seed % 60);
  const unsigned largest = seed % 10 == 0 ? 600'000 : 3000;
  std::mt19937 random(seed);
  Acknowledged done;
  const Session session = store.open_session({}).value();
  std::vector<Settlement> settlements;
  for (int i = 0; i < rounds; ++i) {
    std::vector<NewJob> jobs(1 + random() % 3, job_with(std::string(random() % largest, 'x')));
    const auto inserted = store.insert(jobs).value();
    for (const auto& result : inserted) done.inserted.push_back(result.value().id);
    ClaimRequest want;
    want.slots = want.all_slots = 2;
    const Exchange both = store.exchange(session, settlements, want).value();
    for (std::size_t s = 0; s < settlements.size(); ++s)
      if (both.settled[s]) done.succeeded.push_back(settlements[s].job);
    settlements.clear();
    for (const Claim& c : both.claimed)
      settlements.push_back({c.job, c.token, Succeeded{Json("done")}, {}, ""});
  }
  return done;
}

// Empty: all that was acknowledged is there.
std::string missing(Store& store, const Acknowledged& done) {
  for (const Uuid& id : done.inserted)
    if (!store.get(id)) return "an inserted job is gone";
  for (const Uuid& id : done.succeeded) {
    const auto job = store.get(id);
    if (!job || job->state != State::kSucceeded || job->result != Json("done"))
      return "a settled job is not settled";
  }
  return "";
}

std::string after_a_cut(unsigned seed, bool with_syncs) {
  const TemporaryFolder before, after;
  LossyVfs vfs;
  const auto path = before.path() / "spool.db";
  // Never closed: a process that loses power closes nothing.
  Store* store = open_or_throw(path, vfs.name()).release();
  if (!with_syncs) vfs.ignore_syncs();
  const Acknowledged done = some_work(*store, seed);
  vfs.cut(path.string(), after.path().string(), seed);
  try {
    const auto again = open_or_throw(after.path() / "spool.db");
    std::string lost = missing(*again, done);
    if (lost.empty() && !again->rescue()) lost = "it does not go on";
    delete store;
    return lost;
  } catch (const std::exception& e) {
    delete store;
    return e.what();
  }
}

TEST(StorePower, WhatWasAcknowledgedSurvivesAPowerCut) {
  for (unsigned seed = 1; seed <= 40; ++seed) EXPECT_EQ(after_a_cut(seed, true), "") << "seed " << seed;
}

TEST(StorePower, AStoreThatDoesNotSyncIsCaughtByTheSameTest) {
  int lost = 0;
  for (unsigned seed = 1; seed <= 10; ++seed) lost += !after_a_cut(seed, false).empty();
  EXPECT_GT(lost, 0);
}

TEST(StorePower, EveryAcknowledgementHasItsSync) {
  const TemporaryFolder folder;
  LossyVfs vfs;
  const auto store = open_or_throw(folder.path() / "spool.db", vfs.name());
  const NewJob job = job_with("x");
  for (int i = 0; i < 10; ++i) {
    const auto before = vfs.syncs();
    ASSERT_TRUE(store->insert(std::span(&job, 1)).has_value());
    EXPECT_GE(vfs.syncs(), before + 1);
  }
}

TEST(StorePower, WhatWasAcknowledgedSurvivesAKill) {
  for (unsigned round = 0; round < 5; ++round) {
    const TemporaryFolder folder;
    const auto path = folder.path() / "spool.db";
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
      const auto store = open_or_throw(path);
      const Session session = store->open_session({}).value();
      std::vector<Settlement> settlements;
      for (;;) {
        const NewJob job = job_with("x");
        // 'i' and an id: inserted; 's' and an id: settled.
        const auto say = [&](char what, const Uuid& id) {
          char line[17] = {what};
          std::copy(id.bytes.begin(), id.bytes.end(), line + 1);
          if (write(ends[1], line, sizeof line) != sizeof line) _exit(1);
        };
        say('i', store->insert(std::span(&job, 1)).value().at(0).value().id);
        ClaimRequest want;
        want.slots = want.all_slots = 1;
        const Exchange both = store->exchange(session, settlements, want).value();
        for (const Settlement& s : settlements) say('s', s.job);
        settlements.clear();
        for (const Claim& c : both.claimed)
          settlements.push_back({c.job, c.token, Succeeded{Json("done")}, {}, ""});
      }
    }
    close(ends[1]);
    Acknowledged done;
    const std::size_t enough = 20 + 17 * round;
    char line[17];
    while (read(ends[0], line, sizeof line) == sizeof line) {
      Uuid id;
      std::copy(line + 1, line + 17, id.bytes.begin());
      (line[0] == 'i' ? done.inserted : done.succeeded).push_back(id);
      if (done.inserted.size() == enough) kill(child, SIGKILL);  // and read what it had said until then
    }
    waitpid(child, nullptr, 0);
    close(ends[0]);
    EXPECT_GE(done.inserted.size(), enough);
    const auto store = open_or_throw(path);
    EXPECT_EQ(missing(*store, done), "");
    ASSERT_TRUE(store->rescue().has_value());
    JobFilter running;
    running.state = State::kRunning;
    EXPECT_TRUE(store->list(running).value().empty()) << "what it ran is available at once";
  }
}

}  // namespace
}  // namespace spool
