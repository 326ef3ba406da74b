// The FFmpeg libraries inside the sandbox: encoders and filters with threads get what they need from the
// kernel.
#include "executor/harness.h"

namespace spool {
namespace {

class Media : public Executing, public testing::WithParamInterface<std::pair<const char*, const char*>> {};

TEST_P(Media, IsEncodedInTheSandbox) {
  const auto [encoder, filters] = GetParam();
  const Settlement settlement = run("encode", {{"encoder", encoder}, {"filters", filters}, {"threads", 4}});
  ASSERT_FALSE(result_of(settlement).is_null()) << error_of(settlement).message << "\n"
                                                << settlement.log_tail;
  EXPECT_EQ(result_of(settlement).at("packets"), 25);
  EXPECT_GT(settlement.usage.cpu_seconds, 0);
  EXPECT_GT(settlement.usage.peak_memory_bytes, 10 << 20);
}

INSTANTIATE_TEST_SUITE_P(
    Encoders, Media,
    testing::Values(
        std::pair{"libx264", "testsrc2=s=320x180:r=25:d=1,format=yuv420p"},
        std::pair{"libx265", "testsrc2=s=320x180:r=25:d=1,format=yuv420p"},
        std::pair{"libx264",
                  "testsrc2=s=320x180:r=25:d=1,format=yuv420p10le,setparams=range=tv:color_primaries=bt2020:"
                  "color_trc=smpte2084:colorspace=bt2020nc"
                  ",zscale=t=linear:npl=100,"
                  "format=gbrpf32le,tonemap=hable,zscale=t=bt709:m=bt709:r=tv,format=yuv420p"},
        std::pair{"libx264",
                  "testsrc2=s=320x180:r=25:d=1,bwdif,fps=25,scale=640:360:flags=lanczos,format=yuv420p"},
        std::pair{"mjpeg", "testsrc2=s=320x180:r=25:d=1,format=yuvj420p"}));

}  // namespace
}  // namespace spool
