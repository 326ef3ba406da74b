// What every store must show; see store_model.h.
#include "model/store_model.h"

#include <cstdlib>
#include <map>
#include <mutex>
#include <thread>

#include "support/forwarding_store.h"

namespace spool::model {

std::string first_difference(const std::function<std::unique_ptr<StoreBackend>()>& make,
                             const std::function<std::unique_ptr<Store>(std::unique_ptr<Store>)>& wrap) {
  for (unsigned seed = 1; seed <= 3; ++seed) {
    const auto backend = make();
    HistoryOptions options;
    options.seed = seed;
    options.steps = 1500;
    options.open = [&] { return wrap(backend->open()); };
    if (std::string difference = run_history(options); !difference.empty()) return difference;
  }
  return "";
}

namespace {

// SPOOL_MODEL_SEED repeats one history; SPOOL_MODEL_ROUNDS runs more of them.
int from_environment(const char* name, int usual) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::atoi(text) : usual;
}

TEST_P(StoreModel, RandomHistoriesOverSeveralHandlesAgreeWithTheReference) {
  const int first = from_environment("SPOOL_MODEL_SEED", 1);
  const int rounds = from_environment("SPOOL_MODEL_ROUNDS", 4);
  for (int i = 0; i < rounds; ++i) {
    const auto backend = GetParam()();
    HistoryOptions options;
    options.seed = static_cast<unsigned>(first + i);
    options.steps = 1500;
    options.open = [&] { return backend->open(); };
    EXPECT_EQ(run_history(options), "") << "repeat it with SPOOL_MODEL_SEED=" << options.seed;
  }
}

// A store that settles by id, as most queues do: the token is looked up instead of being asked for.
class SettlesById final : public test::ForwardingStore {
 public:
  using ForwardingStore::ForwardingStore;

  Result<Exchange> exchange(Session session, std::span<const Settlement> settlements,
                            const ClaimRequest& want) override {
    std::vector<Settlement> by_id(settlements.begin(), settlements.end());
    for (Settlement& s : by_id)
      if (const auto job = get(s.job); job && job->state == State::kRunning) s.token = *job->token;
    return ForwardingStore::exchange(session, by_id, want);
  }
};

TEST_P(StoreModel, CatchesAStoreThatSettlesWithoutTheToken) {
  const std::string difference = first_difference(GetParam(), [](std::unique_ptr<Store> store) {
    return std::make_unique<SettlesById>(std::move(store));
  });
  EXPECT_NE(difference.find("the model lease_lost"), std::string::npos) << difference;
}

// Threads with a handle each, as workers in several processes are: every attempt is settled once, and every
// parent goes through its phases once.
TEST_P(StoreModel, WorkersAtTheSameTimeWakeEveryParentOnce) {
  constexpr int kTrees = 60, kChildren = 5, kThreads = 3;
  const auto backend = GetParam()();
  const auto store = backend->open();
  std::vector<NewJob> roots(kTrees);
  for (NewJob& root : roots) root.kind = "tree";
  ASSERT_TRUE(store->insert(roots).has_value());

  std::mutex mutex;
  std::map<std::pair<Uuid, std::string>, int> settled;
  const auto work = [&] {
    const auto mine = backend->open();
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
