// The contract of Store as tests; the full description of src/queue/store.h. A second store runs all of it
// with one line: INSTANTIATE_TEST_SUITE_P(Name, StoreContract, testing::Values(&make_its_backend));
//
// The tests stand in store_*.cpp, one file a subject. Time passes by pass(), never by sleeping.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "contract/store_backend.h"

namespace spool {

template <class T>
std::string code_of(const Result<T>& result) {
  return result ? "ok" : std::string(name(result.error().code));
}

inline NewJob new_job(std::string kind, std::string job_name = "") {
  NewJob job;
  job.kind = std::move(kind);
  job.name = std::move(job_name);
  return job;
}

class StoreContract : public testing::TestWithParam<MakeBackend> {
 protected:
  StoreContract() : backend_(GetParam()()) { store_ = backend_->open(); }

  Store& store() { return *store_; }
  // Another handle on the same data; kept by the fixture.
  Store& other() {
    if (!other_) {
      other_ = backend_->open();
      other_->shift_clock_for_tests(shifted_);
    }
    return *other_;
  }
  // Closes every handle, and opens the data again.
  void reopen() {
    store_.reset();
    other_.reset();
    store_ = backend_->open();
    store_->shift_clock_for_tests(shifted_);
  }
  void pass(Duration time) {
    shifted_ += time;
    store_->shift_clock_for_tests(time);
    if (other_) other_->shift_clock_for_tests(time);
  }

  Uuid insert(const NewJob& job) { return must(must(store().insert(std::span(&job, 1))).at(0)).id; }
  std::vector<Result<Inserted>> insert_all(const std::vector<NewJob>& jobs) {
    return must(store().insert(jobs));
  }
  std::string insert_code(const NewJob& job) {
    return code_of(must(store().insert(std::span(&job, 1))).at(0));
  }

  Session session(Duration lease = std::chrono::seconds(30)) {
    WorkerInfo worker;
    worker.host = "here";
    worker.pid = 7;
    worker.version = "1";
    worker.slots = 8;
    worker.lease = lease;
    return must(store().open_session(worker));
  }
  Session worker() {
    if (worker_.id.is_nil()) worker_ = session(std::chrono::hours(24 * 365));
    return worker_;
  }
  static ClaimRequest slots(int free, int all = 1000) {
    ClaimRequest want;
    want.slots = free;
    want.all_slots = all;
    return want;
  }
  std::vector<Claim> claim(int free = 100) {
    return must(store().exchange(worker(), {}, slots(free))).claimed;
  }
  Claim claim_one() {
    auto claimed = claim(1);
    if (claimed.size() != 1) throw std::runtime_error("nothing to claim");
    return claimed[0];
  }
  static Settlement settlement(const Claim& claim, Ending ending) {
    return Settlement{claim.job, claim.token, std::move(ending), {}, ""};
  }
  std::string settle(const Claim& claim, Ending ending) {
    const Settlement one = settlement(claim, std::move(ending));
    return code_of(must(store().exchange(worker(), std::span(&one, 1), ClaimRequest{})).settled.at(0));
  }
  Job get(const Uuid& job) { return must(store().get(job)); }
  State state(const Uuid& job) { return get(job).state; }
  int prune(Duration age, int most) {
    PruneRules rules;
    rules.age = age;
    return must(store().prune(rules, most));
  }
  // Claims what can be claimed and lets it succeed, until nothing is left. Returns how many attempts that
  // were.
  int drain() {
    int attempts = 0;
    for (;;) {
      const auto claimed = claim();
      if (claimed.empty()) return attempts;
      for (const Claim& c : claimed) {
        EXPECT_EQ(settle(c, Succeeded{}), "ok");
        ++attempts;
      }
    }
  }

 private:
  std::unique_ptr<StoreBackend> backend_;
  std::unique_ptr<Store> store_, other_;
  Duration shifted_{0};
  Session worker_;
};

inline Error broken(std::string message = "broken", Code code = Code::kCorruptInput) {
  return Error{code, std::move(message), 0};
}

}  // namespace spool
