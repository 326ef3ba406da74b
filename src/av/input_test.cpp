#include "av/input.h"

#include <gtest/gtest.h>

#include "av/file_shape.h"
#include "av/log.h"
#include "corpus/corpus.h"

namespace spool::av {
namespace {

using test::corpus;
using test::memory_source;

Error refusal(ByteSource source) {
  auto input = Input::open(std::move(source));
  if (input) ADD_FAILURE() << "was opened";
  return input ? Error{} : input.error();
}

void expect_refused(const std::string& file, Code code, const std::string& words) {
  SCOPED_TRACE(file);
  const Error error = refusal(corpus(file));
  EXPECT_EQ(error.code, code) << error.message;
  EXPECT_NE(error.message.find(words), std::string::npos) << error.message;
  EXPECT_NE(error.message.find(file), std::string::npos) << "names the file: " << error.message;
}

TEST(Input, OpensAVideoAndReadsEveryPacket) {
  auto input = Input::open(corpus("plain.mp4"));
  ASSERT_TRUE(input) << input.error().message;
  ASSERT_EQ(input->get()->nb_streams, 2u);
  const Packet packet = make_packet();
  int video = 0;
  for (;;) {
    auto more = input->read(*packet);
    ASSERT_TRUE(more) << more.error().message;
    if (!*more) break;
    video += packet->stream_index == 0;
  }
  EXPECT_EQ(video, 100);
}

// One that fails once, at its n-th read, and goes on as if nothing had been.
Result<int> packets_of(const std::filesystem::path& path, int n) {
  ByteSource source = test::source_of(path);
  source.read_at = [read = source.read_at, n](std::uint64_t offset,
                                              std::span<std::byte> into) mutable -> Result<std::size_t> {
    if (n-- == 0) return fail(Code::kUnavailable, "the service is away");
    return read(offset, into);
  };
  SPOOL_ASSIGN(Input input, Input::open(std::move(source)));
  const Packet packet = make_packet();
  for (int count = 0;; ++count) {
    SPOOL_ASSIGN(const bool more, input.read(*packet));
    if (!more) return count;
  }
}

TEST(Input, AnErrorOfTheSourceIsNeverTakenForDamageOrAnEnd) {
  for (const char* file : {"plain.mp4", "vp9.webm", "mpegts.ts", "fragmented.mp4"}) {
    SCOPED_TRACE(file);
    const auto path = test::corpus_file(file);
    const int all = packets_of(path, -1).value();
    int n = 0;
    for (;; ++n) {
      const auto packets = packets_of(path, n);
      if (packets) {
        EXPECT_EQ(*packets, all) << n;
        break;
      }
      ASSERT_EQ(packets.error().message, "the service is away") << n;
    }
    EXPECT_GT(n, 2) << "it was read in pieces";
  }
}

TEST(Input, RefusesAPlaylistPosingAsAVideo) {
  expect_refused("hls_playlist.mp4", Code::kUnsupported, "HLS or M3U playlist");
}
TEST(Input, RefusesAConcatScript) {
  expect_refused("concat_script.mp4", Code::kUnsupported, "concat script");
}
TEST(Input, RefusesAnSdp) {
  expect_refused("session.sdp", Code::kUnsupported, "SDP");
}
TEST(Input, RefusesADashManifest) {
  expect_refused("dash_manifest.mp4", Code::kUnsupported, "DASH manifest");
}
TEST(Input, SaysThatAFileIsEmpty) {
  expect_refused("empty.mp4", Code::kCorruptInput, "the file is empty");
}
TEST(Input, SaysThatAFileIsText) {
  expect_refused("text.mp4", Code::kCorruptInput, "text file");
}
TEST(Input, SaysThatTheUploadOfAnMp4WithoutMoovIsIncomplete) {
  expect_refused("truncated_without_moov.mp4", Code::kCorruptInput, "no moov: the upload is incomplete");
}
TEST(Input, RefusesHugeClaimsBeforeAnythingIsDecoded) {
  expect_refused("huge_claim.mp4", Code::kLimitExceeded, "20000x20000");
  expect_refused("huge_claim.gif", Code::kLimitExceeded, "20000x20000");
}

TEST(Input, RefusesAPlaylistBehindAByteOrderMarkAndBlanks) {
  EXPECT_EQ(refusal(memory_source("\xEF\xBB\xBF \n#EXTM3U\n")).code, Code::kUnsupported);
}

TEST(Input, RefusesNoise) {
  std::string noise(10000, '\0');
  unsigned state = 1;
  for (char& c : noise) c = static_cast<char>((state = state * 1664525u + 1013904223u) >> 24);
  EXPECT_EQ(refusal(memory_source(noise, "noise.bin")).code, Code::kCorruptInput);
}

TEST(Input, SaysThatAStillPictureIsNotAccepted) {
  const Error error =
      refusal(memory_source(std::string("\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16) + std::string(100, '\0')));
  EXPECT_EQ(error.code, Code::kUnsupported);
  EXPECT_NE(error.message.find("still pictures"), std::string::npos) << error.message;
}

TEST(Input, OpensNoOtherFileThatAReferenceNames) {
  auto input = Input::open(corpus("external_reference.mov"));
  ASSERT_TRUE(input) << input.error().message;
  const Packet packet = make_packet();
  const auto more = input->read(*packet);
  ASSERT_TRUE(more) << more.error().message;
  EXPECT_FALSE(*more) << "the media would lie in the other file";
}

TEST(Input, PassesTheErrorOfItsSourceOn) {
  ByteSource source = corpus("plain.mp4");
  source.read_at = [](std::uint64_t, std::span<std::byte>) -> Result<std::size_t> {
    return fail(Code::kUnavailable, "the store is away");
  };
  EXPECT_EQ(refusal(std::move(source)), (Error{Code::kUnavailable, "the store is away"}));
}

TEST(Input, PassesALateErrorOfItsSourceOn) {
  ByteSource source = corpus("plain.mp4");
  auto broken = std::make_shared<bool>(false);
  source.read_at = [inner = source.read_at, broken](std::uint64_t at,
                                                    std::span<std::byte> into) -> Result<std::size_t> {
    if (*broken) return fail(Code::kUnavailable, "the store went away");
    return inner(at, into);
  };
  auto input = Input::open(std::move(source));
  ASSERT_TRUE(input);
  *broken = true;
  const Packet packet = make_packet();
  for (;;) {
    auto more = input->read(*packet);
    if (!more) {
      EXPECT_EQ(more.error().code, Code::kUnavailable);
      break;
    }
    ASSERT_TRUE(*more) << "the end was reported instead of the error";
  }
}

TEST(Input, StopsWhenItIsAskedTo) {
  std::stop_source stop;
  stop.request_stop();
  OpenOptions options;
  options.stop = stop.get_token();
  const auto input = Input::open(corpus("plain.mp4"), options);
  ASSERT_FALSE(input);
  EXPECT_EQ(input.error().code, Code::kCancelled);
}

TEST(Input, SeeksToTheKeyframeBefore) {
  auto input = Input::open(corpus("plain.mp4"));
  ASSERT_TRUE(input);
  const AVStream& stream = *input->get()->streams[0];
  ASSERT_TRUE(input->seek(0, av_rescale_q(2500, AVRational{1, 1000}, stream.time_base)));
  const Packet packet = make_packet();
  do {
    ASSERT_TRUE(input->read(*packet).value());
  } while (packet->stream_index != 0);
  EXPECT_EQ(packet->pts * av_q2d(stream.time_base), 2.0);
  EXPECT_TRUE(packet->flags & AV_PKT_FLAG_KEY);
}

TEST(BoxShape, KnowsHowMuchOfAFileIsMissing) {
  const auto shape = box_shape(corpus("truncated_with_moov.mp4"));
  ASSERT_TRUE(shape);
  EXPECT_TRUE(shape->boxes && shape->moov && shape->media);
  const auto whole = std::filesystem::file_size(test::corpus_file("faststart.mp4"));
  EXPECT_EQ(shape->missing_bytes,
            whole - std::filesystem::file_size(test::corpus_file("truncated_with_moov.mp4")));
  EXPECT_EQ(box_shape(corpus("plain.mp4"))->missing_bytes, 0u);
  EXPECT_FALSE(box_shape(corpus("vp9.webm"))->boxes);
}

TEST(MissingBytes, AreThoseThatTheContainerClaims) {
  EXPECT_EQ(missing_bytes(corpus("plain.mp4")), 0u);
  EXPECT_EQ(missing_bytes(corpus("truncated_with_moov.mp4")),
            box_shape(corpus("truncated_with_moov.mp4"))->missing_bytes);
  EXPECT_EQ(missing_bytes(memory_source("It was a dark and stormy night.")), 0u);

  const ByteSource whole = corpus("vp9.webm");
  std::string film(whole.size, '\0');
  ASSERT_EQ(whole.read_at(0, std::as_writable_bytes(std::span(film))), film.size());
  EXPECT_EQ(missing_bytes(memory_source(film)), 0u);
  EXPECT_EQ(missing_bytes(memory_source(film.substr(0, film.size() - 1000))), 1000u);
  EXPECT_EQ(missing_bytes(memory_source(film.substr(0, 20))), 0u);

  std::string live = film;  // eight bytes of size: all bits set say that it is unknown
  live.replace(live.find("\x18\x53\x80\x67") + 4, 8, "\x01\xFF\xFF\xFF\xFF\xFF\xFF\xFF");
  EXPECT_EQ(missing_bytes(memory_source(live.substr(0, live.size() - 1000))), 0u);
}

TEST(Input, AY4mOfUnreasonableDimensionsIsNotBusy) {
  const Error error = refusal(
      memory_source("YUV4MPEG2 W20000 H20000 F25:1 Ip A1:1 C420jpeg\nFRAME\n" + std::string(5000, '0')));
  EXPECT_EQ(error.code, Code::kCorruptInput);
  EXPECT_EQ(error.message.find("busy"), std::string::npos) << error.message;
}

TEST(LogCapture, HearsTheLibrariesOnItsThreadAndHandsBackToTheOuterOne) {
  LogCapture outer;
  {
    LogCapture inner(2);
    for (const char* line : {"one", "two", "two", "three"}) av_log(nullptr, AV_LOG_ERROR, "%s\n", line);
    av_log(nullptr, AV_LOG_INFO, "not worth it\n");
    EXPECT_EQ(inner.lines(), (std::deque<std::string>{"two", "three"}));
    EXPECT_EQ(inner.find("hre"), "three");
    EXPECT_EQ(inner.find("four"), "");
  }
  av_log(nullptr, AV_LOG_WARNING, "outside\n");
  EXPECT_EQ(outer.lines(), (std::deque<std::string>{"outside"}));
}

}  // namespace
}  // namespace spool::av
