// What a child says to its manager, from the bytes of its socket to the ending that is settled: no crash, no
// leak, and whatever is accepted says the same again.
#include <cstdint>
#include <cstdlib>

#include "executors/process/protocol.h"

namespace {

using namespace spool;
using namespace spool::process;

void take(const FromChild& message) {
  const auto again = decode_from_child(encode(message));
  if (!again || encode(*again) != encode(message)) std::abort();
  const auto* ended = std::get_if<Ended>(&message);
  if (ended == nullptr) return;
  Kind kind;
  kind.name = "transcode";
  kind.fan_out = {{"chunk", "exec"}, 4};
  Claim claim;
  claim.args = {{"input", "file:/in.mp4"}};
  Ending ending = ended->ending;
  if (check_ending(ending, claim, kind))
    if (const auto* fan_out = std::get_if<FanOut>(&ending))
      for (const NewJob& child : fan_out->children)
        if (child.kind != "chunk") std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (const auto message = decode_from_child(bytes)) take(*message);
  (void)decode_from_manager(bytes);
  FrameReader frames(1 << 16);
  frames.feed(bytes);
  for (;;) {
    const auto text = frames.next();
    if (!text || !*text) break;
    if (const auto message = decode_from_child(**text)) take(*message);
  }
  return 0;
}
