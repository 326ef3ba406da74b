// PictureEvidence: what only decoded pictures tell: fields, reordering, light levels. One thread at a time.
#pragma once

#include "av/handles.h"
#include "base/json.h"

namespace spool::media {

class PictureEvidence {
 public:
  void add(const AVFrame& frame);
  [[nodiscard]] int frames() const { return frames_; }
  // {"scan": "progressive" | "tff" | "bff" | "mixed", "flagged": frames that say they are interlaced,
  // "combed": frames that
  //  look it, "repeated_fields", "types": "IPB..."}
  [[nodiscard]] Json scan() const;
  // {"primaries", ...} of the first frame
  [[nodiscard]] const Json& colour() const { return colour_; }
  // null, or {"transfer": "pq" | "hlg", "mastering": {...}, "max_cll", "max_fall"}; without Dolby Vision
  [[nodiscard]] const Json& light() const { return light_; }

 private:
  void look_for_combs(const AVFrame& frame);

  int frames_ = 0, flagged_ = 0, top_first_ = 0, combed_ = 0, looked_at_ = 0, repeated_ = 0;
  std::string types_;
  Json colour_, light_;
};

// Names of code points (ISO/IEC 23091-2); null where it is not said.
[[nodiscard]] Json colour_json(int primaries, int transfer, int matrix, int range, int chroma_location);

}  // namespace spool::media
