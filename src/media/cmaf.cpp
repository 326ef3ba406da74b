// Media segments: styp + (moof + mdat)... (ISO/IEC 14496-12 8.8, ISO/IEC 23000-19 7.3).
#include "media/cmaf.h"

#include <fmt/format.h>

#include <algorithm>

#include "media/box.h"

namespace spool::media {
namespace {

constexpr std::uint32_t kSync = 0x02000000;     // depends on no other sample
constexpr std::uint32_t kNotSync = 0x01010000;  // depends on others, is no sync sample

struct Run {
  std::span<const SampleView> samples;
  std::int64_t next_dts = 0;  // of the sample that follows the run
};

Result<void> check(const CmafTrack& track, bool video, std::span<const SampleView> samples) {
  if (samples.empty()) return fail(Code::kInternal, "a segment without samples");
  if (video && !samples.front().sync) return fail(Code::kInternal, "a video segment must begin with an IDR");
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const SampleView& s = samples[i];
    if (s.dts + track.shift < 0)
      return fail(Code::kInternal,
                  fmt::format("decode time {} is before the track's shift {}", s.dts, track.shift));
    if (s.pts < s.dts)
      return fail(Code::kInternal, fmt::format("pts {} before its decode time {}", s.pts, s.dts));
    if (i > 0 && s.dts <= samples[i - 1].dts)
      return fail(Code::kInternal,
                  fmt::format("decode times do not rise: {} after {}", s.dts, samples[i - 1].dts));
    if (video && s.sync && i + 1 < samples.size() && samples[i + 1].pts < s.pts)
      return fail(Code::kInternal, fmt::format("the GOP at pts {} is not closed", s.pts));
    if (s.duration <= 0)
      return fail(Code::kInternal, fmt::format("the sample at pts {} lasts {}", s.pts, s.duration));
  }
  return {};
}

std::uint32_t decode_duration(const Run& run, std::size_t i) {
  const std::int64_t next = i + 1 < run.samples.size() ? run.samples[i + 1].dts : run.next_dts;
  return static_cast<std::uint32_t>(next - run.samples[i].dts);
}

void write_run(BoxWriter& out, bool video, const Run& run, std::size_t& data_offset_at) {
  bool same_duration = true, any_offset = false;
  for (std::size_t i = 0; i < run.samples.size(); ++i) {
    same_duration = same_duration && decode_duration(run, i) == decode_duration(run, 0);
    any_offset = any_offset || run.samples[i].pts != run.samples[i].dts;
  }
  const std::uint32_t flags =
      0x1u | (video ? 0x4u : 0u) | (same_duration ? 0u : 0x100u) | 0x200u | (any_offset ? 0x800u : 0u);
  const auto trun = out.full_box("trun", 1, flags);
  out.u32(static_cast<std::uint32_t>(run.samples.size()));
  data_offset_at = out.size();
  out.u32(0);
  if (video) out.u32(run.samples.front().sync ? kSync : kNotSync);
  for (std::size_t i = 0; i < run.samples.size(); ++i) {
    const SampleView& s = run.samples[i];
    if (!same_duration) out.u32(decode_duration(run, i));
    out.u32(static_cast<std::uint32_t>(s.data.size()));
    if (any_offset) out.u32(static_cast<std::uint32_t>(s.pts - s.dts));
  }
}

void write_fragment(BoxWriter& out, const CmafTrack& track, bool video, std::uint32_t sequence,
                    const Run& run) {
  const std::size_t start = out.size();
  std::size_t data_offset_at = 0;
  {
    const auto moof = out.box("moof");
    {
      const auto mfhd = out.full_box("mfhd", 0, 0);
      out.u32(sequence);
    }
    const auto traf = out.box("traf");
    {
      // default-base-is-moof, default duration and flags
      const auto tfhd = out.full_box("tfhd", 0, 0x020028);
      out.u32(track.track_id);
      out.u32(decode_duration(run, 0));
      out.u32(video ? kNotSync : kSync);
    }
    {
      const auto tfdt = out.full_box("tfdt", 1, 0);
      out.u64(static_cast<std::uint64_t>(run.samples.front().dts + track.shift));
    }
    write_run(out, video, run, data_offset_at);
  }
  out.patch_u32(data_offset_at, static_cast<std::uint32_t>(out.size() - start + 8));
  const auto mdat = out.box("mdat");
  for (const SampleView& s : run.samples) out.raw(s.data);
}

}  // namespace

Result<Segment> cmaf_segment(const CmafTrack& track, bool video, std::uint32_t sequence,
                             std::span<const SampleView> samples) {
  SPOOL_TRY(check(track, video, samples));
  std::int64_t begin = samples.front().pts, end = 0;
  std::size_t bytes = 64;
  for (const SampleView& s : samples) {
    begin = std::min(begin, s.pts);
    end = std::max(end, s.pts + s.duration);
    bytes += s.data.size() + 16;
  }
  if (bytes > UINT32_MAX) return fail(Code::kLimitExceeded, "a segment of more than 4 GiB");
  // Where the next segment's decode times begin: its first pts is our end, and D is the same.
  const std::int64_t next_segment_dts = end - (begin - samples.front().dts);
  if (next_segment_dts <= samples.back().dts)
    return fail(Code::kInternal, "the last sample's decode time runs into the next segment");

  BoxWriter out;
  out.reserve(bytes + 4096);
  {
    const auto styp = out.box("styp");
    out.text("msdh");
    out.u32(0);
    for (const char* brand : {"msdh", "msix", "cmfs"}) out.text(brand);
  }
  Segment segment;
  segment.pts = video ? begin : std::max<std::int64_t>(begin, 0);
  segment.duration = end - segment.pts;
  for (std::size_t from = 0; from < samples.size(); ++sequence) {
    std::size_t to = from + 1;
    while (to < samples.size() && !(video && samples[to].sync)) ++to;
    const auto gop = samples.subspan(from, to - from);
    const std::int64_t next_gop_dts = to < samples.size() ? samples[to].dts : next_segment_dts;
    const bool split = video && gop.size() > 1;
    Fragment fragment;
    fragment.offset = static_cast<std::int64_t>(out.size());
    fragment.pts = gop.front().pts;
    write_fragment(out, track, video, 2 * sequence - 1,
                   {split ? gop.first(1) : gop, split ? gop[1].dts : next_gop_dts});
    fragment.bytes = static_cast<std::int64_t>(out.size()) - fragment.offset;
    if (split) write_fragment(out, track, video, 2 * sequence, {gop.subspan(1), next_gop_dts});
    if (!segment.fragments.empty())
      segment.fragments.back().duration = fragment.pts - segment.fragments.back().pts;
    segment.fragments.push_back(fragment);
    from = to;
  }
  segment.fragments.back().duration = end - segment.fragments.back().pts;
  segment.bytes = out.take();
  return segment;
}

Result<Segment> cmaf_segment(const CmafTrack& track, bool video, std::uint32_t sequence,
                             std::span<const Sample> samples) {
  std::vector<SampleView> views;
  views.reserve(samples.size());
  for (const Sample& s : samples) views.push_back({s.pts, s.dts, s.duration, s.sync, s.data});
  return cmaf_segment(track, video, sequence, views);
}

}  // namespace spool::media
