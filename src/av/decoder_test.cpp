#include "av/decoder.h"

#include <gtest/gtest.h>

#include "av/input.h"
#include "av/log.h"
#include "av/rational.h"
#include "corpus/corpus.h"

namespace spool::av {
namespace {

struct Counts {
  int frames = 0, keys = 0, damaged = 0;
  std::vector<int> numbers;
};

Counts decode_all(const std::string& file, const DecoderOptions& options) {
  const LogCapture quiet;
  Counts counts;
  auto input = Input::open(test::corpus(file)).value();
  const AVStream& stream = *input.get()->streams[0];
  Decoder decoder = Decoder::open(*stream.codecpar, stream.time_base, options).value();
  const Packet packet = make_packet();
  const Frame frame = make_frame();
  const auto receive_all = [&] {
    for (;;) {
      const auto got = decoder.receive(*frame);
      if (!got) {
        ++counts.damaged;
        continue;
      }
      if (*got != Decoder::Received::kFrame) return *got;
      ++counts.frames;
      counts.keys += frame->key_frame;
      counts.numbers.push_back(
          test::frame_number(frame->data[0], frame->linesize[0], frame->width, frame->height));
    }
  };
  while (input.read(*packet).value()) {
    if (packet->stream_index != 0) continue;
    const auto sent = decoder.send(packet.get());
    if (!sent)
      ++counts.damaged;
    else
      EXPECT_EQ(*sent, Decoder::Sent::kTaken);
    EXPECT_EQ(receive_all(), Decoder::Received::kNeedsInput);
  }
  EXPECT_TRUE(decoder.send(nullptr));
  EXPECT_EQ(receive_all(), Decoder::Received::kEnd);
  return counts;
}

TEST(Decoder, DecodesEveryFrameInOrder) {
  const Counts counts = decode_all("plain.mp4", {});
  ASSERT_EQ(counts.frames, 100);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(counts.numbers[static_cast<std::size_t>(i)], i);
  EXPECT_EQ(counts.damaged, 0);
}

TEST(Decoder, DecodesKeyframesAloneWhenAsked) {
  DecoderOptions options;
  options.skip_frame = AVDISCARD_NONKEY;
  const Counts counts = decode_all("plain.mp4", options);
  EXPECT_EQ(counts.frames, 4);
  EXPECT_EQ(counts.keys, 4);
}

TEST(Decoder, GoesOnBehindADamagedStretch) {
  const Counts counts = decode_all("damaged.mp4", {});
  EXPECT_GE(counts.frames, 70);
  EXPECT_LT(counts.frames, 100);
  EXPECT_EQ(counts.numbers.back(), 99);
}

TEST(Decoder, RefusesHugeClaimsBeforeItAllocates) {
  const CodecParameters claim(avcodec_parameters_alloc());
  claim->codec_type = AVMEDIA_TYPE_VIDEO;
  claim->codec_id = AV_CODEC_ID_H264;
  claim->width = claim->height = 20000;
  DecoderOptions options;
  options.name = "film.mp4";
  const auto decoder = Decoder::open(*claim, {1, 25}, options);
  ASSERT_FALSE(decoder);
  EXPECT_EQ(decoder.error().code, Code::kLimitExceeded);
  EXPECT_NE(decoder.error().message.find("film.mp4: its pictures claim to be 20000x20000"),
            std::string::npos);
}

TEST(Decoder, SaysThatThereIsNoDecoder) {
  const CodecParameters unknown(avcodec_parameters_alloc());
  unknown->codec_type = AVMEDIA_TYPE_DATA;
  unknown->codec_id = AV_CODEC_ID_BIN_DATA;
  const auto decoder = Decoder::open(*unknown, {1, 25});
  ASSERT_FALSE(decoder);
  EXPECT_EQ(decoder.error().code, Code::kUnsupported);
}

TEST(Decoder, SaysThatParametersMakeNoSense) {
  const LogCapture quiet;
  const CodecParameters wrong(avcodec_parameters_alloc());
  wrong->codec_type = AVMEDIA_TYPE_AUDIO;
  wrong->codec_id = AV_CODEC_ID_PCM_S16LE;  // without channels
  const auto decoder = Decoder::open(*wrong, {1, 48000});
  ASSERT_FALSE(decoder);
  EXPECT_EQ(decoder.error().code, Code::kCorruptInput);
}

TEST(Rational, TurnsTicksIntoSecondsAndNonsenseIntoNothing) {
  EXPECT_EQ(seconds(90000, {1, 90000}), 1.0);
  EXPECT_EQ(seconds(AV_NOPTS_VALUE, {1, 90000}), std::nullopt);
  EXPECT_EQ(seconds(1, {1, 0}), std::nullopt);
  EXPECT_EQ(seconds(1, {0, 1}), std::nullopt);
  EXPECT_EQ(ticks_of(1.5, {1, 1000}), 1500);
  EXPECT_EQ(ticks_of(-0.0015, {1, 1000}), -2);
  EXPECT_EQ(ticks_of(1e300, {1, 1000}), INT64_MAX);
}

}  // namespace
}  // namespace spool::av
