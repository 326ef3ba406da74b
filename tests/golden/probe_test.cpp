// What probe says of every sort of file in the corpus.
#include "media/probe.h"

#include <gtest/gtest.h>

#include "corpus/corpus.h"
#include "media/probe_stream.h"

namespace spool::media {
namespace {

Json probed(const std::string& file, const ProbeOptions& options = {}) {
  auto found = probe(test::corpus(file), options, {});
  if (!found) throw std::runtime_error(found.error().message);
  EXPECT_LE(to_text(*found).size(), std::size_t{256} << 10);
  return std::move(*found);
}
Json video_of(const std::string& file) {
  const Json found = probed(file);
  return found.at("streams").at(found.at("main_video").get<std::size_t>());
}
Json audio_of(const std::string& file) {
  const Json found = probed(file);
  return found.at("streams").at(found.at("main_audio").get<std::size_t>());
}
bool warns(const Json& found, const std::string& words) {
  return to_text(found.at("warnings")).find(words) != std::string::npos;
}

// A part of a document: every key that is named here must have this value there.
void expect_has(const Json& found, const Json& expected) {
  for (const auto& [key, value] : expected.items())
    EXPECT_EQ(found.value(key, Json("missing")), value) << key << " of " << to_text(found);
}

TEST(Probe, DescribesAPlainFilm) {
  const Json found = probed("plain.mp4");
  EXPECT_EQ(found["duration"], 4.0);
  EXPECT_EQ(found["warnings"], Json::array());
  expect_has(video_of("plain.mp4"), {{"type", "video"},
                                     {"codec", "h264"},
                                     {"profile", "Main"},
                                     {"width", 320},
                                     {"height", 180},
                                     {"sample_aspect", {1, 1}},
                                     {"display_aspect", {16, 9}},
                                     {"pixel_format", "yuv420p"},
                                     {"bit_depth", 8},
                                     {"chroma", "4:2:0"},
                                     {"frame_rate", {25, 1}},
                                     {"rate_mode", "cfr"},
                                     {"rotation", 0},
                                     {"packets", 100},
                                     {"hdr", nullptr},
                                     {"field_order", "progressive"}});
  expect_has(
      video_of("plain.mp4")["gop"],
      {{"keyframes", 4}, {"shortest", 25}, {"longest", 25}, {"structure", "closed"}, {"reordered", true}});
  expect_has(audio_of("plain.mp4"), {{"codec", "aac"},
                                     {"profile", "LC"},
                                     {"sample_rate", 48000},
                                     {"channels", 2},
                                     {"layout", "stereo"},
                                     {"language", "und"}});
}

TEST(Probe, TellsVariableFromConstantFrameRate) {
  expect_has(video_of("vfr.mp4"), {{"rate_mode", "vfr"}, {"frame_rate", nullptr}});
  expect_has(video_of("film_23976.mp4"), {{"rate_mode", "cfr"}, {"frame_rate", {24000, 1001}}});
  expect_has(video_of("ntsc_2997.mp4"), {{"rate_mode", "cfr"}, {"frame_rate", {30000, 1001}}});
  expect_has(video_of("jitter.mkv"), {{"rate_mode", "cfr"}, {"frame_rate", {30000, 1001}}});
}

TEST(Probe, TellsWhichWayIsUp) {
  for (const int degrees : {90, 180, 270})
    EXPECT_EQ(video_of(fmt::format("rotated_{}.mp4", degrees))["rotation"], degrees);
  expect_has(video_of("rotated_90.mp4"), {{"shown_width", 180}, {"shown_height", 320}});
}

TEST(Probe, TellsShapesAndDepths) {
  expect_has(video_of("anamorphic.mp4"),
             {{"sample_aspect", {4, 3}}, {"display_aspect", {16, 9}}, {"shown_width", 320}});
  expect_has(video_of("odd_size.webm"), {{"codec", "vp9"}, {"width", 321}, {"height", 181}});
  expect_has(video_of("odd_size.mkv"), {{"width", 319}, {"height", 179}, {"chroma", "4:4:4"}});
  expect_has(video_of("yuv422_10bit.mp4"), {{"chroma", "4:2:2"}, {"bit_depth", 10}});
  EXPECT_EQ(video_of("full_range.mp4")["colour"]["range"], "full");
  EXPECT_EQ(video_of("bt601.mp4")["colour"]["matrix"], "bt470bg");
}

TEST(Probe, TellsHighDynamicRangeAndItsLight) {
  const Json hdr10 = video_of("hdr10.mp4");
  expect_has(hdr10["colour"], {{"primaries", "bt2020"}, {"transfer", "smpte2084"}, {"matrix", "bt2020nc"}});
  expect_has(hdr10["hdr"], {{"transfer", "pq"}, {"max_cll", 1000}, {"max_fall", 400}});
  EXPECT_EQ(hdr10["hdr"]["mastering"]["max_nits"], 1000.0);
  EXPECT_EQ(video_of("hlg.mp4")["hdr"]["transfer"], "hlg");
  EXPECT_EQ(video_of("dolby_vision_5.mp4")["hdr"]["dolby_vision"]["profile"], 5);
  expect_has(video_of("dolby_vision_8.mp4")["hdr"]["dolby_vision"], {{"profile", 8}, {"compatibility", 1}});
}

TEST(Probe, TellsFieldsByTheirFlagsAndByTheirLooks) {
  EXPECT_EQ(video_of("interlaced_tff.mp4")["scan"]["kind"], "tff");
  EXPECT_EQ(video_of("interlaced_bff.mp4")["scan"]["kind"], "bff");
  const Json untagged = video_of("interlaced_untagged.mkv")["scan"];
  EXPECT_EQ(untagged["kind"], "progressive");
  EXPECT_GT(untagged["combed"], 0);
  EXPECT_EQ(video_of("plain.mp4")["scan"]["combed"], 0);
}

TEST(Probe, TellsOpenFromClosedGopsAndTheDistanceOfKeyframes) {
  EXPECT_EQ(video_of("open_gop.mp4")["gop"]["structure"], "open");
  EXPECT_EQ(video_of("long_gop.mp4")["gop"]["longest"], 250);
  EXPECT_EQ(video_of("mjpeg.avi")["gop"]["structure"], "intra");
}

TEST(Probe, TellsAudioTracksApart) {
  const Json streams = probed("several_audio.mkv")["streams"];
  ASSERT_EQ(streams.size(), 4u);
  EXPECT_EQ(streams[1]["language"], "eng");
  EXPECT_EQ(streams[2]["language"], "deu");
  EXPECT_NE(to_text(streams[2]["disposition"]).find("default"), std::string::npos);
  EXPECT_EQ(streams[3]["tags"]["title"], "Commentaire");
  expect_has(audio_of("mono_8k.mp4"), {{"channels", 1}, {"sample_rate", 8000}, {"layout", "mono"}});
  expect_has(audio_of("surround.mp4"), {{"channels", 6}, {"layout", "5.1"}});
  EXPECT_EQ(probed("no_audio.mp4")["main_audio"], nullptr);
}

TEST(Probe, TakesNoCoverForAFilm) {
  EXPECT_EQ(probed("cover_art.m4a")["main_video"], nullptr);
  EXPECT_EQ(probed("audio_only.m4a")["main_video"], nullptr);
}

TEST(Probe, TellsWhereTheClockBegins) {
  EXPECT_NEAR(probed("start_offset.ts")["start"].get<double>(), 10, 0.1);
  EXPECT_NEAR(audio_of("late_audio.mp4")["start"].get<double>(), 1.5, 0.1);
  EXPECT_GT(video_of("edit_list.mp4")["hidden_frames"], 0);
}

TEST(Probe, NamesChaptersAndKeepsPlacesToItself) {
  const Json found = probed("chapters.mp4");
  ASSERT_EQ(found["chapters"].size(), 2u);
  EXPECT_EQ(found["chapters"][1], (Json{{"start", 1.5}, {"end", 4.0}, {"title", "Ende mit Ü"}}));
  EXPECT_EQ(found["tags"]["title"], "A film");
  EXPECT_EQ(to_text(found).find("+48.2082"), std::string::npos);
  EXPECT_EQ(to_text(found).find("Apple"), std::string::npos);
  ProbeOptions all;
  all.personal_tags = true;
  EXPECT_NE(to_text(probed("chapters.mp4", all)).find("+48.2082"), std::string::npos);
}

// What ffmpeg's ebur128 filter says of a file behind `label` (its summary comes last).
double ebur128_says(const std::string& file, const std::string& label) {
  const std::string command =
      fmt::format("ffmpeg -nostdin -nostats -i '{}' -map 0:a:0 -af ebur128=peak=true -f null - 2>&1",
                  test::corpus_file(file).string());
  std::FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) throw std::runtime_error("cannot start " + command);
  std::string said;
  for (char part[512]; std::fgets(part, sizeof part, pipe) != nullptr;) said += part;
  const auto at = said.rfind(label);
  if (::pclose(pipe) != 0 || at == std::string::npos) throw std::runtime_error(said);
  return std::stod(said.substr(at + label.size()));
}

TEST(Probe, MeasuresLoudnessWhenAsked) {
  ProbeOptions options;
  options.loudness = true;
  const Json loudness = probed("plain.mp4", options)["loudness"];
  EXPECT_NEAR(loudness["true_peak_dbtp"].get<double>(), ebur128_says("plain.mp4", "Peak:"), 0.1);
  EXPECT_NEAR(loudness["integrated_lufs"].get<double>(), ebur128_says("plain.mp4", "I:"), 0.1);
  EXPECT_FALSE(probed("plain.mp4").contains("loudness"));
}

TEST(Probe, WarnsOfWhatIsMissing) {
  EXPECT_TRUE(warns(probed("truncated_with_moov.mp4"), "the file is cut off"));
  EXPECT_TRUE(warns(probed("zero_duration_audio.mp4"), "stream 1 (audio) has no samples"));
  EXPECT_TRUE(warns(probed("zero_duration.mp4"), "stream 0 (video) has no samples"));
  EXPECT_TRUE(warns(probed("no_usable_stream.mkv"), "neither video nor audio"));
}

TEST(Probe, ProbesEverythingElseToo) {
  for (const char* file :
       {"av1.mp4", "hevc.mp4", "telecine.ts", "mpegts.ts", "discontinuity.ts", "mpeg2_mp2.mpg",
        "animation.gif", "subtitles.mp4", "subtitles.mkv", "data_track.mp4", "damaged.mp4", "damaged.ts",
        "fragmented.mp4", "one_frame.mp4", "audio_gap.mkv", "vp9.webm"}) {
    SCOPED_TRACE(file);
    const Json found = probed(file);
    EXPECT_FALSE(found["streams"].empty());
    EXPECT_TRUE(found["duration"].is_number());
  }
}

TEST(Probe, RefusesWhatIsNoMedia) {
  for (const char* file :
       {"empty.mp4", "text.mp4", "huge_claim.mp4", "hls_playlist.mp4", "truncated_without_moov.mp4"})
    EXPECT_FALSE(probe(test::corpus(file), {}, {})) << file;
}

TEST(Probe, HasANameForAStreamOfWhichNothingIsKnown) {
  const std::unique_ptr<AVFormatContext, decltype(&avformat_free_context)> format(avformat_alloc_context(),
                                                                                  &avformat_free_context);
  EXPECT_EQ(type_name(*avformat_new_stream(format.get(), nullptr)), "unknown");
}

}  // namespace
}  // namespace spool::media
