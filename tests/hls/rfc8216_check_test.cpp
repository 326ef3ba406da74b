// The checker of RFC 8216 is checked: it passes a presentation that packaging makes, and names what was
// broken in it.
#include <fcntl.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "base/file.h"
#include "base/temporary_folder.h"
#include "media/audio.h"
#include "media/packaging.h"
#include "support/film.h"
#include "support/program.h"
#include "test_paths.h"

namespace spool::media {
namespace {

namespace fs = std::filesystem;

class Rfc8216Check : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    whole_ = new TemporaryFolder;
    make_presentation(whole_->path() / "out");
  }
  static void TearDownTestSuite() { delete whole_; }

  static void put(const fs::path& path, std::string_view text) {
    fs::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << text;
  }
  static void put(const fs::path& path, const Bytes& bytes) {
    put(path, std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  }

  static Rendition video(const fs::path& out, const char* name, int height) {
    const auto film = test::make_media(
        whole_->path() / fmt::format("{}.mp4", name),
        fmt::format(
            "-f lavfi -i testsrc2=s={}x{}:r=25:d=10 -c:v libx264 -preset ultrafast -bf 2 -b_strategy 0 -g 50 "
            "-keyint_min 50 -sc_threshold 0 -flags +cgop -pix_fmt yuv420p -threads 1",
            height * 16 / 9 / 2 * 2, height));
    const test::Packaged packaged = test::package_video(film, 100);
    Rendition r;
    r.name = name;
    r.codecs = packaged.codecs;
    r.width = height * 16 / 9 / 2 * 2;
    r.height = height;
    r.frame_rate = {25, 1};
    r.complete = true;
    put(out / name / "init.mp4", packaged.init);
    for (std::size_t i = 0; i < packaged.segments.size(); ++i) {
      r.segments.push_back(media::packaged(packaged.segments[i]));
      put(out / name / segment_name(i), packaged.segments[i].bytes);
    }
    return r;
  }

  static Rendition audio(const fs::path& out) {
    const auto wav = test::make_media(whole_->path() / "a.wav", "-f lavfi -i anoisesrc=d=10:r=48000 -ac 2");
    Rendition r;
    r.kind = Rendition::Kind::kAudio;
    r.name = "audio-eng";
    r.language = "eng";
    r.complete = r.is_default = true;
    const AudioSink sink{[&](const AudioFormat& format) -> Result<void> {
                           r.codecs = format.codecs;
                           r.timescale = static_cast<std::uint32_t>(format.sample_rate);
                           r.sample_rate = format.sample_rate;
                           r.channels = format.channels;
                           put(out / r.name / "init.mp4", format.init);
                           return {};
                         },
                         [&](std::size_t i, const Segment& segment) -> Result<void> {
                           r.segments.push_back(media::packaged(segment));
                           put(out / r.name / segment_name(i), segment.bytes);
                           return {};
                         },
                         {}};
    AudioTask task;
    task.borders = {0, 4, 8};
    if (!encode_audio(*file_source(*open_file(wav, O_RDONLY), "a.wav"), task, sink, {}))
      throw std::runtime_error("audio");
    return r;
  }

  static Rendition subtitles(const fs::path& out) {
    Rendition r;
    r.kind = Rendition::Kind::kSubtitles;
    r.name = "subtitles-deu";
    r.language = "deu";
    r.complete = true;
    for (std::size_t i = 0; i < 3; ++i) {
      const std::int64_t begin = 4 * std::int64_t(i), length = i == 2 ? 2 : 4;
      const std::string text = fmt::format(
          "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000\n\n00:00:{:02}.500 --> "
          "00:00:{:02}.000\nHallo\n",
          begin, begin + 1);
      put(out / r.name / segment_name(i, r.kind), text);
      r.segments.push_back({begin * 90000, length * 90000, std::int64_t(text.size()), {}});
    }
    put(out / r.name / "all.vtt", "WEBVTT\n");
    return r;
  }

  static void make_presentation(const fs::path& out) {
    const std::vector<Rendition> all = {video(out, "high", 180), video(out, "low", 90), audio(out),
                                        subtitles(out)};
    for (const Rendition& r : all) {
      put(out / r.name / "playlist.m3u8", hls_media_playlist(r, 4));
      if (r.kind == Rendition::Kind::kVideo) put(out / r.name / "iframes.m3u8", hls_iframe_playlist(r, 4));
    }
    put(out / "master.m3u8", hls_master(all, 4));
    put(out / "manifest.mpd", dash_mpd(all, 4));
  }

  // A copy to break.
  fs::path copy() {
    const fs::path out = folder_.path() / fmt::format("{}", ++copies_);
    fs::copy(whole_->path() / "out", out, fs::copy_options::recursive);
    return out;
  }
  static test::Ran check(const fs::path& out, const std::string& more = "") {
    return test::run(
        fmt::format("python3 '{}/tests/hls/rfc8216_check' '{}' {}", SPOOL_SOURCE_DIR, out.string(), more));
  }
  static void replace(const fs::path& path, const std::string& from, const std::string& to) {
    std::string text = *read_file(path);
    const std::size_t at = text.find(from);
    if (at == std::string::npos) throw std::runtime_error(fmt::format("{} has no '{}'", path.string(), from));
    put(path, std::string_view(text.replace(at, from.size(), to)));
  }
  void refuses(const std::string& expected, const std::function<void(const fs::path&)>& spoil) {
    const fs::path out = copy();
    spoil(out);
    const test::Ran ran = check(out);
    EXPECT_EQ(ran.exit_code, 1) << expected << "\n" << ran.output;
    EXPECT_NE(ran.output.find(expected), std::string::npos) << "expected: " << expected << "\n" << ran.output;
  }

  static TemporaryFolder* whole_;
  TemporaryFolder folder_;
  int copies_ = 0;
};
TemporaryFolder* Rfc8216Check::whole_ = nullptr;

TEST_F(Rfc8216Check, WhatPackagingMakesHasNoViolation) {
  const test::Ran ran = check(whole_->path() / "out");
  EXPECT_EQ(ran.exit_code, 0) << ran.output;
  EXPECT_NE(ran.output.find("12 segments: no violation"), std::string::npos) << ran.output;
}

TEST_F(Rfc8216Check, AGrowingPresentationNeedsNoEndlist) {
  const fs::path out = copy();
  fs::remove(out / "manifest.mpd");
  for (const char* name : {"high", "low", "audio-eng", "subtitles-deu"})
    replace(out / name / "playlist.m3u8", "#EXT-X-ENDLIST\n", "");
  for (const char* name : {"high", "low"}) replace(out / name / "iframes.m3u8", "#EXT-X-ENDLIST\n", "");
  EXPECT_EQ(check(out).exit_code, 1);
  EXPECT_EQ(check(out, "--growing").exit_code, 0) << check(out, "--growing").output;
}

TEST_F(Rfc8216Check, BrokenTextIsRefused) {
  const auto media = [](const char* from, const char* to) {
    return [=](const fs::path& out) { replace(out / "high/playlist.m3u8", from, to); };
  };
  refuses("4.3.1.1 high/playlist.m3u8:1", media("#EXTM3U", "#EXTM3V"));
  refuses("4.1 high/playlist.m3u8:1 begins with a byte order mark", media("#EXTM3U", "\xef\xbb\xbf#EXTM3U"));
  refuses("4.1 high/playlist.m3u8:2 a control character", media(":7", ":7\x07"));
  refuses("4.1 high/playlist.m3u8 is not UTF-8", media(":7", ":\xff\xfe"));
  refuses("4.1 high/playlist.m3u8:7 unknown tag", media("EXT-X-START", "EXT-X-STRAT"));
  refuses("4.3.5.2", media("TIME-OFFSET=0", "PRECISE=YES"));
  refuses("7 high/playlist.m3u8:2 needs EXT-X-VERSION 6", media("VERSION:7", "VERSION:3"));
  refuses("4.3.3.1 high/playlist.m3u8 EXT-X-TARGETDURATION is missing",
          media("#EXT-X-TARGETDURATION:4\n", ""));
  refuses("4.3.3.1", media("#EXT-X-TARGETDURATION:4", "#EXT-X-TARGETDURATION:4\n#EXT-X-TARGETDURATION:4"));
  refuses("rounds to more than the target duration 3", media("DURATION:4", "DURATION:3"));
  refuses("4.3.2.1 high/playlist.m3u8:10 a segment without EXTINF", media("#EXTINF:4.000000,\n", "\n"));
  refuses("4.3.2.1", media("EXTINF:4.000000,", "EXTINF:four,"));
  refuses("4.3.3.5", media("TYPE:EVENT", "TYPE:LIVE"));
  refuses("6.2.1", media("#EXT-X-ENDLIST\n", ""));
  refuses("3.3", media("#EXT-X-MAP:URI=\"init.mp4\"\n", ""));
  refuses("in one playlist",
          media("#EXT-X-START", "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"b\"\n#EXT-X-START"));
  refuses("4.3.2 high/playlist.m3u8", media("00002.m4s", "00009.m4s"));
}

TEST_F(Rfc8216Check, PlaylistsThatDisagreeWithTheirSegmentsAreRefused) {
  refuses("the segment lasts 4.000000", [](const fs::path& out) {
    replace(out / "high/playlist.m3u8", "EXTINF:4.000000", "EXTINF:3.900000");
  });
  refuses("decode time", [](const fs::path& out) {
    fs::copy_file(out / "high/00003.m4s", out / "high/00002.m4s", fs::copy_options::overwrite_existing);
  });
  refuses("does not fit", [](const fs::path& out) { fs::resize_file(out / "high/00002.m4s", 5000); });
  refuses("4.3.2.2", [](const fs::path& out) { fs::resize_file(out / "high/00002.m4s", 100); });
  refuses("an init segment of", [](const fs::path& out) {
    fs::copy_file(out / "high/00001.m4s", out / "high/init.mp4", fs::copy_options::overwrite_existing);
  });
  refuses("4.3.5.1 high/playlist.m3u8", [](const fs::path& out) {
    // The first slice of the segment claims to be no IDR.
    std::string bytes = *read_file(out / "high/00002.m4s");
    const std::size_t mdat = bytes.find("mdat");
    for (std::size_t at = mdat + 4; at < mdat + 2000; ++at) {
      if ((bytes[at] & 0x1f) == 5 && bytes[at - 4] == 0 && bytes[at - 3] == 0) bytes[at] = 0x41;
    }
    put(out / "high/00002.m4s", std::string_view(bytes));
  });
  refuses("moof", [](const fs::path& out) {
    std::string bytes = *read_file(out / "high/00002.m4s");
    bytes[bytes.find("mfhd") + 11] = 1;
    put(out / "high/00002.m4s", std::string_view(bytes));
  });
}

TEST_F(Rfc8216Check, BrokenIframePlaylistsAreRefused) {
  refuses("4.3.3.6", [](const fs::path& out) {
    // A range that holds what follows the IDR.
    std::string text = *read_file(out / "high/iframes.m3u8");
    const std::size_t at = text.find("#EXT-X-BYTERANGE:"), end = text.find('\n', at);
    const std::string range = text.substr(at + 17, end - at - 17);
    const auto size = std::stoul(range), offset = std::stoul(range.substr(range.find('@') + 1));
    const std::string bytes = *read_file(out / "high/00001.m4s");
    const std::size_t next = offset + size, moof = next;
    const auto word = [&](std::size_t p) {
      return std::size_t(std::uint8_t(bytes[p])) << 24 | std::size_t(std::uint8_t(bytes[p + 1])) << 16 |
             std::size_t(std::uint8_t(bytes[p + 2])) << 8 | std::uint8_t(bytes[p + 3]);
    };
    const std::size_t both = word(moof) + word(moof + word(moof));
    put(out / "high/iframes.m3u8",
        std::string_view(text.replace(at, end - at, fmt::format("#EXT-X-BYTERANGE:{}@{}", both, next))));
  });
  refuses("is no I-frame playlist", [](const fs::path& out) {
    fs::copy_file(out / "high/playlist.m3u8", out / "high/iframes.m3u8",
                  fs::copy_options::overwrite_existing);
  });
  refuses("3.3", [](const fs::path& out) { replace(out / "high/iframes.m3u8", "@28\n", "@29\n"); });
}

TEST_F(Rfc8216Check, BrokenMastersAreRefused) {
  const auto master = [](const std::string& from, const std::string& to) {
    return [=](const fs::path& out) { replace(out / "master.m3u8", from, to); };
  };
  refuses("below the measured peak",
          master("#EXT-X-STREAM-INF:BANDWIDTH=", "#EXT-X-STREAM-INF:BANDWIDTH=1000,X="));
  refuses("BANDWIDTH is missing", master("#EXT-X-STREAM-INF:BANDWIDTH=", "#EXT-X-STREAM-INF:X-BANDWIDTH="));
  refuses("below the measured", master("AVERAGE-BANDWIDTH=", "AVERAGE-BANDWIDTH=1,X="));
  refuses("CODECS lacks mp4a.40.2", master(",mp4a.40.2\"", "\""));
  refuses("which no segment holds", master(",mp4a.40.2\"", ",mp4a.40.2,mp4a.40.5\""));
  refuses("RESOLUTION is", master("RESOLUTION=320x180", "RESOLUTION=1280x720"));
  refuses("FRAME-RATE 30.000", master("FRAME-RATE=25.000", "FRAME-RATE=30.000"));
  refuses("no AUDIO group", master("AUDIO=\"audio\"", "AUDIO=\"sound\""));
  refuses("CLOSED-CAPTIONS=NONE must stand in all", master("CLOSED-CAPTIONS=NONE", "CLOSED-CAPTIONS=\"cc\""));
  refuses("EXT-X-MEDIA without NAME", master("NAME=\"en\",", ""));
  refuses("DEFAULT=YES with AUTOSELECT=NO", master("AUTOSELECT=YES", "AUTOSELECT=NO"));
  refuses("stands twice", master("TYPE=AUDIO", "TYPE=AUDIO,TYPE=AUDIO"));
  refuses("not an attribute list", master("TYPE=AUDIO", "type=audio"));
  refuses("SUBTITLES without a URI", master(",URI=\"subtitles-deu/playlist.m3u8\"", ""));
  refuses("no URI line follows", master("high/playlist.m3u8\n", ""));
  refuses("FRAME-RATE is not allowed here",
          master("#EXT-X-I-FRAME-STREAM-INF:", "#EXT-X-I-FRAME-STREAM-INF:FRAME-RATE=25.000,"));
  refuses("two members", [](const fs::path& out) {
    std::string text = *read_file(out / "master.m3u8");
    const std::size_t at = text.find("#EXT-X-MEDIA:TYPE=AUDIO"), end = text.find('\n', at) + 1;
    put(out / "master.m3u8", std::string_view(text.insert(end, text.substr(at, end - at))));
  });
}

TEST_F(Rfc8216Check, VariantsThatAreNotAlignedAreRefused) {
  refuses("6.2.4 low/playlist.m3u8 2 segments", [](const fs::path& out) {
    replace(out / "low/playlist.m3u8", "#EXTINF:2.000000,\n00003.m4s\n", "");
  });
  refuses("target durations differ",
          [](const fs::path& out) { replace(out / "low/playlist.m3u8", "DURATION:4", "DURATION:5"); });
  refuses("the video's segment", [](const fs::path& out) {
    // The sound's first segment is left out: what follows stands one segment off.
    const std::string text = *read_file(out / "audio-eng/playlist.m3u8");
    const std::size_t at = text.find("#EXTINF"), end = text.find("00001.m4s\n") + 10;
    put(out / "audio-eng/playlist.m3u8", std::string_view(std::string(text).erase(at, end - at)));
  });
}

TEST_F(Rfc8216Check, BrokenSubtitlesAndManifestsAreRefused) {
  refuses("no X-TIMESTAMP-MAP", [](const fs::path& out) {
    replace(out / "subtitles-deu/00001.vtt", "X-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000\n", "");
  });
  refuses("no WEBVTT header",
          [](const fs::path& out) { replace(out / "subtitles-deu/00001.vtt", "WEBVTT", "WEB"); });
  refuses("outside the segment", [](const fs::path& out) {
    replace(out / "subtitles-deu/00001.vtt", "00:00:00.500 --> 00:00:01.000",
            "00:01:00.500 --> 00:01:01.000");
  });
  const auto mpd = [](const std::string& from, const std::string& to) {
    return [=](const fs::path& out) { replace(out / "manifest.mpd", from, to); };
  };
  refuses("DASH manifest.mpd not XML", mpd("</MPD>", ""));
  refuses("mediaPresentationDuration", mpd("PT10.", "PT11."));
  refuses("S t=0 d=270000", mpd("d=\"360000\"", "d=\"270000\""));
  refuses("HLS has 3", mpd(" r=\"1\"", " r=\"7\""));
  refuses("codecs should be", mpd("codecs=\"avc1.", "codecs=\"avc3."));
  refuses("bandwidth below", mpd("bandwidth=\"", "bandwidth=\"1\" x=\""));
  refuses("all.vtt", [](const fs::path& out) {
    fs::remove(out / "subtitles-deu/all.vtt");
    replace(out / "manifest.mpd", "subtitles-deu\" ", "all.vtt\" ");
  });
}

TEST_F(Rfc8216Check, AFolderWithoutAMasterIsWrongUsage) {
  EXPECT_EQ(check(folder_.path()).exit_code, 2);
}

}  // namespace
}  // namespace spool::media
