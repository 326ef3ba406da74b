// Opens what the fuzzer makes as a film, probes it. Seeds: fuzz/make_probe_seeds.
#include "media/probe.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "av/log.h"

namespace {

spool::ByteSource memory(const std::uint8_t* data, std::size_t size) {
  return {[data, size](std::uint64_t offset, std::span<std::byte> into) -> spool::Result<std::size_t> {
            if (offset >= size) return std::size_t{0};
            const std::size_t n = std::min<std::size_t>(into.size(), size - offset);
            std::memcpy(into.data(), data + offset, n);
            return n;
          },
          size, "fuzz"};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > (1u << 20)) return 0;
  const spool::av::LogCapture quiet;
  spool::media::ProbeOptions options;
  options.most_packets = 200;
  options.decoded_frames = 4;
  options.most_pixels = 1 << 20;
  if (const auto found = spool::media::probe(memory(data, size), options, {})) {
    // What a job reports is valid JSON of bounded size, whatever the file holds.
    const std::string text = spool::to_text(*found);
    if (text.size() > (256u << 10) || !spool::parse_json(text)) std::abort();
  }
  return 0;
}
