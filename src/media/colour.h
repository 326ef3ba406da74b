// Colour: what the source's numbers mean, and what the output's will. Pure.
#pragma once

#include "media/picture.h"

namespace spool::media {

// Code points of ISO/IEC 23091-2. Output is always limited range.
struct OutputColour {
  int primaries = 1;
  int transfer = 1;
  int matrix = 1;
  bool operator==(const OutputColour&) const = default;
};

// SDR keeps its matrix and says so; what is not said is BT.709 from 720 lines on, BT.601 below; all else
// (PQ, HLG, BT.2020, RGB of high definition) becomes BT.709.
[[nodiscard]] OutputColour output_colour(const Picture& picture);

// True when the samples must be converted (by zscale), not just labelled.
[[nodiscard]] bool needs_colour_conversion(const Picture& picture);

}  // namespace spool::media
