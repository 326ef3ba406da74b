// A film through scan, plan and every chunk, and what a decoder shows of the result.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <utility>
#include <vector>

#include "media/encode.h"
#include "media/encoder_options.h"
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

struct EncodeOrder {
  bool reverse = false;
};

inline EncodedFilm encode_film(const std::filesystem::path& path, const Ladder& ladder,
                               const PlanOptions& options = {}, EncodeOrder order = {}) {
  EncodedFilm film;
  const ByteSource source = open_video(path);
  const auto timeline = scan_timeline(source, {});
  if (!timeline) {
    ADD_FAILURE() << timeline.error().message;
    return film;
  }
  const auto plan = plan_film(*timeline, ladder, Speed::kFast, options);
  if (!plan) {
    ADD_FAILURE() << plan.error().message;
    return film;
  }
  film.plan = *plan;
  std::vector<Chunk> chunks = plan->chunks;
  if (order.reverse) std::reverse(chunks.begin(), chunks.end());
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
    const auto encoder = open_encoder(plan->film, plan->film.rungs[static_cast<std::size_t>(rung)]);
    if (!encoder) {
      ADD_FAILURE() << encoder.error().message;
      return film;
    }
    const auto* extra = reinterpret_cast<const std::byte*>((*encoder)->extradata);
    film.extradata[rung] = Bytes(extra, extra + (*encoder)->extradata_size);
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
      frames.push_back({frame->pts,
                        number_on(*frame),
                        {frame->width, frame->height},
                        average(0, frame->width, frame->height),
                        (average(1, frame->width / 2, frame->height / 2) +
                         average(2, frame->width / 2, frame->height / 2)) /
                            2,
                        frame->colorspace});
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

}  // namespace spool::media
