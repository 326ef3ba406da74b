#include "crash/trees/expected.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "model/reference_store.h"

namespace spool::trees {
namespace {

constexpr std::int64_t kStep = 200'000;  // longer than any script waits before it tries again
constexpr int kAllSlots = 1 << 20;

// One tree, played through on the model by a worker that is never disturbed.
class Play {
 public:
  explicit Play(const NewJob& root) : root_(root) {
    model_.open_session(session_, INT64_MAX / 2);
    model_.insert(root);
  }

  void first_life() {
    run(Life::kFirst);
    for (const Victim& victim : victims_of(root_)) {
      if (!model_.jobs.contains(victim.job)) continue;
      model_.cancel(victim.job);
      run(Life::kFirst);
    }
    check_ended();
  }
  void second_life() {
    if (model_.retry(root_.id) != "ok") return;  // it had succeeded
    run(Life::kSecond);
    check_ended();
  }

  std::map<Uuid, std::string> ends() const {
    std::map<Uuid, std::string> all;
    for (const auto& [id, job] : model_.jobs) all[id] = end_of(job.state, job.phase, job.attempts);
    return all;
  }

 private:
  // Until nothing is left but what never ends by itself.
  void run(Life life) {
    for (int quiet = 0; quiet < 3; ++quiet) {
      model_.now += kStep;
      if (turn(life)) quiet = 0;
    }
  }
  bool turn(Life life) {
    const auto stopped = std::stable_partition(staying_.begin(), staying_.end(), [&](const Claim& claim) {
      return !model_.jobs.at(claim.job).stopping;
    });
    std::vector<Claim> over(stopped, staying_.end());
    staying_.erase(stopped, staying_.end());
    model_.sweep();
    for (const model::ModelClaim& claimed : model_.claim(session_, kAllSlots)) {
      const Claim claim = given(claimed);
      (stays(claim.args, life) ? staying_ : over).push_back(claim);
    }
    for (const Claim& claim : over) {
      ++model_.now;
      const Ending ending = stays(claim.args, life) ? Ending(Failed{}) : ending_of(claim, life);
      model_.settle(claim.job, claim.token, ending);
    }
    return !over.empty();
  }
  Claim given(const model::ModelClaim& claimed) {
    Claim claim;
    claim.job = claimed.job;
    claim.token = Token::random();
    claim.args = model_.jobs.at(claimed.job).asked.args;
    claim.phase = claimed.phase;
    claim.attempt = claimed.attempt;
    model_.gave_token(claim.job, claim.token);
    return claim;
  }
  void check_ended() const {
    for (const auto& [id, job] : model_.jobs)
      if (!ended(job.state))
        throw std::logic_error(fmt::format("the script of {} comes to no end: {} is {}", root_.id.text(),
                                           id.text(), name(job.state)));
  }

  const NewJob& root_;
  const Uuid session_ = Uuid::v7();
  model::ReferenceStore model_;
  std::vector<Claim> staying_;
};

}  // namespace

std::string end_of(State state, const std::string& phase, int attempts) {
  // Who was cancelled may have begun or not.
  if (state == State::kCancelled) return fmt::format("{} phase '{}'", name(state), phase);
  return fmt::format("{} phase '{}' attempts {}", name(state), phase, attempts);
}

std::map<Uuid, std::string> expected_end(const NewJob& root, Life life) {
  Play play(root);
  play.first_life();
  if (life == Life::kSecond) play.second_life();
  return play.ends();
}

}  // namespace spool::trees
