#include "media/subtitles.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/temporary_folder.h"
#include "support/program.h"

namespace spool::media {
namespace {

constexpr char kSrt[] =
    "1\r\n00:00:01,000 --> 00:00:02,500\r\nHello <i>you</i> & me\r\nsecond line\r\n\r\n"
    "2\r\n00:00:03,500 --> 00:00:09,000\r\n<font color=\"red\">long</font>\r\n\r\n"
    "3\r\n00:00:10,000 --> 00:00:09,000\r\nends before it begins\r\n";

TEST(Subtitles, SubRipIsRead) {
  const auto cues = parse_subtitles(kSrt, "a.srt");
  ASSERT_TRUE(cues) << cues.error().message;
  ASSERT_EQ(cues->size(), 2u) << "a cue that ends before it begins is left out";
  EXPECT_EQ((*cues)[0], (Cue{1000, 2500, "", "Hello <i>you</i> &amp; me\nsecond line"}));
  EXPECT_EQ((*cues)[1].text, "long");
}

TEST(Subtitles, WebVttIsReadWithItsSettingsAndWithoutItsStyles) {
  const auto cues = parse_subtitles(
      "\xef\xbb\xbfWEBVTT\n\nSTYLE\n::cue { color: red }\n\nNOTE a note\n\nname\n00:01.000 --> 01:00:02.000 "
      "align:start "
      "line:10% onload:x evil=1\n<v Roger>Hi &lt;there&gt;</v>\n",
      "a.vtt");
  ASSERT_TRUE(cues) << cues.error().message;
  ASSERT_EQ(cues->size(), 1u);
  EXPECT_EQ((*cues)[0], (Cue{1000, 3'602'000, "align:start line:10%", "Hi &lt;there&gt;"}));
}

TEST(Subtitles, HostileTextCannotLeaveItsCue) {
  EXPECT_EQ(webvtt_text("a --> b"), "a --&gt; b");
  EXPECT_EQ(webvtt_text("<script>alert(1)</script>x"), "alert(1)x");
  EXPECT_EQ(webvtt_text("a\n\n\n00:00"), "a\n00:00") << "an empty line would end the cue";
  EXPECT_EQ(webvtt_text("1 < 2 & 3 &unknown;"), "1 &lt; 2 &amp; 3 &amp;unknown;");
  EXPECT_EQ(webvtt_text(std::string("a\0b\x07", 4)), "ab");
  EXPECT_EQ(webvtt_text("<b>bold <i>both</b> italic"), "<b>bold <i>both</i></b><i> italic</i>");
  EXPECT_EQ(webvtt_text("</i></i>x<i><i>y"), "x<i>y</i>");
  EXPECT_EQ(webvtt_text("<"), "&lt;");
}

TEST(Subtitles, AssCodesBecomeTagsOrNothing) {
  EXPECT_EQ(webvtt_text_of_ass("{\\an8\\i1}up{\\i0}\\Nnext\\hline{\\pos(1,2)}"), "<i>up</i>\nnext&nbsp;line");
  EXPECT_EQ(webvtt_text_of_ass("{\\p1}m 0 0 l 10 10{\\p0}word"), "word");
  EXPECT_EQ(webvtt_text_of_ass("<b>&{unclosed"), "&lt;b&gt;&amp;");
}

TEST(Subtitles, OtherEncodingsThanUtf8AreTakenForWindows1252) {
  const auto cues = parse_subtitles("00:00:01,000 --> 00:00:02,000\nf\xfcr \x93uns\x94 \x80\n", "a.srt");
  ASSERT_TRUE(cues);
  EXPECT_EQ((*cues)[0].text, "für “uns” €");
}

TEST(Subtitles, ACueThatCrossesABorderStandsInBothSegments) {
  const auto cut = segment_subtitles(*parse_subtitles(kSrt, "a.srt"), {0, 4, 8, 10}, 12);
  ASSERT_EQ(cut.segments.size(), 4u);
  const std::string head = "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000\n";
  const std::string crossing = "\n00:00:03.500 --> 00:00:09.000\nlong\n";
  EXPECT_EQ(cut.segments[0],
            head + "\n00:00:01.000 --> 00:00:02.500\nHello <i>you</i> &amp; me\nsecond line\n" + crossing);
  EXPECT_EQ(cut.segments[1], head + crossing);
  EXPECT_EQ(cut.segments[2], head + crossing);
  EXPECT_EQ(cut.segments[3], head);
  EXPECT_EQ(cut.packaged[1].pts, 360'000);
  EXPECT_EQ(cut.packaged[3].duration, 180'000);
  EXPECT_TRUE(cut.all.starts_with("WEBVTT\n\n00:00:01.000"));
}

TEST(Subtitles, CuesAreCutToTheFilm) {
  const auto cut = segment_subtitles({{-500, 700, "", "early"},
                                      {-900, -100, "", "before"},
                                      {900, 5000, "", "late"},
                                      {3000, 4000, "", "after"}},
                                     {0}, 2);
  EXPECT_EQ(cut.all,
            "WEBVTT\n\n00:00:00.000 --> 00:00:00.700\nearly\n\n00:00:00.900 --> 00:00:02.000\nlate\n");
}

class EmbeddedSubtitles : public ::testing::Test {
 protected:
  std::filesystem::path file(const std::string& name) { return folder_.path() / name; }
  std::filesystem::path film(const std::string& codec, const std::string& name) {
    std::ofstream(file("a.srt")) << kSrt;
    return test::make_media(
        file(name), fmt::format("-f lavfi -i testsrc2=s=64x64:d=10 -i '{}' -map 0:v -map 1 -c:v mpeg4 "
                                "-c:s {}",
                                file("a.srt").string(), codec));
  }
  Result<std::vector<Cue>> read(const std::filesystem::path& path, int stream = 1, double begin = 0) {
    return read_subtitles(*file_source(*open_file(path, O_RDONLY), path.filename()), stream, begin, {});
  }
  TemporaryFolder folder_;
};

TEST_F(EmbeddedSubtitles, EveryTextFormatIsRead) {
  for (const auto& [codec, name] : {std::pair{"mov_text", "a.mp4"}, std::pair{"subrip", "b.mkv"},
                                    std::pair{"ass", "c.mkv"}, std::pair{"webvtt", "d.mkv"}}) {
    const auto cues = read(film(codec, name));
    ASSERT_TRUE(cues) << codec << cues.error().message;
    ASSERT_GE(cues->size(), 2u) << codec;
    EXPECT_EQ((*cues)[0].begin, 1000) << codec;
    EXPECT_EQ((*cues)[0].end, 2500) << codec;
    EXPECT_EQ((*cues)[0].text, "Hello <i>you</i> &amp; me\nsecond line") << codec;
    EXPECT_EQ((*cues)[1].text, "long") << codec;
  }
}

TEST_F(EmbeddedSubtitles, TheirTimesAreOnTheFilmsClock) {
  EXPECT_EQ((*read(film("subrip", "b.mkv"), 1, 0.4))[0].begin, 600);
}

TEST_F(EmbeddedSubtitles, PicturesAreRefusedInWords) {
  // A PGS stream: a presentation of nothing, and its end.
  std::string sup;
  for (int i = 1; i < 4; ++i) {
    const std::string times = {0, 0, static_cast<char>(i * 16), 0, 0, 0, 0, 0};
    sup += "PG" + times + std::string("\x16\0\x0b\x02\x80\x01\xe0\x10\0\x01\x80\0\0\0", 14);
    sup += "PG" + times + std::string("\x80\0\0", 3);
  }
  std::ofstream(file("a.sup"), std::ios::binary) << sup;
  test::output_of(fmt::format(
      "ffmpeg -v error -y -f lavfi -i testsrc2=s=64x64:d=5 -i '{}' -map 0:v -map 1 -c:v mpeg4 -c:s "
      "copy '{}'",
      file("a.sup").string(), file("p.mkv").string()));
  const auto cues = read(file("p.mkv"));
  ASSERT_FALSE(cues);
  EXPECT_EQ(cues.error().code, Code::kUnsupported);
  EXPECT_NE(cues.error().message.find("are pictures (hdmv_pgs_subtitle)"), std::string::npos)
      << cues.error().message;
}

TEST_F(EmbeddedSubtitles, ErrorsNameWhatIsWrong) {
  EXPECT_EQ(read(film("subrip", "b.mkv"), 0).error().code, Code::kUnsupported);
  EXPECT_EQ(read(film("subrip", "b.mkv"), 9).error().code, Code::kUnsupported);
  EXPECT_EQ(parse_subtitles("no cues here", "x.srt").error().message,
            "x.srt: no subtitles in it (.srt and .vtt are read)");
  EXPECT_EQ(parse_subtitles(std::string(33u << 20, 'x'), "x.srt").error().code, Code::kLimitExceeded);
}

}  // namespace
}  // namespace spool::media
