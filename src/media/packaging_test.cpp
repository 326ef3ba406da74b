#include "media/packaging.h"

#include <gtest/gtest.h>

namespace spool::media {
namespace {

Rendition video(const char* name, std::int64_t bytes) {
  Rendition r;
  r.kind = Rendition::Kind::kVideo;
  r.name = name;
  r.codecs = "avc1.64001f";
  r.width = 1280;
  r.height = 720;
  r.frame_rate = {30000, 1001};
  r.bandwidth_bound = 3'000'000;
  r.segments = {{0, 360'360, bytes, {{24, 1000, 0, 180'180}, {5000, 900, 180'180, 180'180}}},
                {360'360, 180'180, bytes / 2, {{24, 1100, 360'360, 180'180}}}};
  r.complete = true;
  return r;
}

Rendition audio(const char* name, const char* language, bool is_default) {
  Rendition r;
  r.kind = Rendition::Kind::kAudio;
  r.name = name;
  r.timescale = 48000;
  r.codecs = "mp4a.40.2";
  r.language = language;
  r.is_default = is_default;
  r.channels = 2;
  r.sample_rate = 48000;
  r.bandwidth_bound = 140'000;
  r.segments = {{0, 192'512, 64'000, {}}, {192'512, 95'000, 32'000, {}}};
  r.complete = true;
  return r;
}

Rendition subtitles() {
  Rendition r;
  r.kind = Rendition::Kind::kSubtitles;
  r.name = "subtitles-deu";
  r.language = "ger";
  r.label = "Deutsch \"für\nalle\"";
  r.segments = {{0, 360'360, 300, {}}, {360'360, 180'180, 100, {}}};
  r.complete = true;
  return r;
}

TEST(Hls, AMediaPlaylistNamesEachSegmentWithItsTrueDuration) {
  EXPECT_EQ(hls_media_playlist(video("720p", 1'000'000), 4),
            "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:0\n"
            "#EXT-X-PLAYLIST-TYPE:EVENT\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-START:TIME-OFFSET=0\n"
            "#EXT-X-MAP:URI=\"init.mp4\"\n"
            "#EXTINF:4.004000,\n00001.m4s\n#EXTINF:2.002000,\n00002.m4s\n#EXT-X-ENDLIST\n");
}

TEST(Hls, AGrowingPlaylistIsAPrefixOfTheFinishedOne) {
  const Rendition whole = video("720p", 1'000'000);
  Rendition growing = whole;
  growing.complete = false;
  growing.segments.pop_back();
  for (const auto& text : {hls_media_playlist, hls_iframe_playlist}) {
    EXPECT_TRUE(text(whole, 4).starts_with(text(growing, 4)));
    EXPECT_FALSE(text(growing, 4).ends_with("ENDLIST\n"));
  }
}

TEST(Hls, AnIframePlaylistGivesTheByteRangeAndGopOfEachIdr) {
  const std::string text = hls_iframe_playlist(video("720p", 1'000'000), 4);
  EXPECT_NE(text.find("#EXT-X-I-FRAMES-ONLY\n#EXT-X-MAP:URI=\"init.mp4\"\n"
                      "#EXTINF:2.002000,\n#EXT-X-BYTERANGE:1000@24\n00001.m4s\n"
                      "#EXTINF:2.002000,\n#EXT-X-BYTERANGE:900@5000\n00001.m4s\n"
                      "#EXTINF:2.002000,\n#EXT-X-BYTERANGE:1100@24\n00002.m4s\n#EXT-X-ENDLIST\n"),
            std::string::npos)
      << text;
}

TEST(Hls, AMasterHoldsVariantsGroupsAndIframes) {
  EXPECT_EQ(
      hls_master({video("720p", 1'000'000), audio("audio-eng", "eng", true), audio("audio-deu", "ger", false),
                  subtitles()},
                 4),
      "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n"
      "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio\",NAME=\"en\",LANGUAGE=\"en\",DEFAULT=YES,AUTOSELECT=YES,"
      "CHANNELS=\"2\",URI=\"audio-eng/playlist.m3u8\"\n"
      "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio\",NAME=\"de\",LANGUAGE=\"de\",DEFAULT=NO,AUTOSELECT=YES,"
      "CHANNELS=\"2\",URI=\"audio-deu/playlist.m3u8\"\n"
      "#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"subtitles\",NAME=\"Deutsch "
      "füralle\",LANGUAGE=\"de\",DEFAULT=NO,"
      "AUTOSELECT=YES,FORCED=NO,URI=\"subtitles-deu/playlist.m3u8\"\n"
      "#EXT-X-STREAM-INF:BANDWIDTH=2126220,AVERAGE-BANDWIDTH=2126220,CODECS=\"avc1.64001f,mp4a.40.2\","
      "RESOLUTION=1280x720,FRAME-RATE=29.970,AUDIO=\"audio\",SUBTITLES=\"subtitles\",CLOSED-CAPTIONS=NONE\n"
      "720p/playlist.m3u8\n"
      "#EXT-X-STREAM-INF:BANDWIDTH=128218,AVERAGE-BANDWIDTH=128218,CODECS=\"mp4a.40.2\",AUDIO=\"audio\"\n"
      "audio-eng/playlist.m3u8\n"
      "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=4396,CODECS=\"avc1.64001f\",RESOLUTION=1280x720,"
      "URI=\"720p/iframes.m3u8\"\n");
}

TEST(Hls, UntilAllIsMeasuredTheBoundIsDeclared) {
  Rendition growing = video("720p", 1'000'000);
  growing.complete = false;
  const std::string text = hls_master({growing}, 4);
  EXPECT_NE(text.find("#EXT-X-STREAM-INF:BANDWIDTH=3000000,CODECS=\"avc1.64001f\",RES"), std::string::npos)
      << text;
  EXPECT_EQ(text.find("AVERAGE"), std::string::npos);
  EXPECT_EQ(text.find("AUDIO"), std::string::npos);
}

TEST(Hls, AFilmWithoutVideoHasItsAudioAsTheOnlyVariant) {
  const std::string text = hls_master({audio("audio", "und", true)}, 4);
  EXPECT_NE(text.find("NAME=\"Audio\",DEFAULT=YES"), std::string::npos) << text;
  EXPECT_NE(text.find("\naudio/playlist.m3u8\n"), std::string::npos) << text;
  EXPECT_EQ(text.find("RESOLUTION"), std::string::npos);
}

TEST(Hls, TwoTracksOfOneLanguageGetDifferentNamesAndOneDefault) {
  const std::string text = hls_master({audio("audio-1", "eng", true), audio("audio-2", "eng", true)}, 4);
  EXPECT_NE(text.find("NAME=\"en\""), std::string::npos);
  EXPECT_NE(text.find("NAME=\"en 2\",LANGUAGE=\"en\",DEFAULT=NO"), std::string::npos) << text;
}

TEST(Hls, ThePeakIsTakenOverRunsOfHalfToOneAndAHalfTargets) {
  Rendition r;
  r.timescale = 1;
  // The one-second burst is shorter than half a target: it counts with its neighbours only.
  r.segments = {{0, 4, 4000, {}}, {4, 1, 8000, {}}, {5, 4, 4000, {}}};
  EXPECT_EQ(measured_bandwidth(r, 4).peak, 12000 * 8 / 5);
  EXPECT_EQ(measured_bandwidth(r, 4).average, 14223);
  EXPECT_EQ(target_duration({4.004, 4.49}), 4);
  EXPECT_EQ(target_duration({4.5}), 5);
  EXPECT_EQ(target_duration({0.2}), 1);
}

TEST(Dash, TheTimelineIsThatOfTheSegments) {
  Rendition film = video("720p", 1'000'000);
  film.segments.insert(film.segments.begin() + 1, film.segments[0]);
  film.segments[1].pts = 360'360;
  film.segments[2].pts = 720'720;
  const std::string text = dash_mpd({film, audio("audio-eng", "eng", true), subtitles()}, 4);
  EXPECT_NE(text.find("mediaPresentationDuration=\"PT10.010S\""), std::string::npos) << text;
  EXPECT_NE(text.find("<S t=\"0\" d=\"360360\" r=\"1\"/>\n            <S t=\"720720\" d=\"180180\"/>"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("media=\"720p/$Number%05d$.m4s\" startNumber=\"1\""), std::string::npos);
  EXPECT_NE(text.find("frameRate=\"30000/1001\""), std::string::npos);
  EXPECT_NE(text.find("lang=\"de\""), std::string::npos);
  EXPECT_NE(text.find("<Label>Deutsch &quot;f\u00fcralle&quot;</Label>\n      <Role"), std::string::npos)
      << text;
  EXPECT_NE(text.find("<BaseURL>subtitles-deu/all.vtt</BaseURL>"), std::string::npos);
}

TEST(Packaging, ASegmentsDescriptionSurvivesJsonAndNonsenseIsRefused) {
  const PackagedSegment segment = video("v", 100'000).segments[0];
  const auto back = packaged_segment_from_json(to_json(segment));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->duration, segment.duration);
  ASSERT_EQ(back->fragments.size(), 2u);
  EXPECT_EQ(back->fragments[1].offset, 5000);
  Json bad = to_json(segment);
  bad["idrs"][0][1] = 1'000'000;  // beyond the segment
  EXPECT_FALSE(packaged_segment_from_json(bad));
  bad = to_json(segment);
  bad["duration"] = 0;
  EXPECT_FALSE(packaged_segment_from_json(bad));
  EXPECT_FALSE(packaged_segment_from_json(Json::array()));
  EXPECT_FALSE(packaged_segment_from_json({{"pts", "x"}}));
}

}  // namespace
}  // namespace spool::media
