// scripted_trees COMMAND STORE SEED JOBS [...]: trees of small jobs (script.h) in a PostgreSQL store, for
// fleet_trees_test.py.
//
//   plant                 inserts them
//   work SLOTS FILE       a worker, until SIGTERM; they live their second life once FILE is there
//   cancel                cancels what is to be cancelled, each as soon as it is time
//   retry                 opens again each tree that did not end well
//   compare first|second  with the reference model; exits with 1 and says what differs
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <condition_variable>
#include <filesystem>
#include <mutex>

#include "crash/trees/expected.h"
#include "engine.h"
#include "executors/inline_executor.h"
#include "store_postgres/postgres_store.h"

namespace spool::trees {
namespace {

constexpr std::size_t kBatch = 200;
constexpr int kPage = 1000;

[[noreturn]] void give_up(const Error& error) {
  fmt::print(stderr, "scripted_trees: {}\n", error.message);
  std::exit(3);
}

// A call that changes nothing more when it is made twice, until the store is there to answer.
template <class Call>
auto insist(Store& store, Call&& call) {
  for (;;) {
    auto done = call();
    if (done) return done;
    const Code code = done.error().code;
    if (code != Code::kUnavailable && code != Code::kInDoubt && code != Code::kTimeout) return done;
    store.wait(std::chrono::milliseconds(200));
  }
}

template <class Value>
Value must(Result<Value> result) {
  if (!result) give_up(result.error());
  return std::move(*result);
}

void plant(Store& store, const std::vector<NewJob>& roots) {
  for (std::size_t at = 0; at < roots.size(); at += kBatch) {
    const std::span batch = std::span(roots).subspan(at, std::min(kBatch, roots.size() - at));
    for (const auto& inserted : must(insist(store, [&] { return store.insert(batch); })))
      if (!inserted) give_up(inserted.error());
  }
}

Ending play(Attempt& attempt, const std::filesystem::path& second) {
  const Claim& claim = attempt.claim();
  const Life life = std::filesystem::exists(second) ? Life::kSecond : Life::kFirst;
  // The database holds it against the attempt that runs then.
  if (auto kept = attempt.checkpoint({{"token", claim.token.text()}}); !kept) return Failed{kept.error()};
  std::mutex mutex;
  std::condition_variable_any stopped;
  std::unique_lock lock(mutex);
  const auto never = [] { return false; };
  if (stays(claim.args, life))
    stopped.wait(lock, attempt.stop_token(), never);
  else
    stopped.wait_for(lock, attempt.stop_token(), time_of(claim.args), never);
  if (attempt.stop_token().stop_requested()) return Failed{{Code::kCancelled, "asked to stop"}};
  return ending_of(claim, life);
}

int work(const std::string& url, int slots, const std::filesystem::path& second) {
  DrainOnSignals signals;
  const auto store = must(open_postgres_store(url));
  Kind kind;
  kind.name = kKind;
  kind.placement = Placement::kInline;
  kind.fan_out = {{kKind}, 100};
  kind.run = [&](Attempt& attempt) { return play(attempt, second); };
  Kinds kinds;
  kinds.add(kind);
  WorkerOptions options;
  options.slots = slots;
  options.poll = std::chrono::seconds(5);  // as `spool worker` does on PostgreSQL
  Worker worker(*store, kinds, options);
  InlineExecutor executor(worker.events(), nullptr);
  worker.use(Placement::kInline, executor);
  signals.watch(worker);
  std::fputs("working on trees\n", stderr);  // as `spool worker` does: from here on it ends in order
  if (auto ran = worker.run(); !ran) give_up(ran.error());
  return 0;
}

// {id: job} of one tree, or of all.
std::map<Uuid, Job> jobs_of(Store& store, std::optional<Uuid> root) {
  std::map<Uuid, Job> all;
  JobFilter filter;
  filter.root = root;
  filter.most = kPage;
  for (;;) {
    auto page = must(insist(store, [&] { return store.list(filter); }));
    for (Job& job : page) all.emplace(job.id, std::move(job));
    if (page.size() < kPage) return all;
    filter.after = page.back().id;
  }
}

bool it_is_time(const Victim& victim, const std::map<Uuid, Job>& jobs) {
  const auto state = [&](const Uuid& id) {
    const auto found = jobs.find(id);
    return found == jobs.end() ? std::optional<State>() : found->second.state;
  };
  const auto settled = [&](const Victim::Below& below) {
    const auto own = state(below.job), above = state(below.parent);
    if (!own) return above && ended(*above);
    return ended(*own) || !below.ends;
  };
  return state(victim.job) && std::all_of(victim.below.begin(), victim.below.end(), settled);
}

// Whether something of that tree is still to be cancelled.
bool cancel_in(Store& store, const Uuid& root, std::vector<Victim>& victims) {
  const auto jobs = jobs_of(store, root);
  std::erase_if(victims, [&](const Victim& victim) {
    if (!it_is_time(victim, jobs)) return false;
    if (auto done = insist(store, [&] { return store.cancel(victim.job); }); !done) give_up(done.error());
    return true;
  });
  return !victims.empty() && !ended(jobs.at(root).state);
}

int cancel(Store& store, const std::vector<NewJob>& roots) {
  std::vector<std::pair<Uuid, std::vector<Victim>>> open;
  for (const NewJob& root : roots)
    if (auto victims = victims_of(root); !victims.empty()) open.emplace_back(root.id, std::move(victims));
  for (;;) {
    std::erase_if(open, [&](auto& tree) { return !cancel_in(store, tree.first, tree.second); });
    if (open.empty()) return 0;
    store.wait(std::chrono::milliseconds(100));
  }
}

int retry(Store& store, const std::vector<NewJob>& roots) {
  for (const NewJob& root : roots) {
    // kConflict: it has succeeded, or a call whose answer was lost has opened it.
    const auto done = insist(store, [&] { return store.retry(root.id); });
    if (!done && done.error().code != Code::kConflict) give_up(done.error());
  }
  return 0;
}

int compare(Store& store, const std::vector<NewJob>& roots, Life life) {
  std::map<Uuid, std::string> expected;
  for (const NewJob& root : roots) expected.merge(expected_end(root, life));
  int differences = 0;
  std::map<std::string, int> states;
  for (const auto& [id, job] : jobs_of(store, std::nullopt)) {
    ++states[std::string(name(job.state))];
    const auto found = expected.extract(id);
    const std::string end = end_of(job.state, job.phase, job.attempts);
    if (!found.empty() && found.mapped() == end) continue;
    ++differences;
    fmt::print("{} of {}: {}; the model: {}\n", id.text(), job.root.text(), end,
               found.empty() ? "no such job" : found.mapped());
  }
  for (const auto& [id, end] : expected) fmt::print("{} is missing; the model: {}\n", id.text(), end);
  for (const auto& [state, count] : states) fmt::print(stderr, "  {} {}\n", count, state);
  return differences == 0 && expected.empty() ? 0 : 1;
}

int run(const std::vector<std::string>& words) {
  const std::string &command = words.at(0), &url = words.at(1);
  const auto roots = make_trees(static_cast<unsigned>(std::stoul(words.at(2))), std::stoi(words.at(3)));
  if (command == "work") return work(url, std::stoi(words.at(4)), words.at(5));
  const auto store = must(open_postgres_store(url));
  if (command == "plant") return plant(*store, roots), 0;
  if (command == "cancel") return cancel(*store, roots);
  if (command == "retry") return retry(*store, roots);
  if (command == "compare")
    return compare(*store, roots, words.at(4) == "first" ? Life::kFirst : Life::kSecond);
  throw std::invalid_argument("no such command: " + command);
}

}  // namespace
}  // namespace spool::trees

int main(int argc, char** argv) {
  try {
    return spool::trees::run({argv + 1, argv + argc});
  } catch (const std::exception& problem) {
    fmt::print(stderr, "scripted_trees: {}\n", problem.what());
    return 2;
  }
}
