// What a chunk reads of a film that is no local file: little more than the stretch of the file that its
// frames lie in. SPOOL_TEST_FILM=FILE takes another film, a large one say, and prints what was read.
#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

#include "base/temporary_folder.h"
#include "media/chunk_reader.h"
#include "parts.h"
#include "steps/source_cache.h"
#include "support/program.h"
#include "support/remote_like_store.h"

namespace spool::test {
namespace {

// A minute at 16 Mbit/s with sound: ten seconds, again and again.
std::filesystem::path minute(const std::filesystem::path& folder, const std::string& extension) {
  const auto once = make_media(
      folder / ("once." + extension),
      "-f lavfi -i testsrc2=s=1280x720:r=25:d=10 -f lavfi -i sine=440:d=10:r=48000 -vf noise=alls=60:allf=t "
      "-c:v libx264 -preset ultrafast -b:v 16M -maxrate 16M -bufsize 8M -g 75 -bf 2 -pix_fmt yuv420p -c:a "
      "aac");
  return make_media(folder / ("minute." + extension),
                    fmt::format("-stream_loop 5 -i '{}' -c copy", once.string()));
}

struct Placed {
  std::int64_t dts, pts, begin, end;
};

// The video's packets, in file order.
std::vector<Placed> packets_of(ByteSource source, int stream) {
  av::Input input = av::Input::open(std::move(source)).value();
  const av::Packet packet = av::make_packet();
  std::vector<Placed> all;
  while (input.read(*packet).value())
    if (packet->stream_index == stream)
      all.push_back({packet->dts, packet->pts, packet->pos, packet->pos + packet->size});
  return all;
}

// Of the file: from the keyframe where decoding begins to the last frame of the chunk, with all between.
std::int64_t span_of(const media::Chunk& chunk, const media::Film& film, const std::vector<Placed>& packets) {
  std::int64_t first = INT64_MAX, last = 0;
  bool begun = false;
  for (const Placed& packet : packets) {
    begun = begun || !chunk.seek || packet.dts >= chunk.seek->dts;
    const std::int64_t tick = film.clock.tick(packet.pts);
    if (!begun || tick >= chunk.end) continue;
    first = std::min(first, packet.begin);
    last = std::max(last, packet.end);
  }
  return last - first;
}

class Reading : public testing::TestWithParam<const char*> {
 protected:
  // Decodes the chunk; what was read of the film.
  std::int64_t read_chunk(const media::Film& film, const media::Chunk& chunk) {
    const std::int64_t before = remote_.bytes_read;
    {
      steps::SourceCache cache;
      const auto open = [&] { return cache.reader("film", remote_.open("film").value()); };
      EXPECT_TRUE(av::Input::open(open(), {{}, false})) << "this worker has seen the film's index before";
      index_bytes_ = remote_.bytes_read - before;
      auto reader = media::ChunkReader::open(open(), film, chunk, 0, 1, {}).value();
      std::int64_t frames = 0;
      while (reader.next().value().frame != nullptr) ++frames;
      EXPECT_EQ(frames, chunk.frames);
    }  // what was read ahead is there
    return remote_.bytes_read - before - index_bytes_;
  }

  TemporaryFolder folder_;
  RemoteLikeStore remote_{folder_.path() / "objects"};
  std::int64_t index_bytes_ = 0;
};

TEST_P(Reading, OfAChunkIsLittleMoreThanTheStretchOfItsFrames) {
  const char* given = std::getenv("SPOOL_TEST_FILM");
  const auto path = given != nullptr ? std::filesystem::path(given) : minute(folder_.path(), GetParam());
  ASSERT_TRUE(remote_.put_file("film", open_file(path, O_RDONLY).value().get()));
  const media::Timeline timeline = media::scan_timeline(remote_.open("film").value(), {}).value();
  const auto ladder = media::ladder_from_json(ladders_of({}).named("web").value()).value();
  const media::FilmPlan plan = media::plan_film(timeline, ladder, media::Speed::kFast).value();
  const auto packets = packets_of(remote_.open("film").value(), plan.film.picture.stream);
  ASSERT_GT(plan.chunks.size(), 6u);
  for (const media::Chunk& chunk : plan.chunks) {
    const std::int64_t span = span_of(chunk, plan.film, packets);
    const std::int64_t reads_before = remote_.reads;
    const std::int64_t bytes = read_chunk(plan.film, chunk);
    EXPECT_LE(bytes, span * 12 / 10 + 2'000'000) << "chunk " << chunk.index;
    if (given == nullptr) continue;
    fmt::print("chunk {}: {} bytes of a stretch of {} ({:.3f}), {} reads; the index: {} bytes\n", chunk.index,
               bytes, span, static_cast<double>(bytes) / static_cast<double>(span),
               remote_.reads - reads_before, index_bytes_);
    std::fflush(stdout);
  }
}

INSTANTIATE_TEST_SUITE_P(Films, Reading, testing::Values("mp4", "mkv"));

}  // namespace
}  // namespace spool::test
