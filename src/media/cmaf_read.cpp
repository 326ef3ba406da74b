#include "media/cmaf_read.h"

#include <fmt/format.h>

#include <algorithm>

#include "media/box.h"
#include "media/sample_entry.h"

namespace spool::media {
namespace {

using View = std::span<const std::byte>;
constexpr std::uint64_t kMostMoofBytes = 64 << 20;

tl::unexpected<Error> cut_off(const char* box) {
  return fail(Code::kCorruptInput, fmt::format("the '{}' box is cut off", box));
}

// Version 0 has 32-bit times, version 1 64-bit ones.
Result<void> read_track_header(View body, InitSegment& init) {
  FieldReader in(body);
  const bool wide = in.u8() == 1;
  in.skip(3 + (wide ? 16 : 8));
  init.track_id = in.u32();
  in.skip(4 + (wide ? 8 : 4) + 16 + 36);
  init.width = static_cast<int>(in.u32() >> 16);
  init.height = static_cast<int>(in.u32() >> 16);
  if (!in.ok()) return cut_off("tkhd");
  return {};
}

Result<void> read_media_header(View body, InitSegment& init) {
  FieldReader in(body);
  const bool wide = in.u8() == 1;
  in.skip(3 + (wide ? 16 : 8));
  init.timescale = in.u32();
  in.skip(wide ? 8 : 4);
  const unsigned packed = in.u16();
  if (!in.ok() || init.timescale == 0) return cut_off("mdhd");
  for (std::size_t i = 0; i < 3; ++i)
    init.language[i] = static_cast<char>((packed >> (10 - 5 * i) & 0x1f) + 0x60);
  return {};
}

Result<void> read_edits(View trak, InitSegment& init) {
  const std::uint32_t path[] = {fourcc("edts"), fourcc("elst")};
  const auto elst = find_box(trak, path);
  if (!elst) return {};  // no edit: no shift
  FieldReader in(elst->body);
  const bool wide = in.u8() == 1;
  in.skip(3);
  if (in.u32() != 1) return fail(Code::kUnsupported, "an edit list that is not one edit");
  in.skip(wide ? 8 : 4);
  init.shift = wide ? static_cast<std::int64_t>(in.u64()) : static_cast<std::int32_t>(in.u32());
  if (!in.ok() || init.shift < 0) return cut_off("elst");
  return {};
}

// The AudioSpecificConfig inside an esds: tags 3, 4, 5 nested.
View audio_config(View esds) {
  FieldReader in(esds);
  in.skip(4);
  for (;;) {
    const int tag = in.u8();
    std::size_t length = 0;
    for (int i = 0; i < 4; ++i) {
      const unsigned byte = in.u8();
      length = length << 7 | (byte & 0x7f);
      if ((byte & 0x80) == 0) break;
    }
    if (!in.ok()) return {};
    if (tag == 3) {
      in.skip(3);
    } else if (tag == 4) {
      in.skip(13);
    } else if (tag == 5) {
      return in.take(length);
    } else {
      in.skip(length);
    }
  }
}

Result<void> read_sample_entry(const Box& stsd, InitSegment& init) {
  FieldReader in(stsd.body);
  in.skip(8);
  SPOOL_ASSIGN(const auto entries, boxes_in(in.rest()));
  if (entries.size() != 1) return fail(Code::kUnsupported, "a sample description that is not one entry");
  const Box& entry = entries.front();
  FieldReader fields(entry.body);
  View record;
  if (entry.type == fourcc("avc1") || entry.type == fourcc("hvc1")) {
    fields.skip(78);
    const std::uint32_t path[] = {entry.type == fourcc("avc1") ? fourcc("avcC") : fourcc("hvcC")};
    SPOOL_ASSIGN(const Box configuration, find_box(fields.rest(), path));
    record = configuration.body;
  } else if (entry.type == fourcc("mp4a")) {
    fields.skip(16);
    init.channels = fields.u16();
    fields.skip(6);
    init.sample_rate = fields.u32() >> 16;
    const std::uint32_t path[] = {fourcc("esds")};
    SPOOL_ASSIGN(const Box esds, find_box(fields.rest(), path));
    record = audio_config(esds.body);
  } else {
    return fail(Code::kUnsupported, fmt::format("a sample entry '{}'", fourcc_text(entry.type)));
  }
  SPOOL_ASSIGN(init.codecs, codec_string_of_record(entry.type, record));
  return {};
}

struct FragmentHeader {
  std::uint32_t default_duration = 0, default_size = 0, default_flags = 0;
};

Result<FragmentHeader> read_fragment_header(View body) {
  FieldReader in(body);
  in.skip(1);
  const auto flags = static_cast<std::uint32_t>(in.read(3));
  FragmentHeader header;
  in.skip(4);
  if ((flags & 0x1) != 0) return fail(Code::kUnsupported, "a 'tfhd' with a base data offset");
  if ((flags & 0x2) != 0) in.skip(4);
  if ((flags & 0x8) != 0) header.default_duration = in.u32();
  if ((flags & 0x10) != 0) header.default_size = in.u32();
  if ((flags & 0x20) != 0) header.default_flags = in.u32();
  if (!in.ok()) return cut_off("tfhd");
  return header;
}

Result<void> read_run(View body, const FragmentHeader& header, std::uint64_t moof, StoredFragment& fragment) {
  FieldReader in(body);
  in.skip(1);
  const auto flags = static_cast<std::uint32_t>(in.read(3));
  const std::uint32_t count = in.u32();
  std::uint64_t offset = moof;
  if ((flags & 0x1) != 0) offset += in.u32();
  std::uint32_t first_flags = header.default_flags;
  if ((flags & 0x4) != 0) first_flags = in.u32();
  const std::size_t width = 4 * static_cast<std::size_t>(((flags >> 8) & 1) + ((flags >> 9) & 1) +
                                                         ((flags >> 10) & 1) + ((flags >> 11) & 1));
  if (!in.ok() || (width > 0 && count > in.rest().size() / width)) return cut_off("trun");
  if (width == 0) return fail(Code::kUnsupported, "a 'trun' without sizes");
  for (std::uint32_t i = 0; i < count; ++i) {
    StoredSample sample;
    sample.duration = (flags & 0x100) != 0 ? in.u32() : header.default_duration;
    sample.size = (flags & 0x200) != 0 ? in.u32() : header.default_size;
    const std::uint32_t own = (flags & 0x400) != 0 ? in.u32() : i == 0 ? first_flags : header.default_flags;
    sample.composition = (flags & 0x800) != 0 ? static_cast<std::int32_t>(in.u32()) : 0;
    sample.sync = (own & 0x10000) == 0;
    sample.offset = offset;
    offset += sample.size;
    fragment.samples.push_back(sample);
  }
  return {};
}

Result<StoredFragment> read_movie_fragment(const Box& moof) {
  const std::uint32_t mfhd[] = {fourcc("mfhd")}, traf[] = {fourcc("traf")}, tfhd[] = {fourcc("tfhd")},
                      tfdt[] = {fourcc("tfdt")};
  StoredFragment fragment;
  fragment.offset = moof.offset;
  SPOOL_ASSIGN(const Box header, find_box(moof.body, mfhd));
  FieldReader sequence(header.body);
  sequence.skip(4);
  fragment.sequence = sequence.u32();
  SPOOL_ASSIGN(const Box track, find_box(moof.body, traf));
  SPOOL_ASSIGN(const Box defaults, find_box(track.body, tfhd));
  SPOOL_ASSIGN(const FragmentHeader values, read_fragment_header(defaults.body));
  SPOOL_ASSIGN(const Box time, find_box(track.body, tfdt));
  FieldReader in(time.body);
  const bool wide = in.u8() == 1;
  in.skip(3);
  fragment.decode_time = wide ? in.u64() : in.u32();
  if (!in.ok() || !sequence.ok()) return cut_off("tfdt");
  SPOOL_ASSIGN(const auto boxes, boxes_in(track.body));
  for (const Box& box : boxes) {
    if (box.type == fourcc("trun")) SPOOL_TRY(read_run(box.body, values, moof.offset, fragment));
  }
  return fragment;
}

}  // namespace

Result<InitSegment> read_init_segment(View bytes) {
  const std::uint32_t to_trak[] = {fourcc("moov"), fourcc("trak")}, to_tkhd[] = {fourcc("tkhd")},
                      to_mdhd[] = {fourcc("mdia"), fourcc("mdhd")},
                      to_hdlr[] = {fourcc("mdia"), fourcc("hdlr")}, to_stsd[] = {fourcc("stsd")},
                      to_stbl[] = {fourcc("mdia"), fourcc("minf"), fourcc("stbl")};
  InitSegment init;
  SPOOL_ASSIGN(const Box trak, find_box(bytes, to_trak));
  SPOOL_ASSIGN(const Box tkhd, find_box(trak.body, to_tkhd));
  SPOOL_TRY(read_track_header(tkhd.body, init));
  SPOOL_ASSIGN(const Box mdhd, find_box(trak.body, to_mdhd));
  SPOOL_TRY(read_media_header(mdhd.body, init));
  SPOOL_ASSIGN(const Box hdlr, find_box(trak.body, to_hdlr));
  FieldReader handler(hdlr.body);
  handler.skip(8);
  init.video = handler.u32() == fourcc("vide");
  SPOOL_TRY(read_edits(trak.body, init));
  SPOOL_ASSIGN(const Box stbl, find_box(trak.body, to_stbl));
  SPOOL_ASSIGN(const Box stsd, find_box(stbl.body, to_stsd));
  SPOOL_TRY(read_sample_entry(stsd, init));
  const View whole = stbl.body.subspan(stsd.offset, stsd.size);
  init.sample_description.assign(whole.begin(), whole.end());
  return init;
}

namespace {
Result<void> samples_lie_within(const std::vector<StoredFragment>& fragments, std::uint64_t size) {
  for (const StoredFragment& fragment : fragments) {
    for (const StoredSample& sample : fragment.samples) {
      if (sample.offset > size || sample.size > size - sample.offset)
        return fail(Code::kCorruptInput,
                    fmt::format("a sample of fragment {} lies outside", fragment.sequence));
    }
  }
  return {};
}
}  // namespace

Result<std::vector<StoredFragment>> read_segment(View bytes) {
  SPOOL_ASSIGN(const auto boxes, boxes_in(bytes));
  std::vector<StoredFragment> fragments;
  for (const Box& box : boxes) {
    if (box.type == fourcc("moof")) {
      SPOOL_ASSIGN(StoredFragment fragment, read_movie_fragment(box));
      fragments.push_back(std::move(fragment));
    }
    if (!fragments.empty()) fragments.back().size = box.offset + box.size - fragments.back().offset;
  }
  SPOOL_TRY(samples_lie_within(fragments, bytes.size()));
  return fragments;
}

Result<std::vector<StoredFragment>> read_segment(const ByteSource& segment) {
  std::vector<StoredFragment> fragments;
  Bytes box;
  for (std::uint64_t at = 0; at < segment.size;) {
    box.resize(static_cast<std::size_t>(std::min<std::uint64_t>(16, segment.size - at)));
    SPOOL_TRY(read_exactly(segment, at, box));
    FieldReader header(box);
    std::uint64_t size = header.u32();
    const std::uint32_t type = header.u32();
    if (size == 1) size = header.u64();
    if (!header.ok() || size < 8 || size > segment.size - at)
      return fail(Code::kCorruptInput, fmt::format("{}: a box at byte {} does not fit", segment.name, at));
    if (type == fourcc("moof")) {
      if (size > kMostMoofBytes)
        return fail(Code::kLimitExceeded, fmt::format("{}: a huge moof", segment.name));
      box.resize(static_cast<std::size_t>(size));
      SPOOL_TRY(read_exactly(segment, at, box));
      BoxReader reader(box);
      SPOOL_ASSIGN(auto moof, reader.next());
      moof->offset = static_cast<std::size_t>(at);
      SPOOL_ASSIGN(StoredFragment fragment, read_movie_fragment(*moof));
      fragments.push_back(std::move(fragment));
    }
    at += size;
    if (!fragments.empty()) fragments.back().size = at - fragments.back().offset;
  }
  SPOOL_TRY(samples_lie_within(fragments, segment.size));
  return fragments;
}

Result<void> read_exactly(const ByteSource& source, std::uint64_t offset, std::span<std::byte> into) {
  for (std::size_t done = 0; done < into.size();) {
    SPOOL_ASSIGN(const std::size_t got, source.read_at(offset + done, into.subspan(done)));
    if (got == 0) return fail(Code::kCorruptInput, fmt::format("{}: shorter than it was", source.name));
    done += got;
  }
  return {};
}

}  // namespace spool::media
