#include "steps/remux_choice.h"

#include <fmt/format.h>

#include <algorithm>

namespace spool::steps {

bool remux_wanted(const Json& args) {
  return args.value("remux", "auto") != "never";
}

Result<RemuxChoice> choose_remux(const ByteSource& source, const media::Timeline& timeline,
                                 const media::Ladder& ladder, const Json& args, std::stop_token stop) {
  RemuxChoice choice;
  if (!remux_wanted(args)) return choice;
  const media::Size size = timeline.picture.shown();
  const auto rungs = media::planned_rungs(ladder, size);
  const auto same = std::ranges::find_if(rungs, [&](const media::PlannedRung& r) {
    return r.size == size && r.rung.codec == media::VideoCodec::kH264;
  });
  if (same == rungs.end()) return choice;
  if (args.contains("start") || args.contains("end")) {
    choice.plan.obstacle = "only a part of it is wanted";
  } else {
    media::RemuxRules rules;
    rules.segment_seconds = ladder.segment_seconds;
    rules.longest_seconds = std::max(rules.longest_seconds, ladder.segment_seconds);
    rules.max_bits_per_second = same->rung.max_bits_per_second;
    SPOOL_ASSIGN(choice.plan, media::plan_remux(source, timeline, rules, std::move(stop)));
  }
  if (!choice.plan.fits()) {
    choice.note = fmt::format("{} was encoded, the source could not be remuxed: {}", same->rung.name,
                              choice.plan.obstacle);
    return choice;
  }
  choice.rung =
      media::RemuxedRung{static_cast<int>(same - rungs.begin()), choice.plan.borders, timeline.reorder};
  choice.note = fmt::format("{} was remuxed: its frames are the source's own", same->rung.name);
  return choice;
}

}  // namespace spool::steps
