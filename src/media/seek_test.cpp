// A keyframe of a timeline is found again by what the timeline says to seek to: exactly, never a GOP earlier.
#include <fcntl.h>
#include <gtest/gtest.h>

#include "av/input.h"
#include "base/temporary_folder.h"
#include "media/timeline.h"
#include "support/program.h"

namespace spool::media {
namespace {

TEST(Seeking, EveryKeyframeIsFoundExactly) {
  const TemporaryFolder folder;
  for (const char* name : {"a.mp4", "a.mkv", "a.mov"}) {
    const auto path = test::make_media(
        folder.path() / name,
        "-f lavfi -i testsrc2=s=160x90:r=25:d=8 -c:v libx264 -preset ultrafast -bf 3 -b_strategy "
        "0 -g 50 -keyint_min 50 -sc_threshold 0 -pix_fmt yuv420p");
    const auto source = [&] { return *file_source(*open_file(path, O_RDONLY), name); };
    const auto timeline = scan_timeline(source(), {});
    ASSERT_TRUE(timeline) << timeline.error().message;
    ASSERT_EQ(timeline->keyframes.size(), 4u) << name;
    auto input = av::Input::open(source());
    const auto packet = av::make_packet();
    for (const Keyframe& keyframe : timeline->keyframes) {
      ASSERT_TRUE(input->seek(timeline->picture.stream, keyframe.dts));
      ASSERT_TRUE(*input->read(*packet));
      EXPECT_EQ(timeline->clock.tick(packet->pts), keyframe.pts) << name;
    }
  }
}

}  // namespace
}  // namespace spool::media
