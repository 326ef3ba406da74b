#include "parts.h"

#include <gtest/gtest.h>

#include "base/temporary_folder.h"
#include "store_sqlite/sqlite_store.h"

namespace spool {
namespace {

constexpr int kJobs = 700;  // more than a page

class ForEachJob : public testing::Test {
 protected:
  void SetUp() override {
    store_ = open_sqlite_store(folder_.path() / "spool.db").value();
    NewJob job;
    job.kind = "a";
    const std::vector<NewJob> jobs(kJobs, job);
    const auto all = store_->insert(jobs).value();
    for (const auto& inserted : all) ids_.push_back(inserted.value().id);
  }

  // What is seen when those from `first` to `last` are purged as soon as `last` was seen.
  std::vector<Uuid> seen_while_purging(std::size_t first, std::size_t last) {
    std::vector<Uuid> seen;
    const auto take = [&](const Job& job) {
      seen.push_back(job.id);
      if (job.id != ids_[last]) return true;
      for (std::size_t i = first; i <= last; ++i) EXPECT_TRUE(store_->remove(ids_[i]));
      while (store_->rescue().value() > 0) continue;  // which purges them
      return true;
    };
    const auto done = for_each_job(*store_, {}, take);
    EXPECT_TRUE(done) << done.error().message;
    return seen;
  }

  TemporaryFolder folder_;
  std::unique_ptr<Store> store_;
  std::vector<Uuid> ids_;
};

TEST_F(ForEachJob, SeesEachOnceWhenTheLastOfAPageIsPurged) {
  EXPECT_EQ(seen_while_purging(480, 499), ids_);
}

TEST_F(ForEachJob, SeesEachOnceWhenAllThatItSawIsPurged) {
  EXPECT_EQ(seen_while_purging(0, 499), ids_);
}

}  // namespace
}  // namespace spool
