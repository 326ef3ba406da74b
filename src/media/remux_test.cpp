#include "media/remux.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/temporary_folder.h"
#include "media/cmaf_read.h"
#include "support/program.h"

namespace spool::media {
namespace {

class Remux : public ::testing::Test {
 protected:
  std::filesystem::path file(const std::string& name) { return folder_.path() / name; }
  static ByteSource source(const std::filesystem::path& path) {
    return *file_source(*open_file(path, O_RDONLY), path.filename());
  }
  static Timeline timeline(const std::filesystem::path& path) {
    auto scanned = scan_timeline(source(path), {});
    if (!scanned) throw std::runtime_error(scanned.error().message);
    return *scanned;
  }
  // 12 s at 25 fps, an IDR each 2 s, B-frames, AAC.
  std::filesystem::path film(const std::string& name = "film.mp4", const std::string& more = "",
                             const std::string& gop = "-g 50 -keyint_min 50 -sc_threshold 0 -flags +cgop") {
    return test::make_media(file(name),
                            fmt::format("-f lavfi -i testsrc2=s=320x180:r=25:d=12 -f lavfi -i "
                                        "sine=f=500:d=12:r=48000 -c:v libx264 -preset ultrafast -bf 2 "
                                        "-b_strategy 0 {} -pix_fmt yuv420p -threads 1 -c:a aac -ac 2 {}",
                                        gop, more));
  }
  std::string obstacle(const std::filesystem::path& path, const RemuxRules& rules = {}) {
    const auto plan = plan_remux(source(path), timeline(path), rules, {});
    if (!plan) throw std::runtime_error(plan.error().message);
    return plan->obstacle;
  }
  void put(std::ofstream& out, const Bytes& bytes) {
    out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  }
  TemporaryFolder folder_;
};

TEST_F(Remux, EveryFrameIsTheSourcesAtItsTime) {
  for (const char* name : {"film.mp4", "film.mkv"}) {
    const auto path = film(name);
    const Timeline t = timeline(path);
    const auto plan = plan_remux(source(path), t, {}, {});
    ASSERT_TRUE(plan) << plan.error().message;
    ASSERT_TRUE(plan->fits()) << plan->obstacle;
    const std::int64_t second = t.clock.timescale;
    EXPECT_EQ(plan->borders, (std::vector<std::int64_t>{0, 4 * second, 8 * second}));
    std::ofstream out(file("out.mp4"), std::ios::binary);
    std::vector<Segment> segments;
    const RemuxSink sink{[&](const Bytes& init, const std::string& codecs) -> Result<void> {
                           EXPECT_TRUE(codecs.starts_with("avc1.")) << codecs;
                           put(out, init);
                           return {};
                         },
                         [&](std::size_t index, const Segment& segment) -> Result<void> {
                           EXPECT_EQ(index, segments.size());
                           segments.push_back(segment);
                           put(out, segment.bytes);
                           return {};
                         }};
    // In stretches of one segment: each attempt finds its place, and the bytes fit together.
    const auto tasks = remux_tasks(*plan, t, t.reorder, 3);
    ASSERT_EQ(tasks.size(), 3u);
    std::uint32_t fragment = 0;
    for (const RemuxTask& task : tasks) {
      EXPECT_GT(task.first_fragment, fragment);
      fragment = task.first_fragment + 1;  // two IDRs in each
      const auto read = remux_task_from_json(Json::parse(to_json(task).dump()));
      ASSERT_TRUE(read) << read.error().message;
      EXPECT_EQ(*read, task);
      const auto done = remux_video(source(path), *read, sink, {});
      ASSERT_TRUE(done) << done.error().message;
      EXPECT_TRUE(done->empty()) << "nothing is damaged";
    }
    out.close();
    ASSERT_EQ(segments.size(), 3u);
    EXPECT_EQ(remux_tasks(*plan, t, t.reorder).size(), 1u);
    for (const Segment& segment : segments) {
      EXPECT_EQ(segment.duration, 4 * second);
      EXPECT_EQ(segment.fragments.size(), 2u) << "an IDR each 2 s";
    }
    const auto frames = [](const std::filesystem::path& p, const char* columns) {
      return test::output_of(
          fmt::format("ffmpeg -v error -i '{}' -map 0:v -fps_mode passthrough -enc_time_base 1:25 -f "
                      "framemd5 - | grep -v "
                      "'^#' | cut -d, -f {}",
                      p.string(), columns));
    };
    EXPECT_TRUE(frames(file("out.mp4"), "6") == frames(path, "6")) << name;
    std::istringstream times(frames(file("out.mp4"), "3"));
    int time = 0, count = 0;
    while (times >> time) EXPECT_EQ(time, count++);
    EXPECT_EQ(count, 300);
  }
}

TEST_F(Remux, BordersAreNeverFurtherApartThanTheRulesSay) {
  const auto path = film("g3.mp4", "", "-g 75 -keyint_min 75 -sc_threshold 0 -flags +cgop");
  const Timeline t = timeline(path);
  const std::int64_t second = t.clock.timescale;
  EXPECT_EQ(plan_remux(source(path), t, {}, {})->borders, (std::vector<std::int64_t>{0, 6 * second}));
  EXPECT_EQ(plan_remux(source(path), t, {.segment_seconds = 4, .longest_seconds = 5}, {})->borders,
            (std::vector<std::int64_t>{0, 3 * second, 6 * second, 9 * second}));
  EXPECT_EQ(obstacle(path, {.segment_seconds = 2, .longest_seconds = 2.5}),
            "its closed IDRs are further apart than 2.5 s");
}

TEST_F(Remux, WhatDoesNotFitIsSaidInWords) {
  EXPECT_EQ(obstacle(film()), "");
  EXPECT_NE(obstacle(film(), {.max_bits_per_second = 1000}).find("above the rung's 1"), std::string::npos);
  const std::string one = "-f lavfi -i testsrc2=s=64x64:r=25:d=1 ";
  EXPECT_EQ(obstacle(test::make_media(file("a.mp4"), one + "-c:v mpeg4")), "it is mpeg4, not H.264");
  EXPECT_EQ(obstacle(test::make_media(file("b.mp4"), one + "-c:v libx264 -pix_fmt yuv422p")),
            "it is not 4:2:0 with 8 bits");
  EXPECT_EQ(obstacle(test::make_media(file("ten.mp4"), one + "-c:v libx264 -pix_fmt yuv420p10le")),
            "it is not 4:2:0 with 8 bits");
  EXPECT_EQ(obstacle(test::make_media(file("q.mp4"), one + "-c:v libx264 -qp 0 -pix_fmt yuv420p")),
            "its H.264 profile is not played everywhere");
  EXPECT_EQ(obstacle(test::make_media(file("c.mp4"), one + "-c:v libx264 -pix_fmt yuv420p -vf setsar=4/3")),
            "its pixels are not square");
  EXPECT_EQ(obstacle(test::make_media(file("d.ts"), one + "-c:v libx264 -pix_fmt yuv420p")),
            "it is mpegts, not MP4 or Matroska");
  test::output_of(fmt::format(
      "ffmpeg -v error -y -display_rotation 90 -i '{0}' -c copy '{1}' || ffmpeg -v error -y -i '{0}' -c "
      "copy -metadata:s:v rotate=90 '{1}'",
      film().string(), file("turned.mp4").string()));
  EXPECT_EQ(obstacle(file("turned.mp4")), "it is not upright");
  EXPECT_NE(obstacle(film("far.mp4", "", "-g 300 -keyint_min 300 -sc_threshold 0")), "");
  EXPECT_NE(obstacle(film("open.mkv", "", "-g 50 -keyint_min 50 -sc_threshold 0 -x264-params open-gop=1")),
            "");
  // A cut by stream copy, in the middle of a GOP.
  test::output_of(fmt::format("ffmpeg -v error -y -ss 3 -i '{}' -c copy '{}'", film().string(),
                              file("cut.mp4").string()));
  EXPECT_NE(obstacle(file("cut.mp4")), "");
}

TEST_F(Remux, ParameterSetsThatChangeAreSeenBetweenBordersToo) {
  // Two encodings behind each other: the second one's parameter sets stand in its keyframes.
  const auto part = [&](const char* name, const char* how) {
    return test::make_media(file(name),
                            fmt::format("-f lavfi -i testsrc2=s=320x180:r=25:d=2 -c:v libx264 -preset "
                                        "ultrafast -g 50 -pix_fmt yuv420p {} -f h264",
                                        how));
  };
  const auto a = part("a.h264", "-refs 1 -bf 0"), b = part("b.h264", "-refs 3 -preset fast -bf 0");
  test::output_of(
      fmt::format("cat '{0}' '{1}' '{0}' > '{2}' && ffmpeg -v error -y -r 25 -i '{2}' -c copy '{3}'",
                  a.string(), b.string(), file("ab.h264").string(), file("changed.mp4").string()));
  EXPECT_NE(obstacle(file("changed.mp4")), "");
  EXPECT_NE(obstacle(file("changed.mp4")).find("parameter sets"), std::string::npos)
      << obstacle(file("changed.mp4"));
}

TEST_F(Remux, AFileThatIsCutOffIsEncoded) {
  const auto path = film("whole.mp4", "-movflags +faststart");
  EXPECT_EQ(obstacle(path), "");
  std::filesystem::resize_file(path, std::filesystem::file_size(path) * 3 / 4);
  EXPECT_EQ(obstacle(path), "the file is cut off");
}

TEST_F(Remux, ATaskThatMakesNoSenseIsRefused) {
  const auto path = film();
  const Timeline t = timeline(path);
  const RemuxTask good = remux_tasks(*plan_remux(source(path), t, {}, {}), t, t.reorder).front();
  const auto code = [](RemuxTask task, auto change) {
    change(task);
    const auto read = remux_task_from_json(to_json(task));
    return read ? Code::kInternal : read.error().code;
  };
  EXPECT_EQ(code(good, [](RemuxTask& k) { k.borders.clear(); }), Code::kInvalidArgument);
  EXPECT_EQ(code(good, [](RemuxTask& k) { k.end = k.borders.back(); }), Code::kInvalidArgument);
  EXPECT_EQ(code(good, [](RemuxTask& k) { k.clock.timescale = 0; }), Code::kInvalidArgument);
  EXPECT_EQ(code(good, [](RemuxTask& k) { k.first_fragment = 0; }), Code::kInvalidArgument);
  EXPECT_EQ(remux_task_from_json(Json{{"stream", 1}}).error().code, Code::kInvalidArgument);
}

TEST_F(Remux, AFilmThatIsNotWhatWasPlannedIsRefused) {
  const auto path = film();
  const Timeline t = timeline(path);
  auto plan = *plan_remux(source(path), t, {}, {});
  const RemuxSink sink{[](const Bytes&, const std::string&) -> Result<void> { return {}; },
                       [](std::size_t, const Segment&) -> Result<void> { return {}; }};
  const RemuxTask good = remux_tasks(plan, t, t.reorder).front();
  RemuxTask task = good;
  task.borders[1] += t.clock.timescale / 25;  // no IDR there
  EXPECT_EQ(remux_video(source(path), task, sink, {}).error().code, Code::kUnsupported);
  task = good;
  task.shift = 0;  // B-frames need one
  EXPECT_EQ(remux_video(source(path), task, sink, {}).error().code, Code::kUnsupported);
  task = good;
  task.borders.push_back(t.end - 10);  // no frame there
  EXPECT_FALSE(remux_video(source(path), task, sink, {}));
  task = good;
  task.stream = 7;
  EXPECT_EQ(remux_video(source(path), task, sink, {}).error().code, Code::kInvalidArgument);
  RemuxSink full = sink;
  full.segment = [](std::size_t, const Segment&) -> Result<void> { return fail(Code::kStorageFull, "full"); };
  EXPECT_EQ(remux_video(source(path), good, full, {}).error().code, Code::kStorageFull);
  std::stop_source stopped;
  stopped.request_stop();
  EXPECT_EQ(remux_video(source(path), good, sink, stopped.get_token()).error().code, Code::kCancelled);
}

TEST_F(Remux, AacIsCopiedWithItsPrimingWhereItIsInTime) {
  const auto path = film();
  AudioTask task;
  task.begin_seconds = 0;
  task.film_seconds = 12;
  task.borders = {0, 4, 8};
  const auto fits = audio_copy_obstacle(source(path), task, {});
  ASSERT_TRUE(fits);
  EXPECT_EQ(*fits, "");
  std::ofstream out(file("audio.mp4"), std::ios::binary);
  std::size_t segments = 0;
  const AudioSink sink{[&](const AudioFormat& format) -> Result<void> {
                         EXPECT_EQ(format.priming, 1024);
                         put(out, format.init);
                         return {};
                       },
                       [&](std::size_t index, const Segment& segment) -> Result<void> {
                         EXPECT_EQ(index, segments++);
                         EXPECT_NEAR(double(segment.pts) / 48000, 4.0 * double(index), 0.0107);
                         put(out, segment.bytes);
                         return {};
                       },
                       {}};
  const auto done = copy_audio(source(path), task, sink, {});
  ASSERT_TRUE(done) << done.error().message;
  out.close();
  EXPECT_EQ(segments, 3u);
  const auto packets = [](const std::filesystem::path& p) {
    return test::output_of(
        fmt::format("ffmpeg -v error -i '{}' -map 0:a -c copy -f framemd5 - | grep -v '^#' | cut -d, -f 5-6",
                    p.string()));
  };
  EXPECT_TRUE(packets(file("audio.mp4")) == packets(path));
}

TEST_F(Remux, SoundThatCannotBeCopiedIsSaidInWords) {
  const auto words = [&](const std::filesystem::path& path, auto change) {
    AudioTask task;
    task.begin_seconds = 0;
    change(task);
    const auto got = audio_copy_obstacle(source(path), task, {});
    return got ? *got : got.error().message;
  };
  const auto nothing = [](AudioTask&) {};
  EXPECT_EQ(words(film(), [](AudioTask& t) { t.cut = true; }), "only a part of it is wanted");
  EXPECT_EQ(words(film(), [](AudioTask& t) { t.gain_db = 3; }), "its loudness is changed");
  EXPECT_EQ(words(film(), [](AudioTask& t) { t.film_seconds = 30; }), "it ends before the film");
  EXPECT_EQ(words(film(), [](AudioTask& t) { t.begin_seconds = -1; }), "it begins later than the film");
  EXPECT_EQ(words(film(), [](AudioTask& t) { t.bits_per_second = 20'000; }).find("its "), 0u);
  const std::string sine = "-f lavfi -i sine=d=3:r=48000 ";
  EXPECT_EQ(words(test::make_media(file("a.mka"), sine + "-c:a flac"), nothing), "it is flac, not AAC");
  EXPECT_EQ(words(test::make_media(file("b.m4a"), sine + "-ar 22050 -c:a aac"), nothing),
            "its rate is 22050 Hz");
  EXPECT_EQ(words(test::make_media(file("c.m4a"), sine + "-ac 6 -c:a aac"), nothing),
            "it has more than two channels");
  EXPECT_EQ(words(test::make_media(file("d.mkv"), sine + "-af \"aselect='not(between(t,1,2))'\" -c:a aac"),
                  nothing),
            "it has gaps or drifts");
  AudioTask task;
  EXPECT_EQ(copy_audio(source(file("a.mka")), task, {}, {}).error().code, Code::kUnsupported);
}

}  // namespace
}  // namespace spool::media
