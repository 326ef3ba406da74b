// The parts of a probe's document that speak of one stream. Pure.
#pragma once

#include <string_view>

#include "av/handles.h"
#include "base/json.h"
#include "media/packet_survey.h"
#include "media/picture_evidence.h"

namespace spool::media {

// "video", "audio" ..., or "unknown".
[[nodiscard]] std::string_view type_name(const AVStream& stream);

// `pictures`: of the main video, else nullptr. `whole`: the survey saw all of the stream.
[[nodiscard]] Json stream_json(const AVStream& stream, const PacketSurvey& survey,
                               const PictureEvidence* pictures, bool whole, bool personal);

// Cleaned and cut; without location and device unless `personal`.
[[nodiscard]] Json tags_json(const AVDictionary* tags, bool personal);

// null for what is not said, not finite, or longer than a year either way.
[[nodiscard]] Json seconds_json(std::int64_t ticks, AVRational time_base);

}  // namespace spool::media
