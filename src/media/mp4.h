// A progressive MP4 (or m4a) out of CMAF segments: moov first ("faststart"), computed from the segments' own
// tables, then one sequential copy of the samples. Memory holds the sample tables, never the media.
// Thread-safe; each call is its own.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <stop_token>

#include "base/error.h"
#include "base/file.h"
#include "media/sample.h"

namespace spool::media {

struct Mp4Track {
  Bytes init;
  std::size_t segments = 0;
  // Opens segment i (0, 1, ...); called twice for each.
  std::function<Result<ByteSource>(std::size_t index)> open;
};

struct Mp4Options {
  bool audio_only_brand = false;                 // m4a
  std::uint64_t wide_offsets_from = UINT32_MAX;  // files that reach beyond get 64-bit offsets (co64)
  std::function<void(double fraction)> progress = {};
};

// `write` gets the file from its first byte to its last. Samples are interleaved by segment; several audio
// tracks form one alternate group, of which the first is enabled. Errors: kCorruptInput, kUnsupported
// (segments that are not ours), kCancelled, those of `open` and `write`.
[[nodiscard]] Result<void> assemble_mp4(std::span<const Mp4Track> tracks,
                                        const std::function<Result<void>(std::span<const std::byte>)>& write,
                                        const Mp4Options& options, std::stop_token stop);

}  // namespace spool::media
