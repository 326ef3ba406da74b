// What a sandboxed child reports of the renditions it made, and what it has to say to people.
#include <cstdint>
#include <cstdlib>

#include "base/utf8.h"
#include "steps/progress_lines.h"
#include "steps/transcode_shapes.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace spool;
  const auto result = parse_json({reinterpret_cast<const char*>(data), size}, "fuzz");
  if (!result) return 0;
  const auto check = [](bool good) {
    if (!good) std::abort();
  };
  if (const auto made = steps::all_made_from_json(*result)) {
    for (const steps::MadeRendition& rendition : *made) {
      // What is kept in a result can be read from it again.
      const Json kept = steps::to_json(rendition);
      const auto again = steps::made_from_json(kept);
      check(again && to_text(steps::to_json(*again)) == to_text(kept));
    }
  } else {
    check(!made.error().message.empty());
  }
  if (const auto made = steps::made_from_json(*result); !made) check(!made.error().message.empty());
  if (const auto plan = steps::plan_from_json(*result)) {
    const Json kept = steps::to_json(*plan);
    const auto again = steps::plan_from_json(kept);
    check(again && to_text(steps::to_json(*again)) == to_text(kept));
  }
  for (const std::string& note : steps::notes_from_json(*result)) check(clean_text(note) == note);
  return 0;
}
