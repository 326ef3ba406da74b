#include "model/history.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "model/reference_store.h"

namespace spool::model {
namespace {

using std::chrono::seconds;

struct Differs {
  std::string what;
};

std::string code(const auto& result) {
  return result ? "ok" : std::string(name(result.error().code));
}

class History {
 public:
  explicit History(const HistoryOptions& options) : options_(options), random_(options.seed) {
    for (int i = 0; i < options.handles; ++i) handles_.push_back(options.open());
  }

  std::string run() {
    try {
      for (step_ = 0; step_ < options_.steps; ++step_) {
        ++model_.now;
        one_step();
        compare_changed();
        if (step_ % 50 == 0) compare_all();
      }
      finish();
      compare_all();
      return "";
    } catch (const Differs& d) {
      return fmt::format("seed {}, step {}, {}: {}", options_.seed, step_, doing_, d.what);
    }
  }

 private:
  int below(int n) { return static_cast<int>(random_() % static_cast<unsigned>(n)); }
  bool chance(int percent) { return below(100) < percent; }
  Store& any() { return *handles_[below(static_cast<int>(handles_.size()))]; }
  void same(const std::string& real, const std::string& expected) {
    if (real != expected) throw Differs{fmt::format("the store says {}, the model {}", real, expected)};
  }

  // Durations are odd multiples of 500 s and time passes in steps of 1000 s: the milliseconds that the test
  // itself takes never decide anything but the order of operations.
  Duration odd() { return seconds(500 + 1000 * below(3)); }

  std::string some_queue() { return chance(70) ? "default" : "other"; }

  NewJob new_job() {
    NewJob job;
    job.id = Uuid::v7();
    job.kind = "step";
    job.queue = some_queue();
    if (chance(30)) job.limit_key = chance(50) ? "a1" : "a2";
    job.slots = chance(85) ? 1 : 1 + below(3);
    job.priority = chance(80) ? 0 : below(5) - 2;
    job.most_attempts = 1 + below(3);
    job.optional = chance(15);
    if (chance(15)) job.delay = odd();
    if (chance(8)) job.held = true;
    if (chance(8)) job.deadline = odd() + seconds(2000);
    return job;
  }

  std::vector<Uuid> visible() {
    std::vector<std::pair<std::int64_t, Uuid>> order;
    for (const auto& [id, job] : model_.jobs)
      if (!job.hidden) order.emplace_back(job.seq, id);
    std::sort(order.begin(), order.end());
    std::vector<Uuid> ids;
    for (const auto& [seq, id] : order) ids.push_back(id);
    return ids;
  }
  // Rather a late one: there something happens.
  std::optional<Uuid> some_job() {
    const auto ids = visible();
    if (ids.empty()) return std::nullopt;
    const int window = std::min<int>(static_cast<int>(ids.size()), chance(80) ? 25 : 1 << 20);
    return ids[ids.size() - 1 - static_cast<std::size_t>(below(window))];
  }
  void add_needs(NewJob& job) {
    for (const Uuid& id : visible())
      if (model_.jobs.at(id).parent == job.parent && job.needs.size() < 3 && chance(job.parent ? 40 : 4))
        job.needs.push_back({id, chance(30)});
    std::reverse(job.needs.begin(), job.needs.end());
  }

  void one_step() {
    const int dice = below(100);
    if (dice < 16) return insert();
    if (dice < 40) return exchange_claim();
    if (dice < 72) return exchange_settle();
    if (dice < 77) return report();
    if (dice < 82) return pass();
    if (dice < 86) return rescue();
    if (dice < 88) return by_id("cancel", &Store::cancel, &ReferenceStore::cancel);
    if (dice < 92) return by_id("retry", &Store::retry, &ReferenceStore::retry);
    if (dice < 94) return by_id("start", &Store::start, &ReferenceStore::start);
    if (dice < 95) return remove();
    if (dice < 98) return session();
    if (dice < 99) return operate();
    if (chance(50)) return prune();
    reopen_handle();
  }

  void operate() {
    const int dice = below(100);
    if (dice < 45) return set_limit();
    if (dice < 65) return remove_limit();
    if (dice < 90) return pause_or_resume();
    clear();
  }

  void insert() {
    doing_ = "insert";
    NewJob job = new_job();
    if (chance(40)) job.parent = some_job();
    if (chance(40)) add_needs(job);
    const auto results = any().insert(std::span(&job, 1));
    if (!results) throw Differs{results.error().message};
    same(code(results->at(0)), model_.insert(job));
  }

  Session some_session() {
    if (sessions_.empty() || chance(3)) {
      WorkerInfo info;
      info.lease = seconds(2500 + 1000 * below(5));
      const auto opened = any().open_session(info);
      if (!opened) throw Differs{opened.error().message};
      model_.open_session(opened->id, info.lease.count());
      sessions_.push_back(*opened);
    }
    return sessions_[below(static_cast<int>(sessions_.size()))];
  }

  void exchange(std::optional<Settlement> settlement, int slots) {
    const Session mine = some_session();
    ClaimRequest want;
    want.slots = slots;
    want.all_slots = 8;
    const auto settlements =
        settlement ? std::span<const Settlement>(&*settlement, 1) : std::span<const Settlement>();
    const auto done = any().exchange(mine, settlements, want);
    if (!model_.alive(mine.id)) {
      same(code(done), "lease_lost");
      std::erase_if(sessions_, [&](const Session& s) { return s.id == mine.id; });
      return;
    }
    if (!done) throw Differs{fmt::format("exchange: {}", done.error().message)};
    if (settlement)
      same(code(done->settled.at(0)), model_.settle(settlement->job, settlement->token, settlement->ending));
    if (slots > 0) model_.sweep();
    const auto expected = model_.claim(mine.id, slots);
    if (done->claimed.size() != expected.size())
      throw Differs{fmt::format("claimed {} jobs, the model {}", done->claimed.size(), expected.size())};
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const Claim& c = done->claimed[i];
      if (ModelClaim{c.job, c.attempt, c.phase, c.children.size()} != expected[i])
        throw Differs{
            fmt::format("claim {}: {} attempt {} phase '{}' children {}; the model {} attempt {} phase '{}' "
                        "children {}",
                        i, c.job.text(), c.attempt, c.phase, c.children.size(), expected[i].job.text(),
                        expected[i].attempt, expected[i].phase, expected[i].children)};
      model_.gave_token(c.job, c.token);
      held_.push_back(c);
    }
  }

  void exchange_claim() {
    doing_ = "claim";
    exchange(std::nullopt, 1 + below(6));
  }

  Ending some_ending() {
    const int dice = below(100);
    if (dice < 40) return Succeeded{};
    if (dice < 60) {
      FanOut out;
      for (int i = below(4); i > 0; --i) {
        NewJob child = new_job();
        for (const NewJob& older : out.children)
          if (chance(25)) child.needs.push_back({older.id, chance(30)});
        out.children.push_back(child);
      }
      out.next_phase = fmt::format("phase {}", below(3));
      out.fail_fast = chance(40);
      return out;
    }
    if (dice < 75) return RetryLater{{Code::kUnavailable, "again", 0}, chance(50) ? Duration(0) : odd()};
    if (dice < 81) return Snooze{chance(50) ? Duration(0) : odd()};
    if (dice < 94) return Failed{{Code::kCorruptInput, "broken", 0}};
    return Released{};
  }

  void exchange_settle() {
    doing_ = "settle";
    if (held_.empty()) return;
    const std::size_t at =
        held_.size() - 1 - static_cast<std::size_t>(below(std::min<int>(static_cast<int>(held_.size()), 12)));
    Settlement s{held_[at].job, held_[at].token, some_ending(), {}, ""};
    // What was settled is settled again now and then: it must be refused.
    if (!chance(15)) held_.erase(held_.begin() + static_cast<std::ptrdiff_t>(at));
    exchange(std::move(s), chance(30) ? 1 + below(3) : 0);
  }

  void report() {
    doing_ = "report";
    if (held_.empty()) return;
    const Claim& c = held_[static_cast<std::size_t>(below(static_cast<int>(held_.size())))];
    ProgressReport r{c.job, c.token, {}, nullptr, {}};
    if (chance(70)) r.fraction = below(100) / 100.0;
    if (chance(40)) r.checkpoint = Json(below(5));
    const auto done = any().report(std::span(&r, 1));
    if (!done) throw Differs{done.error().message};
    const auto& one = done->at(0);
    same(one ? (*one ? "stop" : "ok") : code(one), model_.report(r));
  }

  void pass() {
    doing_ = "pass";
    const Duration time = seconds(1000 * (1 + below(2)));
    for (auto& handle : handles_) handle->shift_clock_for_tests(time);
    shifted_ += time;
    model_.now += time.count();
  }

  void rescue() {
    doing_ = "rescue";
    const auto done = any().rescue();
    if (!done) throw Differs{done.error().message};
    model_.rescue();
  }

  void prune() {
    doing_ = "prune";
    PruneRules rules;
    rules.age = seconds(20500);
    const auto done = any().prune(rules, 1000);
    if (!done) throw Differs{done.error().message};
    model_.prune(rules.age->count());
  }

  std::pair<LimitScope, std::string> some_limit() {
    const char* keys[] = {"a1", "a*", "*"};
    if (chance(60)) return {LimitScope::kKey, keys[below(3)]};
    return {LimitScope::kQueue, some_queue()};
  }

  void set_limit() {
    doing_ = "set_limit";
    Limit limit;
    std::tie(limit.scope, limit.name) = some_limit();
    const bool rate = chance(40);
    if (!rate || chance(50)) limit.concurrency = 1 + below(4);
    if (rate) limit.rate = Rate{1, chance(50) ? seconds(500) : seconds(1500), 1 + below(3)};
    same(code(any().set_limit(limit)), "ok");
    model_.set_limit(limit);
  }

  void remove_limit() {
    doing_ = "remove_limit";
    const auto [scope, name] = some_limit();
    same(code(any().remove_limit(scope, name)), model_.remove_limit(scope, name));
  }

  void pause_or_resume() {
    doing_ = "pause or resume";
    const std::string queue = some_queue();
    if (chance(40)) {
      same(code(any().pause_queue(queue)), "ok");
      model_.paused.insert(queue);
    } else {
      same(code(any().resume_queue(queue)), "ok");
      model_.paused.erase(queue);
    }
  }

  void clear() {
    doing_ = "clear";
    const std::string queue = some_queue();
    const auto done = any().clear_queue(queue, 1 << 20);
    if (!done) throw Differs{done.error().message};
    same(std::to_string(*done), std::to_string(model_.clear(queue)));
  }

  void by_id(const char* what, Result<void> (Store::*real)(Uuid),
             std::string (ReferenceStore::*expected)(const Uuid&)) {
    doing_ = what;
    const auto id = some_job();
    if (id) same(code((any().*real)(*id)), (model_.*expected)(*id));
  }

  void remove() {
    doing_ = "remove";
    const auto id = some_job();
    if (!id) return;
    same(code(any().remove(*id)), "ok");
    model_.remove(*id);
  }

  void session() {
    doing_ = "session";
    if (sessions_.empty()) return;
    const Session mine = some_session();
    if (chance(60)) {
      same(code(any().renew(mine)), model_.renew(mine.id) ? "ok" : "lease_lost");
      return;
    }
    // Closed through the handle that holds its lock, or through another one: the row decides.
    same(code(any().close_session(mine)), "ok");
    model_.close_session(mine.id);
    std::erase_if(sessions_, [&](const Session& s) { return s.id == mine.id; });
  }

  void reopen_handle() {
    doing_ = "reopen";
    // The first one stays: the lock files of its sessions must not be let go.
    handles_.push_back(options_.open());
    handles_.back()->shift_clock_for_tests(shifted_);
    if (handles_.size() > 6) handles_.pop_back();
  }

  // All that the model calls live, and what ended last.
  void compare_changed() {
    if (const auto id = some_job()) compare(*id, any());
  }
  void compare_all() {
    JobFilter all;
    all.most = 1 << 20;
    const auto real = any().list(all);
    if (!real) throw Differs{real.error().message};
    const auto expected = visible();
    if (real->size() != expected.size())
      throw Differs{fmt::format("{} jobs, the model has {}", real->size(), expected.size())};
    for (std::size_t i = 0; i < expected.size(); ++i) compare(expected[i], (*real)[i]);
    compare_limits();
  }
  void compare_limits() {
    const auto real = any().limits();
    if (!real) throw Differs{real.error().message};
    const auto text = [](const std::vector<LimitUse>& uses) {
      std::string all;
      for (const LimitUse& use : uses)
        all += fmt::format("{}: {} taken, {} wait; ", use.limit.name, use.taken, use.waiting);
      return all;
    };
    same(text(*real), text(model_.limits()));
  }
  void compare(const Uuid& id, Store& store) {
    const auto job = store.get(id);
    if (!job) throw Differs{job.error().message};
    compare(id, *job);
  }
  static void compare(const Uuid& id, const Job& job, const ModelJob& expected) {
    const auto line = [](State state, bool limited, const std::string& phase, int attempts, int rescues,
                         bool cancel, double progress) {
      return fmt::format("{}{} phase '{}' attempts {} rescues {} cancel {} progress {}", name(state),
                         limited ? " (limited)" : "", phase, attempts, rescues, cancel, progress);
    };
    const double progress = expected.state == State::kSucceeded ? 1 : expected.progress;
    const std::string real = line(job.state, job.limited, job.phase, job.attempts, job.rescues,
                                  job.cancel_requested, job.progress);
    const std::string model = line(expected.state, expected.limited, expected.phase, expected.attempts,
                                   expected.rescues, expected.cancel_requested, progress);
    if (job.id != id || real != model)
      throw Differs{fmt::format("{}: {}; the model: {}", id.text(), real, model)};
  }
  void compare(const Uuid& id, const Job& job) {
    try {
      compare(id, job, model_.jobs.at(id));
    } catch (Differs& d) {
      d.what += surroundings(model_.jobs.at(id));
      throw;
    }
  }
  // For whoever reads the difference.
  std::string surroundings(const ModelJob& job) {
    std::string text;
    for (const auto& edge : job.needs)
      text += fmt::format("; needs {} {} open {} ignore {}", edge.needed.text(),
                          name(model_.jobs.at(edge.needed).state), edge.open, edge.ignore);
    for (const auto& [id, other] : model_.jobs)
      if (other.parent == job.id)
        text += fmt::format("; child {} {} hidden {} optional {}", id.text(), name(other.state), other.hidden,
                            other.asked.optional);
    return text;
  }

  // Whatever happened: what can run runs to its end, and no live job is left behind.
  void finish() {
    doing_ = "finish";
    std::erase_if(held_, [&](const Claim& c) { return !model_.jobs.contains(c.job); });
    for (const std::string queue : {"default", "other"}) {
      same(code(any().resume_queue(queue)), "ok");
      model_.paused.erase(queue);
    }
    while (!sessions_.empty()) {
      ++model_.now;
      same(code(handles_[0]->close_session(sessions_.back())), "ok");
      model_.close_session(sessions_.back().id);
      sessions_.pop_back();
    }
    ++model_.now;
    rescue();  // what those held that were lost
    doing_ = "finish";
    for (const Uuid& id : visible()) {
      if (model_.jobs.at(id).state != State::kCreated) continue;
      ++model_.now;
      same(code(any().start(id)), model_.start(id));
    }
    const auto lives = [](const auto& job) { return !ended(job.second.state); };
    for (int round = 0; round < 3000 && std::ranges::any_of(model_.jobs, lives); ++round) {
      ++model_.now;
      pass();
      ++model_.now;
      rescue();
      doing_ = "finish";
      held_.clear();
      exchange(std::nullopt, 8);
      for (const Claim& c : std::exchange(held_, {})) {
        ++model_.now;
        exchange(Settlement{c.job, c.token, Succeeded{}, {}, ""}, 0);
      }
    }
    for (const auto& [id, job] : model_.jobs)
      if (!ended(job.state)) throw Differs{fmt::format("{} is left {}", id.text(), name(job.state))};
  }

  HistoryOptions options_;
  std::mt19937 random_;
  std::vector<std::unique_ptr<Store>> handles_;
  ReferenceStore model_;
  std::vector<Session> sessions_;
  std::vector<Claim> held_;
  Duration shifted_{0};
  int step_ = 0;
  std::string doing_;
};

}  // namespace

std::string run_history(const HistoryOptions& options) {
  return History(options).run();
}

}  // namespace spool::model
