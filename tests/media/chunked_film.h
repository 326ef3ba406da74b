// A film through scan, plan and every chunk, and what a decoder shows of the result.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <numeric>
#include <utility>
#include <vector>

#include "media/encode.h"
#include "media/made_video.h"
#include "media/numbered_video.h"

namespace spool::media {

inline Ladder small_ladder() {
  Ladder ladder;
  ladder.name = "test";
  ladder.rungs = {{"180p", 180, VideoCodec::kH264, 20, 4'000'000, 8'000'000},
                  {"120p", 120, VideoCodec::kH264, 20, 600'000, 1'200'000}};
  return ladder;
}

struct EncodedFilm {
  FilmPlan plan;
  std::map<std::pair<int, int>, EncodedSegment> segments;  // by rung and number
  std::map<int, Bytes> extradata;
  std::vector<Damage> damage;
};

struct EncodeHow {
  bool reverse = false;
  bool unchunked = false;  // one chunk has all frames and rungs; the segments are the same
  Speed speed = Speed::kFast;
};

inline std::vector<Chunk> as_one(const FilmPlan& plan) {
  Chunk whole = plan.chunks.front();
  whole.rungs.resize(plan.film.rungs.size());
  std::iota(whole.rungs.begin(), whole.rungs.end(), 0);
  for (const Chunk& chunk : plan.chunks) {
    EXPECT_TRUE(chunk.pts.empty()) << "not at a constant rate";
    if (chunk.begin != whole.end) continue;
    whole.end = chunk.end;
    whole.frames += chunk.frames;
    whole.segments.insert(whole.segments.end(), chunk.segments.begin(), chunk.segments.end());
  }
  EXPECT_EQ(whole.frames, plan.frames);
  return {whole};
}

inline EncodedFilm encode_film(const std::filesystem::path& path, const Ladder& ladder,
                               const PlanOptions& options = {}, EncodeHow how = {}) {
  EncodedFilm film;
  const ByteSource source = open_video(path);
  const auto timeline = scan_timeline(source, {});
  if (!timeline) {
    ADD_FAILURE() << timeline.error().message;
    return film;
  }
  const auto plan = plan_film(*timeline, ladder, how.speed, options);
  if (!plan) {
    ADD_FAILURE() << plan.error().message;
    return film;
  }
  film.plan = *plan;
  std::vector<Chunk> chunks = how.unchunked ? as_one(*plan) : plan->chunks;
  if (how.reverse) std::reverse(chunks.begin(), chunks.end());
  for (const Chunk& chunk : chunks) {
    // As a job would get it.
    const auto task = chunk_task_from_json(to_json(ChunkTask{plan->film, chunk}));
    if (!task) {
      ADD_FAILURE() << task.error().message;
      return film;
    }
    const auto keep = [&](EncodedSegment segment) -> Result<void> {
      const std::pair key(segment.rung, segment.index);
      EXPECT_TRUE(film.segments.emplace(key, std::move(segment)).second) << key.first << " " << key.second;
      return {};
    };
    const auto output = encode_chunk(source, *task, {keep, {}}, {});
    if (!output) {
      ADD_FAILURE() << output.error().message;
      return film;
    }
    film.damage.insert(film.damage.end(), output->damage.begin(), output->damage.end());
  }
  for (int rung = 0; rung < static_cast<int>(plan->film.rungs.size()); ++rung) {
    const auto parameters = encoder_parameters(plan->film, rung);
    if (!parameters) {
      ADD_FAILURE() << parameters.error().message;
      return film;
    }
    const auto* extra = reinterpret_cast<const std::byte*>((*parameters)->extradata);
    film.extradata[rung] = Bytes(extra, extra + (*parameters)->extradata_size);
  }
  return film;
}

struct DecodedFrame {
  std::int64_t pts = 0;
  int number = 0;
  Size size;
  double luma = 0;  // averages
  double chroma = 0;
  int matrix = 0;
  std::vector<std::uint8_t> picture;  // its luma, line by line
};

// One decoder over all segments, in order: what a player that never switches does.
inline std::vector<DecodedFrame> decode_rung(const EncodedFilm& film, int rung) {
  std::vector<DecodedFrame> frames;
  if (film.plan.film.rungs.empty()) return frames;
  const bool hevc = film.plan.film.rungs[static_cast<std::size_t>(rung)].rung.codec == VideoCodec::kHevc;
  const AVCodec* codec = avcodec_find_decoder(hevc ? AV_CODEC_ID_HEVC : AV_CODEC_ID_H264);
  const av::CodecContext decoder(avcodec_alloc_context3(codec));
  decoder->thread_count = 1;
  const Bytes& extra = film.extradata.at(rung);
  decoder->extradata = static_cast<std::uint8_t*>(av_mallocz(extra.size() + AV_INPUT_BUFFER_PADDING_SIZE));
  std::transform(extra.begin(), extra.end(), decoder->extradata,
                 [](std::byte b) { return std::to_integer<std::uint8_t>(b); });
  decoder->extradata_size = static_cast<int>(extra.size());
  EXPECT_GE(avcodec_open2(decoder.get(), codec, nullptr), 0);
  const av::Frame frame = av::make_frame();
  const auto receive = [&] {
    while (avcodec_receive_frame(decoder.get(), frame.get()) >= 0) {
      EXPECT_EQ(frame->decode_error_flags, 0);
      const auto average = [&](int plane, int width, int height) {
        double sum = 0;
        for (int y = 0; y < height; ++y)
          for (int x = 0; x < width; ++x) sum += frame->data[plane][y * frame->linesize[plane] + x];
        return sum / width / height;
      };
      std::vector<std::uint8_t> picture;
      for (int y = 0; y < frame->height; ++y) {
        const std::uint8_t* line = frame->data[0] + static_cast<std::ptrdiff_t>(y) * frame->linesize[0];
        picture.insert(picture.end(), line, line + frame->width);
      }
      frames.push_back({frame->pts,
                        number_on(*frame),
                        {frame->width, frame->height},
                        average(0, frame->width, frame->height),
                        (average(1, frame->width / 2, frame->height / 2) +
                         average(2, frame->width / 2, frame->height / 2)) /
                            2,
                        frame->colorspace,
                        std::move(picture)});
    }
  };
  for (const auto& [key, segment] : film.segments) {
    if (key.first != rung) continue;
    for (const Sample& sample : segment.samples) {
      const av::Packet packet = av::make_packet();
      EXPECT_GE(av_new_packet(packet.get(), static_cast<int>(sample.data.size())), 0);
      // Four-byte lengths are as long as start codes.
      std::transform(sample.data.begin(), sample.data.end(), packet->data,
                     [](std::byte b) { return std::to_integer<std::uint8_t>(b); });
      for (std::size_t at = 0; at + 4 <= sample.data.size();) {
        std::size_t size = 0;
        for (std::size_t i = 0; i < 4; ++i)
          size = size << 8 | std::to_integer<std::size_t>(sample.data[at + i]);
        const std::uint8_t start[] = {0, 0, 0, 1};
        std::copy_n(start, 4, packet->data + at);
        at += 4 + size;
      }
      packet->pts = sample.pts;
      packet->dts = sample.dts;
      EXPECT_GE(avcodec_send_packet(decoder.get(), packet.get()), 0);
      receive();
    }
  }
  avcodec_send_packet(decoder.get(), nullptr);
  receive();
  return frames;
}

// Every frame is there once, in its place, showing what it should.
inline void expect_continuous(const EncodedFilm& film, int rung, int first_number = 0) {
  const std::vector<DecodedFrame> frames = decode_rung(film, rung);
  ASSERT_EQ(static_cast<std::int64_t>(frames.size()), film.plan.frames);
  for (std::size_t i = 0; i < frames.size(); ++i) {
    ASSERT_EQ(frames[i].pts, static_cast<std::int64_t>(i) * film.plan.film.clock.frame_ticks);
    ASSERT_EQ(frames[i].number, first_number + static_cast<int>(i)) << "in rung " << rung;
  }
}

// Peak signal to noise, in decibels.
inline double psnr(const std::vector<std::uint8_t>& shown, const std::vector<std::uint8_t>& wanted) {
  EXPECT_EQ(shown.size(), wanted.size());
  double squares = 0;
  for (std::size_t i = 0; i < std::min(shown.size(), wanted.size()); ++i)
    squares += (shown[i] - wanted[i]) * (shown[i] - wanted[i]);
  return 10 * std::log10(255.0 * 255.0 * static_cast<double>(shown.size()) / std::max(squares, 1.0));
}

// Chunked and unchunked have the same frames at the same times. In the second around each join those are as
// good as these to a decibel, and each is as good as the worst of these anywhere. (A chunk's first frame
// alone is up to about three decibels below what a rate control that has seen the film gives it.) `wanted`:
// the luma of frame i.
inline void expect_like_unchunked(const EncodedFilm& chunked, const EncodedFilm& unchunked,
                                  const std::function<std::vector<std::uint8_t>(std::size_t i)>& wanted) {
  constexpr std::size_t kNear = 12;  // frames on either side
  const std::vector<DecodedFrame> frames = decode_rung(chunked, 0), others = decode_rung(unchunked, 0);
  ASSERT_EQ(frames.size(), others.size());
  std::vector<double> chunked_db, unchunked_db;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    ASSERT_EQ(frames[i].pts, others[i].pts);
    const auto source = wanted(i);
    unchunked_db.push_back(psnr(others[i].picture, source));
    chunked_db.push_back(psnr(frames[i].picture, source));
  }
  const double worst = *std::min_element(unchunked_db.begin(), unchunked_db.end());
  int joins = 0;
  for (const Chunk& chunk : chunked.plan.chunks) {
    if (chunk.begin == 0) continue;
    ++joins;
    const auto join = static_cast<std::size_t>(chunk.begin / chunked.plan.film.clock.frame_ticks);
    const std::size_t first = join - kNear, last = std::min(join + kNear, frames.size() - 1);
    double loss = 0;
    for (std::size_t i = first; i <= last; ++i) {
      EXPECT_GT(chunked_db[i], worst - 1.0) << "frame " << i;
      loss += (unchunked_db[i] - chunked_db[i]) / static_cast<double>(last - first + 1);
    }
    EXPECT_LT(loss, 1.0) << "around frame " << join;
  }
  EXPECT_GE(joins, 3);
}

}  // namespace spool::media
