// RemuxChoice: which rung of a ladder is the source's own frames, if any. Thread-safe: no state but the
// call's.
#pragma once

#include <optional>
#include <stop_token>
#include <string>

#include "media/plan.h"
#include "media/remux.h"

namespace spool::steps {

struct RemuxChoice {
  std::optional<media::RemuxedRung> rung;
  media::RemuxPlan plan;
  std::string note;  // for people: which rung, or why it was encoded; empty: no rung is of the source's size
};

// `args` of a transcode: "remux", "start", "end". The rung is the highest one of the source's size. Errors:
// those of reading the source.
[[nodiscard]] Result<RemuxChoice> choose_remux(const ByteSource& source, const media::Timeline& timeline,
                                               const media::Ladder& ladder, const Json& args,
                                               std::stop_token stop);

// "remux" of a job's args; "auto" when it is left out.
[[nodiscard]] bool remux_wanted(const Json& args);

}  // namespace spool::steps
