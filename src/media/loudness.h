// Loudness of an audio track as it will be heard (mixed down, placed in time, trimmed): EBU R 128, with true
// peaks. Measured over the whole track, so that one fixed gain can be given; a title normalised this way
// cannot start early. Thread-safe.
#pragma once

#include <functional>
#include <stop_token>

#include "base/file.h"
#include "media/audio.h"

namespace spool::media {

struct Loudness {
  double integrated_lufs = -70;  // -70: silence
  double range_lu = 0;
  double true_peak_dbtp = -120;
};

// `stream` < 0: the best one. Errors: as AudioReader::open; kCorruptInput when nothing decodes; kCancelled.
[[nodiscard]] Result<Loudness> measure_loudness(ByteSource source, int stream, std::stop_token stop);
// Of what encode_audio() would make of the task without its gain. `progress` (0..1) may be empty.
[[nodiscard]] Result<Loudness> measure_loudness(ByteSource source, const AudioTask& task,
                                                const std::function<void(double fraction)>& progress,
                                                std::stop_token stop);

// The gain that brings the track to `target_lufs` without its true peak rising above `ceiling_dbtp`; 0 for
// silence.
[[nodiscard]] double normalising_gain_db(const Loudness& loudness, double target_lufs = -16,
                                         double ceiling_dbtp = -1);

}  // namespace spool::media
