#include "crash/trees/script.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>

namespace spool::trees {
namespace {

constexpr Duration kLate = std::chrono::hours(1);
constexpr std::string_view kGathering = "gather";

// A node's script, which is its args:
//   end        "well", "badly", "never" (until it is cancelled); of its last phase
//   cured      in the second life it ends well
//   tries      so many attempts fail before
//   ms         how long an attempt takes
//   cancelled  somebody cancels it, in its first life
//   fail_fast, children: [{script, needs: [{child, ignore}], optional, late}]
class Maker {
 public:
  explicit Maker(unsigned seed) : random_(seed) {}

  int jobs = 0;  // made so far

  Json tree() { return node(2, false); }

 private:
  int below(int n) { return static_cast<int>(random_() % static_cast<unsigned>(n)); }
  bool chance(int percent) { return below(100) < percent; }

  Json leaf() {
    ++jobs;
    const bool badly = chance(15);
    return {{"end", badly ? "badly" : "well"},
            {"cured", chance(50)},
            {"tries", chance(70) ? 0 : below(4)},
            {"ms", 20 + below(180)}};
  }

  // doomed: a job above it is cancelled as a whole.
  Json node(int levels, bool doomed) {
    Json made = leaf();
    made["ms"] = 5;
    const int dice = below(100);
    if (!doomed && dice < 12) {
      fill_fail_fast(made);
      return made;
    }
    const bool cancelled = !doomed && dice < 25;
    made["cancelled"] = cancelled;
    std::vector<Json> children;
    if (!doomed && !cancelled && dice < 40) children.push_back(endless(true));
    for (int i = levels > 1 ? 2 + below(5) : 1 + below(8); i > 0; --i)
      children.push_back(child(levels, doomed || cancelled));
    link(children);
    if (cancelled) children.push_back(endless(false));
    made["children"] = std::move(children);
    return made;
  }

  Json child(int levels, bool doomed) {
    const bool inner = levels > 1 && chance(60);
    return {{"script", inner ? node(levels - 1, doomed) : leaf()}, {"optional", chance(15)}};
  }
  // One that never ends by itself: it begins in an hour or, now and then, runs for ever; of these few, for
  // each keeps a slot until its worker hears of the cancel, which is when it renews its lease.
  Json endless(bool cancelled) {
    Json script = leaf();
    const bool late = chance(85);
    script["tries"] = 0;
    script["end"] = late ? "well" : "never";
    script["cancelled"] = cancelled;
    return {{"script", std::move(script)}, {"late", late}, {"optional", chance(30)}};
  }
  // Needs to older siblings. Who is cancelled has none: it would be left to chance which end comes first.
  void link(std::vector<Json>& children) {
    for (std::size_t i = 1; i < children.size(); ++i)
      if (!children[i]["script"].value("cancelled", false) && chance(25))
        children[i]["needs"] = need(below(static_cast<int>(i)), chance(30));
  }
  static Json need(int child, bool ignore) {
    return Json::array({Json::object({{"child", child}, {"ignore", ignore}})});
  }
  // The first one fails, and with it all others, which had not begun.
  void fill_fail_fast(Json& made) {
    made["fail_fast"] = true;
    made["children"] = Json::array();
    Json first = leaf();
    first["end"] = "badly";
    first["cured"] = true;
    first["tries"] = below(3);
    made["children"].push_back(Json::object({{"script", std::move(first)}}));
    for (int i = 1 + below(3); i > 0; --i) {
      Json other = leaf();
      other["end"] = "well";
      other["tries"] = 0;
      Json child = {{"script", std::move(other)}, {"late", true}};
      if (chance(50)) child["needs"] = need(0, true);
      made["children"].push_back(std::move(child));
    }
  }

  std::mt19937 random_;
};

Uuid child_of(const Uuid& parent, std::size_t number) {
  return Uuid::from_digest_of(fmt::format("{}/{}", parent.text(), number));
}

FanOut fan_out(const Claim& claim, Life life) {
  FanOut out;
  out.next_phase = kGathering;
  out.fail_fast = claim.args.value("fail_fast", false);
  for (const Json& child : claim.args["children"]) {
    NewJob job;
    job.id = child_of(claim.job, out.children.size());
    job.kind = kKind;
    job.args = child["script"];
    job.optional = child.value("optional", false);
    if (life == Life::kFirst && child.value("late", false)) job.delay = kLate;
    for (const Json& need : child.value("needs", Json::array()))
      job.needs.push_back(
          {child_of(claim.job, need["child"].get<std::size_t>()), need["ignore"].get<bool>()});
    out.children.push_back(std::move(job));
  }
  return out;
}

// All below a job that is cancelled as a whole.
void wait_for(Victim& victim, const Uuid& id, const Json& script) {
  const Json children = script.value("children", Json::array());
  for (std::size_t i = 0; i < children.size(); ++i) {
    const Json& child = children[i];
    const bool endless = child.value("late", false) || child["script"]["end"] == "never";
    victim.below.push_back({child_of(id, i), id, !endless});
    wait_for(victim, child_of(id, i), child["script"]);
  }
}

void find_victims(std::vector<Victim>& victims, const Uuid& id, const Json& script) {
  if (script.value("cancelled", false)) {
    Victim& victim = victims.emplace_back();
    victim.job = id;
    return wait_for(victim, id, script);
  }
  const Json children = script.value("children", Json::array());
  for (std::size_t i = 0; i < children.size(); ++i)
    find_victims(victims, child_of(id, i), children[i]["script"]);
}

}  // namespace

std::vector<NewJob> make_trees(unsigned seed, int jobs) {
  std::vector<NewJob> roots;
  Maker maker(seed);
  while (maker.jobs < jobs) {
    NewJob& root = roots.emplace_back();
    root.id = Uuid::from_digest_of(fmt::format("tree {} of {}", roots.size(), seed));
    root.kind = kKind;
    root.args = maker.tree();
  }
  return roots;
}

Duration time_of(const Json& script) {
  return std::chrono::milliseconds(script["ms"].get<int>());
}

bool stays(const Json& script, Life life) {
  return life == Life::kFirst && script["end"] == "never";
}

Ending ending_of(const Claim& claim, Life life) {
  const Json& script = claim.args;
  if (claim.attempt <= script["tries"]) {
    const auto after = std::chrono::milliseconds(10 * (claim.attempt - 1));
    return RetryLater{{Code::kUnavailable, fmt::format("attempt {}, as its script says", claim.attempt)},
                      after};
  }
  if (claim.phase.empty() && script.contains("children")) return fan_out(claim, life);
  const bool cured = life == Life::kSecond && script["cured"];
  if (script["end"] != "well" && !cured) return Failed{{Code::kCorruptInput, "as its script says"}};
  return Succeeded{{{"attempt", claim.attempt}}};
}

std::vector<Victim> victims_of(const NewJob& root) {
  std::vector<Victim> victims;
  find_victims(victims, root.id, root.args);
  return victims;
}

}  // namespace spool::trees
