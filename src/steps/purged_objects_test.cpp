#include "steps/purged_objects.h"

#include <gtest/gtest.h>

#include <map>

#include "base/temporary_folder.h"
#include "objects/folder_store.h"
#include "support/forwarding_store.h"

namespace spool::steps {
namespace {

class PurgedObjects : public testing::Test {
 protected:
  void put(const std::string& key) { ASSERT_TRUE(objects->put(key, {})); }
  std::vector<std::string> left() {
    std::vector<std::string> keys;
    for (const char* prefix : {".spool/attempts", "jobs", "chosen"}) {
      const auto objects_there = objects->list(prefix).value();
      for (const ObjectInfo& object : objects_there) keys.push_back(object.key);
    }
    return keys;
  }

  TemporaryFolder folder;
  std::unique_ptr<FolderStore> objects = FolderStore::at(folder.path()).value();
  const Uuid root = Uuid::v7(), step = Uuid::v7();
  const std::string of_root = "jobs/" + root.text(), of_step = of_root + "/step";
  const std::string attempts = ".spool/attempts/" + step.text();
};

TEST_F(PurgedObjects, OfAPrunedJobTheAttemptsGoAndWhatItPublishedStays) {
  put(attempts + "/token/a");
  put(of_step + "/a");
  ASSERT_TRUE(remove_objects_of({step, root, "step", false}, *objects));
  EXPECT_EQ(left(), (std::vector<std::string>{of_step + "/a"}));
  EXPECT_TRUE(remove_objects_of({step, root, "step", false}, *objects)) << "and again";
}

TEST_F(PurgedObjects, OfARemovedStepItsFolderGoesAndItsSiblingsStay) {
  put(attempts + "/token/a");
  put(of_step + "/a");
  put(of_root + "/other/a");
  put("chosen/a");
  ASSERT_TRUE(remove_objects_of({step, root, "step", true}, *objects));
  EXPECT_EQ(left(), (std::vector<std::string>{of_root + "/other/a", "chosen/a"}));
}

TEST_F(PurgedObjects, OfARemovedRootTheFolderOfItsTreeGoes) {
  put(of_step + "/a");
  put("jobs/" + Uuid::v7().text() + "/a");
  ASSERT_TRUE(remove_objects_of({root, root, "film", true}, *objects));
  EXPECT_EQ(left().size(), 1u);
}

TEST_F(PurgedObjects, AChildWithoutANameOrWithOneThatIsNoKeyTakesNothingAlong) {
  put(of_step + "/a");
  EXPECT_TRUE(remove_objects_of({step, root, "", true}, *objects));
  EXPECT_TRUE(remove_objects_of({step, root, "../../chosen", true}, *objects));
  EXPECT_EQ(left(), (std::vector<std::string>{of_step + "/a"}));
}

// A store of which only the purged jobs count.
class Purged : public test::ForwardingStore {
 public:
  Purged() : ForwardingStore(nullptr) {}
  Result<std::vector<PurgedJob>> purged(int most) override {
    return std::vector<PurgedJob>(jobs.begin(),
                                  jobs.begin() + std::min<std::ptrdiff_t>(most, std::ssize(jobs)));
  }
  Result<void> forget_purged(std::span<const Uuid> gone) override {
    for (const Uuid& id : gone) std::erase_if(jobs, [&](const PurgedJob& job) { return job.id == id; });
    return {};
  }
  std::vector<PurgedJob> jobs;
};

// Objects of which some cannot be removed. Nothing else is asked of it.
class Stuck : public ObjectStore {
 public:
  Result<void> put(std::string_view, std::span<const std::byte>) override { return no(); }
  Result<std::string> get(std::string_view, std::size_t) override { return no(); }
  Result<ByteSource> open(std::string_view) override { return no(); }
  Result<std::optional<ObjectInfo>> stat(std::string_view) override { return no(); }
  Result<std::vector<ObjectInfo>> list(std::string_view) override { return no(); }
  Result<void> copy(std::string_view, std::string_view) override { return no(); }
  Result<void> remove(std::string_view) override { return no(); }
  Result<void> remove_all(std::string_view prefix) override {
    if (on_remove_all) on_remove_all(prefix);
    if (stuck.contains(std::string(prefix))) return no();
    return {};
  }
  [[nodiscard]] std::optional<std::filesystem::path> lock_folder() const override { return lock_in; }
  std::set<std::string> stuck;
  std::optional<std::filesystem::path> lock_in;
  std::function<void(std::string_view prefix)> on_remove_all;

 private:
  static tl::unexpected<Error> no() { return fail(Code::kPermissionDenied, "not yours"); }
};

class Sweeping : public testing::Test {
 protected:
  void SetUp() override { objects.lock_in = folder.path(); }
  void purge(int count) {
    for (int i = 0; i < count; ++i) store.jobs.push_back({Uuid::v7(), Uuid::v7(), "step", false});
  }
  Result<void> sweep(int most = 1 << 20) {
    return sweep_purged(store, objects, [&] { return most-- <= 0; });
  }
  TemporaryFolder folder;
  Purged store;
  Stuck objects;
};

TEST_F(Sweeping, WhatCannotBeRemovedHoldsNothingUp) {
  purge(250);
  for (std::size_t i = 0; i < 150; ++i) objects.stuck.insert(".spool/attempts/" + store.jobs[i].id.text());
  const auto swept = sweep();
  ASSERT_FALSE(swept);
  EXPECT_EQ(swept.error().message, "not yours");
  EXPECT_EQ(store.jobs.size(), 150u);
}

TEST_F(Sweeping, EndsWhenItIsToldTo) {
  purge(10);
  ASSERT_TRUE(sweep(3));
  EXPECT_EQ(store.jobs.size(), 7u);
}

TEST_F(Sweeping, TheFolderOfItsLockIsMade) {
  objects.lock_in = folder.path() / "never" / "written";
  purge(1);
  ASSERT_TRUE(sweep());
  EXPECT_TRUE(store.jobs.empty());
}

TEST_F(Sweeping, WithoutLocksWhatAnotherOneHasSweptIsLeftAlone) {
  objects.lock_in.reset();
  purge(3);
  const Uuid again = store.jobs[2].id;
  objects.on_remove_all = [&](std::string_view prefix) {
    EXPECT_EQ(prefix.find(again.text()), std::string_view::npos);
    std::erase_if(store.jobs,
                  [&](const PurgedJob& job) { return job.id == again; });  // its id may come again
  };
  ASSERT_TRUE(sweep());
  EXPECT_TRUE(store.jobs.empty());
}

// A store of which only the jobs' states count.
class Jobs : public test::ForwardingStore {
 public:
  Jobs() : ForwardingStore(nullptr) {}
  Result<Job> get(Uuid id) override {
    if (away) return fail(Code::kUnavailable, "away");
    const auto found = jobs.find(id);
    if (found == jobs.end()) return fail(Code::kNotFound, "no such job");
    return found->second;
  }
  Uuid add(State state, std::optional<Uuid> root = {}) {
    Job job;
    job.id = Uuid::v7();
    job.root = root.value_or(job.id);
    job.state = state;
    return jobs[job.id] = job, job.id;
  }
  std::map<Uuid, Job> jobs;
  bool away = false;
};

TEST_F(PurgedObjects, WhatArrivedLateGoesWhenItsTreeHasSucceeded) {
  Jobs store;
  const Uuid film = store.add(State::kSucceeded), failed = store.add(State::kFailed),
             runs = store.add(State::kRunning);
  const Uuid late = store.add(State::kCancelled, film), kept = store.add(State::kSucceeded, failed),
             chunk = store.add(State::kSucceeded, runs);
  std::vector<std::string> stay;
  for (const Uuid& id : {film, late, failed, kept, runs, chunk, Uuid::v7()}) {
    const std::string key = ".spool/attempts/" + id.text() + "/token/a";
    put(key);
    if (id != film && id != late) stay.push_back(key);
  }
  stay.emplace_back(".spool/attempts/nobody/a");
  put(stay.back());
  put("chosen/a");
  stay.emplace_back("chosen/a");
  ASSERT_TRUE(sweep_late_uploads(store, *objects, [] { return true; }));
  EXPECT_EQ(left().size(), stay.size() + 2) << "told to stop";
  ASSERT_TRUE(sweep_late_uploads(store, *objects, [] { return false; }));
  auto keys = left();
  std::sort(keys.begin(), keys.end());
  std::sort(stay.begin(), stay.end());
  EXPECT_EQ(keys, stay);
  store.away = true;
  const auto swept = sweep_late_uploads(store, *objects, [] { return false; });
  ASSERT_FALSE(swept);
  EXPECT_EQ(swept.error().code, Code::kUnavailable);
}

TEST_F(Sweeping, OneSweepsAtATime) {
  purge(1);
  {
    const auto other = FileLock::try_lock(folder.path() / "sweep.lock");
    ASSERT_TRUE(other && *other);
    ASSERT_TRUE(sweep());
    EXPECT_EQ(store.jobs.size(), 1u);
  }
  ASSERT_TRUE(sweep());
  EXPECT_TRUE(store.jobs.empty());
}

}  // namespace
}  // namespace spool::steps
