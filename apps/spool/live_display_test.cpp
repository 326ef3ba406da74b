#include "live_display.h"

#include <gtest/gtest.h>

#include "terminal.h"

namespace spool {
namespace {

using namespace std::chrono_literals;

ViewModel half_way() {
  ViewModel view;
  view.title = "talk.mov";
  view.fraction = 0.4213;
  view.frames_per_second = 96.53;
  view.speed = 1.8;
  view.left = 42300ms;
  view.chunks = {Cell::kFinished, Cell::kFinished, Cell::kFinished, Cell::kRetried,
                 Cell::kRunning,  Cell::kWaiting,  Cell::kFailed};
  view.notes = {"playable: out/master.m3u8"};
  return view;
}

TEST(LiveDisplay, ShowsPercentSpeedTimeLeftAndTheStrip) {
  EXPECT_EQ(render(half_way(), 60, false),
            "talk.mov  ██████████████████▌·························   42%\n"
            "96.5 frames/s   1.80x real time   43s left\n"
            "▕███▒▒·✖▏ 3 of 7 chunks\n"
            "playable: out/master.m3u8\n");
}

TEST(LiveDisplay, ShowsNothingThatIsNotKnownYet) {
  ViewModel view;
  view.title = "talk.mov";
  EXPECT_EQ(render(view, 40, false), "talk.mov  ························    0%\n");
}

TEST(LiveDisplay, HundredPercentIsOnlyShownAtTheEnd) {
  ViewModel view;
  view.title = "a";
  view.fraction = 0.999;
  EXPECT_NE(render(view, 40, false).find(" 99%"), std::string::npos);
  view.fraction = 1;
  EXPECT_NE(render(view, 40, false).find("100%"), std::string::npos);
}

TEST(LiveDisplay, NoLineIsWiderThanTheTerminal) {
  ViewModel view = half_way();
  view.title = std::string(300, 't');
  view.notes = {std::string(300, 'n')};
  view.chunks.assign(1000, Cell::kFinished);
  for (const int width : {24, 40, 80, 250}) {
    const std::string text = render(view, width, true);
    for (std::size_t from = 0, end; (end = text.find('\n', from)) != std::string::npos; from = end + 1)
      EXPECT_LE(columns(text.substr(from, end - from)), width);
  }
}

TEST(LiveDisplay, ALongFilmIsScaledToTheStrip) {
  ViewModel view;
  view.title = "a";
  view.chunks.assign(1000, Cell::kFinished);
  view.chunks[500] = Cell::kFailed;
  for (std::size_t i = 900; i < 1000; ++i) view.chunks[i] = Cell::kWaiting;
  const std::string text = render(view, 45, false);
  EXPECT_NE(text.find("▕████████████✖████████▒··▏ 899 of 1000 chunks"), std::string::npos) << text;
}

TEST(LiveDisplay, ATitleCannotMoveTheCursor) {
  ViewModel view;
  view.title = "a\x1b[2Jb";
  EXPECT_EQ(render(view, 40, false).find('\x1b'), std::string::npos);
}

TEST(LiveDisplay, ColoursAreOnlyThereWhenAskedFor) {
  EXPECT_EQ(render(half_way(), 60, false).find('\x1b'), std::string::npos);
  EXPECT_NE(render(half_way(), 60, true).find("\x1b[32m"), std::string::npos);
}

TEST(LiveDisplay, IsOffWhereThereIsNoTerminal) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  {
    LiveDisplay display(ends[1]);
    EXPECT_FALSE(display.is_on());
    display.show(half_way());
    display.clear();
  }
  close(ends[1]);
  char byte;
  EXPECT_EQ(read(ends[0], &byte, 1), 0);
  close(ends[0]);
}

Job job(int n, std::string kind, State state) {
  Job out;
  out.id.bytes[15] = static_cast<std::uint8_t>(n);
  out.kind = std::move(kind);
  out.state = state;
  return out;
}

TEST(TreeWatch, CountsFramesOfChunksForTheSpeed) {
  Job top = job(1, "transcode", State::kWaiting);
  top.name = "talk.mov";
  top.checkpoint = {{"frames", 2500}, {"seconds", 100.0}};
  Job done = job(2, "transcode.chunk", State::kSucceeded);
  done.parent = top.id;
  done.result = {{"frames", 200}};
  Job running = job(3, "transcode.chunk", State::kRunning);
  running.parent = top.id;
  Job audio = job(4, "transcode.audio", State::kRunning);
  audio.parent = top.id;
  TreeWatch watch;
  std::vector<Job> jobs{top, done, running, audio};
  ViewModel view = watch.look(jobs, top.id, 0s);
  EXPECT_EQ(view.title, "talk.mov");
  EXPECT_EQ(view.chunks, (std::vector<Cell>{Cell::kFinished, Cell::kRunning}));
  EXPECT_FALSE(view.frames_per_second);
  jobs[2].progress_detail = {{"frames", 100}};
  view = watch.look(jobs, top.id, 2s);
  EXPECT_DOUBLE_EQ(view.frames_per_second.value_or(0), 50);
  EXPECT_DOUBLE_EQ(view.speed.value_or(0), 2);
}

TEST(TreeWatch, ProgressNeverFalls) {
  Job top = job(1, "probe", State::kRunning);
  top.progress = 0.6;
  TreeWatch watch;
  EXPECT_DOUBLE_EQ(watch.look(std::vector{top}, top.id, 0s).fraction, 0.6);
  top.progress = 0.1;
  EXPECT_DOUBLE_EQ(watch.look(std::vector{top}, top.id, 1s).fraction, 0.6);
}

TEST(TreeWatch, TellsTheTimeLeftOnceItIsStable) {
  Job top = job(1, "probe", State::kRunning);
  TreeWatch watch;
  std::optional<Duration> left;
  for (int i = 0; i <= 10; ++i) {
    top.progress = 0.01 * i;
    left = watch.look(std::vector{top}, top.id, std::chrono::seconds(i)).left;
    EXPECT_TRUE(i >= 3 || !left) << i;
  }
  ASSERT_TRUE(left);
  EXPECT_NEAR(std::chrono::duration<double>(*left).count(), 90, 2);
}

TEST(TreeWatch, ARetriedChunkLooksDifferent) {
  Job chunk = job(2, "transcode.chunk", State::kScheduled);
  chunk.errors.resize(1);
  TreeWatch watch;
  EXPECT_EQ(watch.look(std::vector{chunk}, Uuid{}, 0s).chunks, std::vector{Cell::kRetried});
  chunk.state = State::kFailed;
  EXPECT_EQ(watch.look(std::vector{chunk}, Uuid{}, 1s).chunks, std::vector{Cell::kFailed});
}

}  // namespace
}  // namespace spool
