#include "steps/progress_lines.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace spool::steps {
namespace {

// Everything that was said, in order, as text.
struct Heard {
  std::vector<std::string> said;
  ProgressLines lines;
  explicit Heard(double seconds = 0)
      : lines({[this](double f, const Json& d) { said.push_back(fmt::format("{:.3f} {}", f, to_text(d))); },
               [this](const Json& c) { said.push_back("checkpoint " + to_text(c)); },
               [this](const Json& r) { said.push_back("result " + to_text(r)); },
               [this](std::string_view l) { said.push_back(fmt::format("log {}", l)); }},
              seconds) {}
};
using Said = std::vector<std::string>;

TEST(ProgressLines, JsonLinesTellProgressCheckpointsResultsAndLog) {
  Heard h;
  h.lines.feed(
      "{\"progress\": 0.25, \"frames\": 10}\n{\"checkpoint\": [1]}\n{\"result\": {\"a\": 1}, \"log\": "
      "\"x\"}\n");
  EXPECT_EQ(h.said, (Said{"0.250 {\"frames\":10}", "checkpoint [1]", "log x", "result {\"a\":1}"}));
}

TEST(ProgressLines, LinesMayComeInAnyCut) {
  Heard whole, bytes;
  const std::string text = "{\"progress\": 0.5}\nhello\r\nframe=3\nprogress=continue\nlast";
  whole.lines.feed(text);
  whole.lines.finish();
  for (const char c : text) bytes.lines.feed({&c, 1});
  bytes.lines.finish();
  EXPECT_EQ(whole.said, (Said{"0.500 null", "log hello", "0.500 {\"frames\":3.0}", "log last"}));
  EXPECT_EQ(bytes.said, whole.said);
}

TEST(ProgressLines, FfmpegsBlocksBecomeAFractionOfTheLength) {
  Heard h(8);
  h.lines.feed(
      "frame=50\nfps=25.0\nstream_0_0_q=28.0\nbitrate=N/"
      "A\nout_time_us=2000000\nspeed=1.5x\nprogress=continue\n"
      "out_time_us=N/A\nprogress=end\n");
  EXPECT_EQ(h.said, (Said{"0.250 {\"fps\":25.0,\"frames\":50.0,\"speed\":1.5}", "1.000 {}"}));
}

TEST(ProgressLines, ProgressNeverFallsAndStaysWithinItsBounds) {
  Heard h(1);
  h.lines.feed("{\"progress\": 0.5}\n{\"progress\": 0.1}\n{\"progress\": 1e308}\n{\"progress\": -4}\n");
  h.lines.feed("out_time_us=-9e99\nprogress=continue\n");
  EXPECT_EQ(h.said, (Said{"0.500 null", "0.500 null", "1.000 null", "1.000 null", "1.000 {}"}));
}

TEST(ProgressLines, WhatIsNoProgressIsLog) {
  Heard h;
  h.lines.feed("{\"other\": 1}\n{not json\nkey=value\nprogress=maybe\n\n=\n");
  EXPECT_EQ(h.said,
            (Said{"log {\"other\": 1}", "log {not json", "log key=value", "log progress=maybe", "log ="}));
}

TEST(ProgressLines, HostileLinesAreCutAndMadeHarmless) {
  Heard h;
  h.lines.feed(std::string(10 * kMostLineBytes, '{'));
  h.lines.feed("\nbell \x07 esc \x1b[2J \xff\xfe end\n");
  ASSERT_EQ(h.said.size(), 2u);
  EXPECT_EQ(h.said[0].size(), kMostLineBytes + 4);
  EXPECT_EQ(h.said[1], "log bell   esc  [2J \xEF\xBF\xBD\xEF\xBF\xBD end");
  h.said.clear();
  h.lines.feed(std::string(1000, '['));
  h.lines.feed("\n{\"progress\": \"1\"}\n{\"progress\": 0.5, \"x\": \"");
  h.lines.feed(std::string(kMostDetailBytes, 'y'));
  h.lines.feed("\"}\n");
  EXPECT_EQ(h.said.back(), "0.500 null");  // the detail was too large
}

TEST(ProgressLines, NothingToTellIsFine) {
  ProgressLines lines({}, 0);
  lines.feed("{\"progress\": 1, \"log\": \"x\", \"result\": 1, \"checkpoint\": 1}\nprogress=end\nlog\n");
  lines.feed(std::string(2 * kMostLineBytes, 'x'));
  lines.finish();
}

}  // namespace
}  // namespace spool::steps
