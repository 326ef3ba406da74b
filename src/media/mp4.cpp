#include "media/mp4.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "media/cmaf_read.h"
#include "media/sample_entry.h"

namespace spool::media {
namespace {

constexpr std::size_t kCopyBytes = 1 << 20;

struct Range {
  std::uint64_t offset = 0, size = 0;
};

// A segment's samples, which lie together in the file.
struct Chunk {
  std::size_t segment = 0;
  std::uint32_t samples = 0;
  std::uint64_t bytes = 0;
  double seconds = 0;  // of its first decode time; what chunks are ordered by
  std::vector<Range> ranges;
  std::uint64_t offset = 0;  // in the file
};

struct Run {
  std::uint32_t count = 0;
  std::int64_t value = 0;
};
void extend(std::vector<Run>& runs, std::int64_t value) {
  if (!runs.empty() && runs.back().value == value && runs.back().count < UINT32_MAX)
    ++runs.back().count;
  else
    runs.push_back({1, value});
}

struct Tables {
  InitSegment init;
  std::vector<Run> durations, compositions;
  std::vector<std::uint32_t> sizes, syncs;
  std::vector<Chunk> chunks;
  std::uint64_t begin = 0;                                // first decode time, as stored
  std::uint64_t end = 0;                                  // where the decode times have come to
  std::uint64_t shown_begin = UINT64_MAX, shown_end = 0;  // in the same time, by composition
  std::uint32_t last_duration = 0;
};

// A hole between fragments makes the sample before it longer.
Result<void> close_hole(Tables& t, std::uint64_t decode_time) {
  if (t.sizes.empty()) {
    t.begin = t.end = decode_time;
    return {};
  }
  if (decode_time < t.end || decode_time - t.end > UINT32_MAX)
    return fail(Code::kCorruptInput, fmt::format("decode time {} after {}", decode_time, t.end));
  if (decode_time == t.end) return {};
  if (--t.durations.back().count == 0) t.durations.pop_back();
  extend(t.durations, std::int64_t(t.last_duration) + std::int64_t(decode_time - t.end));
  t.end = decode_time;
  return {};
}

Result<void> add_segment(Tables& t, std::size_t index, const ByteSource& bytes) {
  SPOOL_ASSIGN(const auto fragments, read_segment(bytes));
  Chunk chunk;
  chunk.segment = index;
  for (const StoredFragment& fragment : fragments) {
    if (fragment.samples.empty()) continue;
    SPOOL_TRY(close_hole(t, fragment.decode_time));
    if (chunk.samples == 0) chunk.seconds = double(t.end) / t.init.timescale;
    for (const StoredSample& sample : fragment.samples) {
      if (!chunk.ranges.empty() && chunk.ranges.back().offset + chunk.ranges.back().size == sample.offset)
        chunk.ranges.back().size += sample.size;
      else
        chunk.ranges.push_back({sample.offset, sample.size});
      t.sizes.push_back(sample.size);
      if (sample.sync) t.syncs.push_back(static_cast<std::uint32_t>(t.sizes.size()));
      extend(t.durations, sample.duration);
      extend(t.compositions, sample.composition);
      const std::uint64_t shown = t.end + static_cast<std::uint64_t>(std::max(sample.composition, 0));
      t.shown_begin = std::min(t.shown_begin, shown);
      t.shown_end = std::max(t.shown_end, shown + sample.duration);
      t.end += sample.duration;
      t.last_duration = sample.duration;
      chunk.bytes += sample.size;
      ++chunk.samples;
    }
  }
  if (chunk.samples > 0) t.chunks.push_back(std::move(chunk));
  return {};
}

Result<Tables> read_track(const Mp4Track& track, const std::stop_token& stop) {
  Tables tables;
  SPOOL_ASSIGN(tables.init, read_init_segment(track.init));
  for (std::size_t i = 0; i < track.segments; ++i) {
    if (stop.stop_requested()) return fail(Code::kCancelled, "stopped while assembling the MP4");
    SPOOL_ASSIGN(const ByteSource bytes, track.open(i));
    SPOOL_TRY(add_segment(tables, i, bytes));
  }
  if (tables.sizes.empty()) return fail(Code::kCorruptInput, "a track without samples");
  return tables;
}

void write_runs(BoxWriter& out, const std::vector<Run>& runs) {
  out.u32(static_cast<std::uint32_t>(runs.size()));
  for (const Run& run : runs) {
    out.u32(run.count);
    out.u32(static_cast<std::uint32_t>(run.value));
  }
}

void write_chunk_tables(BoxWriter& out, const Tables& t, bool wide) {
  {
    const auto stsc = out.full_box("stsc", 0, 0);
    const std::size_t count_at = out.size();
    out.u32(0);
    std::uint32_t entries = 0, before = 0;
    for (std::size_t i = 0; i < t.chunks.size(); ++i) {
      if (t.chunks[i].samples == before) continue;
      before = t.chunks[i].samples;
      out.u32(static_cast<std::uint32_t>(i + 1));
      out.u32(before);
      out.u32(1);
      ++entries;
    }
    out.patch_u32(count_at, entries);
  }
  const auto offsets = wide ? out.full_box("co64", 0, 0) : out.full_box("stco", 0, 0);
  out.u32(static_cast<std::uint32_t>(t.chunks.size()));
  for (const Chunk& chunk : t.chunks)
    wide ? out.u64(chunk.offset) : out.u32(static_cast<std::uint32_t>(chunk.offset));
}

void write_sample_tables(BoxWriter& out, const Tables& t, bool wide) {
  const auto stbl = out.box("stbl");
  out.raw(t.init.sample_description);
  {
    const auto stts = out.full_box("stts", 0, 0);
    write_runs(out, t.durations);
  }
  if (t.compositions.size() > 1 || t.compositions.front().value != 0) {
    const auto ctts = out.full_box("ctts", 1, 0);
    write_runs(out, t.compositions);
  }
  if (t.syncs.size() < t.sizes.size()) {
    const auto stss = out.full_box("stss", 0, 0);
    out.u32(static_cast<std::uint32_t>(t.syncs.size()));
    for (const std::uint32_t sync : t.syncs) out.u32(sync);
  }
  {
    const auto stsz = out.full_box("stsz", 0, 0);
    out.u32(0);
    out.u32(static_cast<std::uint32_t>(t.sizes.size()));
    for (const std::uint32_t size : t.sizes) out.u32(size);
  }
  write_chunk_tables(out, t, wide);
}

// Stored times begin at `begin`; what is shown at 0 stands at `shift`. Exact where the movie's timescale is
// the track's.
TrackShape shape_of(const Tables& t, std::uint32_t id, std::uint32_t movie_timescale, bool enabled) {
  TrackShape shape;
  shape.track_id = id;
  shape.video = t.init.video;
  shape.enabled = enabled;
  shape.alternate_group = t.init.video ? 0 : 1;
  shape.timescale = t.init.timescale;
  shape.language = t.init.language;
  shape.width = t.init.width;
  shape.height = t.init.height;
  const auto movie = [&](std::uint64_t ticks) {
    return static_cast<std::uint64_t>(
        av_rescale(static_cast<std::int64_t>(ticks), movie_timescale, t.init.timescale));
  };
  const auto shift = static_cast<std::uint64_t>(t.init.shift);
  // What comes later than 0 is preceded by an empty edit, and then begins with its first frame.
  const std::uint64_t empty = t.shown_begin > shift ? t.shown_begin - shift : 0;
  const std::uint64_t media_time = empty > 0 ? t.shown_begin - t.begin : shift - std::min(shift, t.begin);
  const std::uint64_t shown = t.shown_end - t.begin - media_time;
  if (empty > 0) shape.edits.push_back({movie(empty), -1});
  shape.edits.push_back({movie(shown), static_cast<std::int64_t>(media_time)});
  shape.movie_duration = movie(empty) + movie(shown);
  shape.media_duration = t.end - t.begin;
  return shape;
}

Bytes movie_box(const std::vector<Tables>& tracks, bool wide) {
  std::uint32_t timescale = tracks.front().init.timescale;
  for (const Tables& t : tracks) {
    if (!t.init.video) timescale = t.init.timescale;
  }
  std::vector<TrackShape> shapes;
  std::uint64_t duration = 0;
  bool audio_seen = false;
  for (const Tables& t : tracks) {
    shapes.push_back(
        shape_of(t, static_cast<std::uint32_t>(shapes.size() + 1), timescale, t.init.video || !audio_seen));
    audio_seen = audio_seen || !t.init.video;
    duration = std::max(duration, shapes.back().movie_duration);
  }
  BoxWriter out;
  {
    const auto moov = out.box("moov");
    write_movie_header(out, timescale, duration, static_cast<std::uint32_t>(tracks.size() + 1));
    for (std::size_t i = 0; i < tracks.size(); ++i) {
      const auto trak = out.box("trak");
      write_track_headers(out, shapes[i]);
      const auto mdia = out.box("mdia");
      write_media_headers(out, shapes[i]);
      const auto minf = out.box("minf");
      write_media_information(out, shapes[i].video);
      write_sample_tables(out, tracks[i], wide);
    }
  }
  return out.take();
}

Bytes file_type(bool audio_only) {
  BoxWriter out;
  {
    const auto ftyp = out.box("ftyp");
    out.text(audio_only ? "M4A " : "mp42");
    out.u32(0);
    for (const char* brand : {"isom", "iso2", "mp41", "mp42"}) out.text(brand);
    if (audio_only) out.text("M4A ");
  }
  return out.take();
}

struct Placed {
  std::size_t track = 0;
  Chunk* chunk = nullptr;
};

std::vector<Placed> in_order(std::vector<Tables>& tracks) {
  std::vector<Placed> order;
  for (std::size_t i = 0; i < tracks.size(); ++i)
    for (Chunk& chunk : tracks[i].chunks) order.push_back({i, &chunk});
  std::ranges::stable_sort(order, {}, [](const Placed& p) { return p.chunk->seconds; });
  return order;
}

}  // namespace

Result<void> assemble_mp4(std::span<const Mp4Track> tracks,
                          const std::function<Result<void>(std::span<const std::byte>)>& write,
                          const Mp4Options& options, std::stop_token stop) {
  if (tracks.empty()) return fail(Code::kInvalidArgument, "an MP4 without tracks");
  std::vector<Tables> tables;
  for (const Mp4Track& track : tracks) {
    SPOOL_ASSIGN(Tables read, read_track(track, stop));
    tables.push_back(std::move(read));
  }
  const auto order = in_order(tables);
  std::uint64_t media = 0;
  for (const Placed& placed : order) media += placed.chunk->bytes;

  const Bytes ftyp = file_type(options.audio_only_brand);
  // Offsets do not change the size of the tables, only their width does.
  const std::size_t narrow = movie_box(tables, false).size();
  const bool wide = ftyp.size() + narrow + 16 + media > options.wide_offsets_from;
  const std::size_t moov_bytes = wide ? movie_box(tables, true).size() : narrow;
  std::uint64_t at = ftyp.size() + moov_bytes + 16;
  for (const Placed& placed : order) {
    placed.chunk->offset = at;
    at += placed.chunk->bytes;
  }
  SPOOL_TRY(write(ftyp));
  SPOOL_TRY(write(movie_box(tables, wide)));
  BoxWriter header;
  header.u32(1);
  header.text("mdat");
  header.u64(media + 16);
  SPOOL_TRY(write(header.take()));

  Bytes buffer;
  std::uint64_t copied = 0;
  for (const Placed& placed : order) {
    SPOOL_ASSIGN(const ByteSource bytes, tracks[placed.track].open(placed.chunk->segment));
    for (const Range& range : placed.chunk->ranges) {
      for (std::uint64_t done = 0; done < range.size; done += buffer.size()) {
        if (stop.stop_requested()) return fail(Code::kCancelled, "stopped while assembling the MP4");
        buffer.resize(static_cast<std::size_t>(std::min<std::uint64_t>(kCopyBytes, range.size - done)));
        SPOOL_TRY(read_exactly(bytes, range.offset + done, buffer));
        SPOOL_TRY(write(buffer));
        copied += buffer.size();
      }
    }
    if (options.progress) options.progress(double(copied) / double(std::max<std::uint64_t>(media, 1)));
  }
  return {};
}

}  // namespace spool::media
