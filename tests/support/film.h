// For tests: the first video track of a file as CMAF segments, as the planner would have them.
#pragma once

#include <fcntl.h>

#include <algorithm>
#include <filesystem>
#include <stdexcept>
#include <vector>

#include "av/input.h"
#include "base/file.h"
#include "media/cmaf.h"

namespace spool::test {

struct Packaged {
  media::CmafTrack track;
  std::vector<media::Sample> samples;
  media::Bytes init;
  std::vector<media::Segment> segments;
  std::string codecs;
};

// 90 kHz; dts[i] = i-th smallest pts - D; `frames` to a segment.
inline Packaged package_video(const std::filesystem::path& path, std::size_t frames) {
  auto input = av::Input::open(*file_source(*open_file(path, O_RDONLY), path.filename()));
  if (!input) throw std::runtime_error(input.error().message);
  Packaged out;
  AVStream* stream = input->get()->streams[0];
  const auto packet = av::make_packet();
  while (*input->read(*packet)) {
    if (packet->stream_index != 0) continue;
    media::Sample sample;
    sample.pts = av_rescale_q(packet->pts, stream->time_base, {1, 90000});
    sample.duration = av_rescale_q(packet->duration, stream->time_base, {1, 90000});
    sample.sync = (packet->flags & AV_PKT_FLAG_KEY) != 0;
    const auto bytes = std::as_bytes(std::span(packet->data, static_cast<std::size_t>(packet->size)));
    sample.data.assign(bytes.begin(), bytes.end());
    out.samples.push_back(std::move(sample));
  }
  std::vector<std::int64_t> sorted;
  for (const auto& s : out.samples) sorted.push_back(s.pts);
  std::ranges::sort(sorted);
  for (std::size_t i = 0; i < sorted.size(); ++i)
    out.track.shift = std::max(out.track.shift, sorted[i] - out.samples[i].pts);
  for (std::size_t i = 0; i < sorted.size(); ++i) out.samples[i].dts = sorted[i] - out.track.shift;
  out.init = *media::cmaf_init_segment(*stream->codecpar, out.track);
  out.codecs = *media::codec_string(*stream->codecpar);
  std::uint32_t sequence = 1;
  for (std::size_t i = 0; i < out.samples.size(); i += frames) {
    const auto part = std::span(out.samples).subspan(i, std::min(frames, out.samples.size() - i));
    auto segment = media::cmaf_segment(out.track, true, sequence, part);
    if (!segment) throw std::runtime_error(segment.error().message);
    sequence += static_cast<std::uint32_t>(segment->fragments.size());
    out.segments.push_back(std::move(*segment));
  }
  return out;
}

}  // namespace spool::test
